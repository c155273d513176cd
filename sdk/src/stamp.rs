//! The manifest (stamp) of a plugin library: what it is and provides, readable without running any of its code.
//!
//! `export_runtime!` places it as JSON in an ELF section of its own. The host reads that section with a parser of object
//! files, since `dlopen` alone already runs a library's constructors. The loaded library's `describe` answers with the same
//! text, and the host compares.
use crate::types::Capability;
use serde::{Deserialize, Serialize};

/// The ELF section that holds the stamp.
pub const SECTION: &str = ".wharf.stamp";

/// The version of the stamp's form.
pub const STAMP_VERSION: u32 = 1;

/// The manifest of one plugin library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stamp {
    /// [`STAMP_VERSION`] of the writer.
    pub stamp: u32,
    /// The version of `wharf-abi` it was built with.
    pub abi: String,
    /// The version of `wharf-sdk` it was built with.
    pub sdk: String,
    /// The version of the documents that it writes: [`crate::document::VERSION`]. A library without this field writes the
    /// first.
    #[serde(default = "first")]
    pub documents: u32,
    /// The plugin's package.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The panic strategy: only `unwind` can be loaded, since `abort` would end the host.
    pub panic: String,
    /// The target triple.
    pub target: String,
    /// The compiler, for people.
    pub rustc: String,
    /// The runtimes it provides.
    pub runtimes: Vec<RuntimeStamp>,
}

const fn first() -> u32 {
    1
}

/// One runtime of a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuntimeStamp {
    /// Its name, `[a-z0-9][a-z0-9-]*`. RunConfigs record it as the owner.
    pub name: String,
    /// The capabilities that it declares.
    pub capabilities: Vec<Capability>,
    /// The kinds of SERVER for which it is chosen where the user names no runtime: `command`, `package`, `image`. If empty,
    /// it runs only workloads that name it.
    pub accepts: Vec<String>,
    /// Among runtimes that accept a SERVER, the available one with the highest priority is the default.
    pub priority: i32,
}

impl RuntimeStamp {
    /// True if the runtime declares this.
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }
}

/// The length of the text that [`assemble`] makes. For the macro.
#[doc(hidden)]
pub const fn assembled_len(parts: &[&str]) -> usize {
    let mut len = 0;
    let mut i = 0;
    while i < parts.len() {
        if !is_trailing_comma(parts, i) {
            len += parts[i].len();
        }
        i += 1;
    }
    len
}

/// Joins the parts at compile time, leaving out the comma before a closing bracket. For the macro.
#[doc(hidden)]
pub const fn assemble<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut out = [0; N];
    let mut at = 0;
    let mut i = 0;
    while i < parts.len() {
        if !is_trailing_comma(parts, i) {
            let bytes = parts[i].as_bytes();
            let mut j = 0;
            while j < bytes.len() {
                out[at] = bytes[j];
                at += 1;
                j += 1;
            }
        }
        i += 1;
    }
    out
}

const fn is_trailing_comma(parts: &[&str], i: usize) -> bool {
    parts[i].len() == 1
        && starts_with(parts[i], b',')
        && i + 1 < parts.len()
        && starts_with(parts[i + 1], b']')
}

const fn starts_with(part: &str, byte: u8) -> bool {
    !part.is_empty() && part.as_bytes()[0] == byte
}

/// Fails the build where a name is not a valid name of a runtime. For the macro.
#[doc(hidden)]
pub const fn checked_name(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() <= 40, "a runtime's name has 1 to 40 characters");
    assert!(bytes[0] != b'-', "a runtime's name does not begin with a hyphen");
    let mut i = 0;
    while i < bytes.len() {
        let ok = bytes[i].is_ascii_lowercase() || bytes[i].is_ascii_digit() || bytes[i] == b'-';
        assert!(ok, "a runtime's name is made of a-z, 0-9 and hyphens");
        i += 1;
    }
    name
}

/// Fails the build where a priority would not be a number of JSON (`1_000`, `5i32`). For the macro.
#[doc(hidden)]
pub const fn checked_number(number: &'static str) -> &'static str {
    let bytes = number.as_bytes();
    let mut i = if starts_with(number, b'-') { 1 } else { 0 };
    assert!(i < bytes.len(), "a priority is a number");
    assert!(bytes[i] != b'0' || i + 1 == bytes.len(), "a priority has no leading zero");
    while i < bytes.len() {
        assert!(bytes[i].is_ascii_digit(), "a priority is written in digits alone");
        i += 1;
    }
    number
}

/// The target this SDK was built for. For the macro.
#[doc(hidden)]
pub const TARGET: &str = env!("WHARF_SDK_TARGET");
/// The compiler that built this SDK. For the macro.
#[doc(hidden)]
pub const RUSTC: &str = env!("WHARF_SDK_RUSTC");
/// The version of this SDK.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");
/// [`crate::document::VERSION`], as text. For the macro.
#[doc(hidden)]
pub const DOCUMENTS: &str = "2";
/// The version of the ABI under it.
pub const ABI_VERSION: &str = wharf_abi::ABI_VERSION;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_the_version_of_the_documents() {
        assert_eq!(DOCUMENTS, crate::document::VERSION.to_string());
    }

    #[test]
    fn lists_of_the_manifest_have_no_trailing_comma() {
        const PARTS: &[&str] = &["[", "1", ",", "2", ",", "],", "[", "]"];
        const TEXT: [u8; assembled_len(PARTS)] = assemble(PARTS);
        assert_eq!(&TEXT, b"[1,2],[]");
    }
}
