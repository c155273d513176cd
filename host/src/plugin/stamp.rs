//! Reads a library's stamp without running any of it.
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSection, ReadCache, ReadRef};
use std::fs::File;
use wharf_sdk::stamp::{ABI_VERSION, SECTION, STAMP_VERSION, Stamp};

/// A stamp larger than this is none.
const MAX_STAMP_BYTES: u64 = 64 * 1024;

/// A stamp as it lies in the file, and what it says.
#[derive(Clone, Debug)]
pub(super) struct StampText {
    pub(super) text: String,
    pub(super) stamp: Stamp,
}

/// Reads the stamp; the error says what the file lacks.
pub(super) fn read(file: &File) -> Result<StampText, String> {
    let cache = ReadCache::new(file);
    let bytes = section(&cache)?;
    let text = String::from_utf8(bytes).map_err(|_| "its stamp is not text".to_owned())?;
    let stamp = serde_json::from_str::<Stamp>(&text).map_err(|error| match newer_stamp(&text) {
        Some(version) => format!("its stamp has version {version}, and only {STAMP_VERSION} is known here"),
        None => format!("its stamp cannot be read: {error}"),
    })?;
    Ok(StampText { text, stamp })
}

fn section<'a>(data: impl ReadRef<'a>) -> Result<Vec<u8>, String> {
    let elf =
        ElfFile64::<Endianness, _>::parse(data).map_err(|_| "it is not a 64-bit ELF library".to_owned())?;
    if elf.elf_header().e_type(elf.endian()) != object::elf::ET_DYN {
        return Err("it is not a shared library".to_owned());
    }
    let section = elf.section_by_name(SECTION).ok_or_else(|| {
        format!("it has no stamp (section {SECTION}); plugins are made with wharf-sdk's export_runtime!")
    })?;
    if section.size() > MAX_STAMP_BYTES {
        return Err(format!("its stamp is larger than {MAX_STAMP_BYTES} bytes"));
    }
    section.data().map(<[u8]>::to_vec).map_err(|_| "its stamp lies outside of the file".to_owned())
}

fn newer_stamp(text: &str) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Only {
        stamp: u32,
    }
    serde_json::from_str::<Only>(text).ok().map(|only| only.stamp).filter(|version| *version > STAMP_VERSION)
}

/// Whether a library with this stamp can work in this host; the error says what does not fit, and what to do.
pub(super) fn check(stamp: &Stamp) -> Result<(), String> {
    if stamp.stamp > STAMP_VERSION {
        return Err(format!(
            "its stamp has version {}, and only {STAMP_VERSION} is known here; use a newer wharf",
            stamp.stamp
        ));
    }
    if major(&stamp.abi) != major(ABI_VERSION) {
        return Err(format!(
            "it was built for version {} of the plugin interface, and this host has {ABI_VERSION}; rebuild it with the SDK of this wharf",
            stamp.abi.escape_debug()
        ));
    }
    if stamp.panic != "unwind" {
        return Err(format!(
            "it was built with panic={}, and a panic in it would end the host; build it with panic=\"unwind\"",
            stamp.panic.escape_debug()
        ));
    }
    if stamp.target != wharf_sdk::stamp::TARGET {
        let target = stamp.target.escape_debug();
        return Err(format!("it was built for {target}, and this is {}", wharf_sdk::stamp::TARGET));
    }
    if stamp.runtimes.is_empty() {
        return Err("it provides no runtime".to_owned());
    }
    for (at, runtime) in stamp.runtimes.iter().enumerate() {
        if stamp.runtimes[..at].iter().any(|other| other.name == runtime.name) {
            return Err(format!("it provides the runtime '{}' twice", runtime.name));
        }
        if !is_runtime_name(&runtime.name) {
            return Err(format!("'{}' is no name for a runtime", runtime.name.escape_debug()));
        }
    }
    Ok(())
}

/// The same rule as the SDK's `checked_name`, for stamps that were not made by it.
fn is_runtime_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&name.len()) && !name.starts_with('-') && name.chars().all(fine)
}

fn major(version: &str) -> Option<&str> {
    version.split('.').next().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::stamp::{RuntimeStamp, SDK_VERSION, TARGET};

    fn fitting() -> Stamp {
        let runtime = RuntimeStamp { name: "a".into(), capabilities: vec![], accepts: vec![], priority: 0 };
        Stamp {
            stamp: STAMP_VERSION,
            abi: ABI_VERSION.into(),
            sdk: SDK_VERSION.into(),
            plugin: "p".into(),
            version: "1.0.0".into(),
            panic: "unwind".into(),
            target: TARGET.into(),
            rustc: String::new(),
            runtimes: vec![runtime],
        }
    }

    #[test]
    fn each_misfit_is_told() {
        assert_eq!(check(&fitting()), Ok(()));
        type Change = fn(&mut Stamp);
        let cases: [(Change, &str); 6] = [
            (|s| s.abi = "2.0.0".into(), "version 2.0.0 of the plugin interface"),
            (|s| s.panic = "abort".into(), "panic=abort"),
            (|s| s.target = "sparc64".into(), "built for sparc64"),
            (|s| s.runtimes.clear(), "provides no runtime"),
            (|s| s.runtimes.push(s.runtimes[0].clone()), "'a' twice"),
            (|s| s.runtimes[0].name = "../x".into(), "no name for a runtime"),
        ];
        for (change, said) in cases {
            let mut stamp = fitting();
            change(&mut stamp);
            let error = check(&stamp).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_text_file_is_no_library() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"just text").unwrap();
        assert_eq!(read(&file).unwrap_err(), "it is not a 64-bit ELF library");
    }
}
