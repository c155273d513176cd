//! Reads the manifest of a library without running any of its code.
//!
//! A file in a folder of plugins must not decide how much every command reads or allocates: the parts of the file that lead
//! to the manifest are read one by one, each with a limit, however large the file is.
use object::elf::{ET_DYN, FileHeader64, SectionHeader64};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, pod};
use std::{fs::File, io, os::unix::fs::FileExt};
use wharf_sdk::document;
use wharf_sdk::stamp::{ABI_VERSION, SECTION, STAMP_VERSION, Stamp};

/// A larger manifest is refused.
const MAX_STAMP_BYTES: u64 = 64 * 1024;
/// The number of sections that are looked at; a library has some dozens.
const MAX_SECTIONS: u16 = 4096;
/// The limit for the names of the sections.
const MAX_NAMES_BYTES: u64 = 256 * 1024;

/// A manifest, as text and parsed.
#[derive(Clone, Debug)]
pub(crate) struct ManifestText {
    pub(crate) text: String,
    pub(crate) stamp: Stamp,
}

/// Reads the manifest; the error says what the file lacks.
pub(crate) fn read(file: &File) -> Result<ManifestText, String> {
    let bytes = section(&|bytes, at| file.read_exact_at(bytes, at))?;
    let text = String::from_utf8(bytes).map_err(|_| "its manifest is not text".to_owned())?;
    let stamp = serde_json::from_str::<Stamp>(&text).map_err(|error| match newer_stamp(&text) {
        Some(version) => {
            format!("its manifest has version {version}, and only {STAMP_VERSION} is known here")
        }
        None => format!("its manifest cannot be read: {error}"),
    })?;
    Ok(ManifestText { text, stamp })
}

/// Reads a part of a file into a buffer.
type ReadAt<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<()>;

/// Reads `size` bytes at a place; the caller has checked `size`.
fn part(read: ReadAt<'_>, at: u64, size: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    read(&mut bytes, at).ok()?;
    Some(bytes)
}

/// The bytes of the manifest: at most four reads.
fn section(read: ReadAt<'_>) -> Result<Vec<u8>, String> {
    let foreign = || "it is not a 64-bit ELF library".to_owned();
    let broken = || "its table of sections cannot be read".to_owned();
    let header = part(read, 0, size_of::<FileHeader64<Endianness>>() as u64).ok_or_else(foreign)?;
    let header = FileHeader64::<Endianness>::parse(header.as_slice()).map_err(|_| foreign())?;
    let endian = header.endian().map_err(|_| foreign())?;
    if header.e_type(endian) != ET_DYN {
        return Err("it is not a shared library".to_owned());
    }
    let count = header.e_shnum(endian);
    let names = header.e_shstrndx(endian).0;
    // The count is 0 for a library with more sections than its sixteen bits can hold.
    if count > MAX_SECTIONS || (count == 0 && header.e_shoff(endian) != 0) {
        return Err(format!("it has more than {MAX_SECTIONS} sections"));
    }
    let size = size_of::<SectionHeader64<Endianness>>();
    if count > 0 && usize::from(header.e_shentsize(endian)) != size {
        return Err(broken());
    }
    let table = part(read, header.e_shoff(endian), u64::from(count) * size as u64).ok_or_else(broken)?;
    let sections = pod::slice_from_all_bytes::<SectionHeader64<Endianness>>(&table).map_err(|()| broken())?;
    let lacks = || {
        format!("it has no manifest (section {SECTION}); plugins are made with wharf-sdk's export_runtime!")
    };
    let names = sections.get(usize::from(names)).ok_or_else(lacks)?;
    if names.sh_size(endian) > MAX_NAMES_BYTES {
        return Err(format!("the names of its sections take more than {MAX_NAMES_BYTES} bytes"));
    }
    let names = part(read, names.sh_offset(endian), names.sh_size(endian)).ok_or_else(broken)?;
    let is_stamp = |section: &&SectionHeader64<Endianness>| {
        let name = names.get(section.sh_name(endian) as usize..).unwrap_or_default();
        name.strip_prefix(SECTION.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    };
    let stamp = sections.iter().find(is_stamp).ok_or_else(lacks)?;
    if stamp.sh_size(endian) > MAX_STAMP_BYTES {
        return Err(format!("its manifest is larger than {MAX_STAMP_BYTES} bytes"));
    }
    part(read, stamp.sh_offset(endian), stamp.sh_size(endian))
        .ok_or_else(|| "its manifest lies outside of the file".to_owned())
}

fn newer_stamp(text: &str) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Only {
        stamp: u32,
    }
    serde_json::from_str::<Only>(text).ok().map(|only| only.stamp).filter(|version| *version > STAMP_VERSION)
}

