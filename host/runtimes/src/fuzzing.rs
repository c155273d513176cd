//! Fuzz target of this package: the files in a folder of plugins. Called by `fuzz/` and by the test below.
use crate::manifest;
use std::io::Write;
use wharf_sdk::stamp::SECTION;

/// The size of a section's header, and of the file's.
const HEADER: usize = 64;

/// A file that is no library is refused with a reason, wherever its tables point. The input is a line of changes,
/// `PLACE=BYTE` with commas between them, and the stamp; with no change the file is a library with that stamp.
///
/// # Panics
/// If the reader panics, or where no memory file can be made.
pub fn library_manifest(input: &[u8]) {
    let line = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (changes, stamp) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let mut bytes = library(stamp);
    for (place, byte) in
        String::from_utf8_lossy(changes).split(',').filter_map(|change| change.split_once('='))
    {
        let (Ok(place), Ok(byte)) = (place.trim().parse::<usize>(), byte.trim().parse::<u8>()) else {
            continue;
        };
        if let Some(there) = bytes.get_mut(place) {
            *there = byte;
        }
    }
    let file = rustix::fs::memfd_create("manifest", rustix::fs::MemfdFlags::CLOEXEC).expect("a memory file");
    let mut file = std::fs::File::from(file);
    file.write_all(&bytes).expect("a memory file can be written");
    if let Ok(found) = manifest::read(&file) {
        let _ = manifest::check(&found.stamp);
    }
}

/// The smallest 64-bit library with a stamp (elf(5)): its header, the headers of three sections, their names, the stamp.
fn library(stamp: &[u8]) -> Vec<u8> {
    let names = [b"\0", SECTION.as_bytes(), b"\0.shstrtab\0"].concat();
    let names_at = HEADER + 3 * HEADER;
    let stamp_at = names_at + names.len();
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    for half in [3, 62] {
        bytes.extend(u16::to_le_bytes(half)); // a shared library, for x86-64
    }
    bytes.extend(1_u32.to_le_bytes());
    for word in [0, 0, HEADER as u64] {
        bytes.extend(word.to_le_bytes()); // no entry, no program headers, and where the sections' headers are
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64, 0, 0, 64, 3, 2] {
        bytes.extend(u16::to_le_bytes(half)); // sizes and counts of headers, and which section holds the names
    }
    bytes.extend(section(0, 0, 0));
    bytes.extend(section(1, stamp_at, stamp.len()));
    bytes.extend(section(1 + SECTION.len() + 1, names_at, names.len()));
    bytes.extend(names);
    bytes.extend(stamp);
    bytes
}

/// The header of a section: the place of its name, and where its bytes are.
fn section(name: usize, at: usize, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((name as u32).to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    for word in [0, 0, at as u64, size as u64, 0, 1, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.truncate(HEADER);
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn manifests_stand_their_corpus() {
        wharf_fuzz_replay::replay("library_manifest", super::library_manifest);
    }

    #[test]
    fn the_unchanged_fuzz_input_is_a_valid_library() {
        let file = rustix::fs::memfd_create("manifest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = std::fs::File::from(file);
        std::io::Write::write_all(&mut file, &super::library(b"{}")).unwrap();
        let why = crate::manifest::read(&file).unwrap_err();
        assert!(why.contains("its manifest cannot be read"), "{why}");
    }
}