/// Fails for a library that cannot work in this host; the error says what does not fit, and the remedy.
pub(crate) fn check(stamp: &Stamp) -> Result<(), String> {
    if stamp.stamp > STAMP_VERSION {
        return Err(format!(
            "its manifest has version {}, and only {STAMP_VERSION} is known here; use a newer wharf",
            stamp.stamp
        ));
    }
    if major(&stamp.abi) != major(ABI_VERSION) {
        return Err(format!(
            "it was built for version {} of the plugin interface, and this host has {ABI_VERSION}; rebuild it with the SDK of this wharf",
            stamp.abi.escape_debug()
        ));
    }
    if stamp.documents > document::VERSION {
        return Err(format!(
            "it speaks version {} of the documents, and this host versions up to {}; use a newer wharf",
            stamp.documents,
            document::VERSION
        ));
    }
    if stamp.documents < document::OLDEST {
        return Err(format!(
            "it speaks version {} of the documents, and this host versions from {} on; rebuild it with the SDK of this wharf",
            stamp.documents,
            document::OLDEST
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

/// True if a text can be the name of a runtime. The same rule as the SDK's `checked_name`, for manifests that the SDK did not make
/// and for names that users write.
pub fn is_runtime_name(name: &str) -> bool {
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
            documents: document::VERSION,
            plugin: "p".into(),
            version: "1.0.0".into(),
            panic: "unwind".into(),
            target: TARGET.into(),
            rustc: String::new(),
            runtimes: vec![runtime],
        }
    }

    #[test]
    fn each_reason_why_a_manifest_does_not_fit_is_reported() {
        assert_eq!(check(&fitting()), Ok(()));
        type Change = fn(&mut Stamp);
        let cases: [(Change, &str); 8] = [
            (|s| s.documents = document::OLDEST - 1, "rebuild it with the SDK"),
            (|s| s.documents = document::VERSION + 1, "use a newer wharf"),
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

    /// The header of a shared library with this many sections, whose table begins at `table`.
    fn header(sections: u16, table: u64) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[16] = 3;
        bytes[20] = 1;
        bytes[40..48].copy_from_slice(&table.to_le_bytes());
        bytes[58] = 64;
        bytes[60..62].copy_from_slice(&sections.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_read_of_a_file_has_a_limit_whatever_its_headers_say() {
        // The file is as large as its headers want it to be, and all zeros except for them. Where the header cannot hold
        // the number of sections and the length of their names, the first section does.
        let huge = (2_u64 << 30).to_le_bytes();
        let mut first = vec![0; 64];
        first[32..40].copy_from_slice(&huge);
        for (sections, said) in [
            (u16::MAX, "it has more than 4096 sections"),
            (0, "it has more than 4096 sections"),
            (4096, "the names of its sections take more than 262144 bytes"),
            (1, "the names of its sections take more than 262144 bytes"),
        ] {
            let file = [header(sections, 64), first.clone()].concat();
            let total = std::cell::Cell::new((0, 0));
            let outcome = section(&|bytes, at| {
                let (reads, amount) = total.get();
                total.set((reads + 1, amount + bytes.len()));
                for (byte, at) in bytes.iter_mut().zip(usize::try_from(at).unwrap()..) {
                    *byte = file.get(at).copied().unwrap_or_default();
                }
                Ok(())
            });
            assert_eq!(outcome.unwrap_err(), said, "{sections} sections");
            let (reads, amount) = total.get();
            assert!(
                reads <= 4 && amount <= 600 * 1024,
                "{sections} sections: {reads} reads of {amount} bytes"
            );
        }
    }
}
