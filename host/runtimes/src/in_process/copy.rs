//! Copies of libraries, which nobody writes to.
//!
//! If a library were mapped in its own place and somebody copied another file over it, every process that mapped it would
//! change: its next call would run the changed code, or end it (SIGBUS) where the file has become shorter. So a copy is
//! always mapped: a file that is named by its digest, in a folder of the user's own, whose pages all processes of that user
//! share; or, where there can be no such folder, a sealed memory file.
//!
//! An existing copy is compared with the library byte by byte, through the very descriptor that is then mapped: the copy
//! may have been cut short by a full disk or a crash of the machine. This proves more than its digest would, in an eighth
//! of the time. A copy is never changed: a wrong one is replaced, and processes that have mapped it keep it.
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, RenameFlags, SealFlags, StatVfsMountFlags};
use sha2::{Digest, Sha256};
use std::{
    ffi::{OsStr, OsString},
    fs::{DirBuilder, File, Metadata},
    io::{self, Seek, SeekFrom, Write},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileExt, MetadataExt},
        },
    },
    path::Path,
    time::{Duration, SystemTime},
};
use wharf_sdk::files::{self, Links};

/// A larger file is refused.
pub(crate) const MAX_LIBRARY_BYTES: u64 = 1 << 30;
/// The size of a read.
const CHUNK_BYTES: usize = 64 * 1024;
/// The number of copies that are kept; a new one replaces the oldest.
const KEPT_COPIES: usize = 32;
/// A copy that is still unfinished after this time belongs to a writer that has died.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);
/// How often to try again with a library that was written to while it was copied.
const ATTEMPTS: usize = 3;
/// The end of the name of an unfinished copy.
const UNFINISHED: &str = ".part";

/// A copy of a library.
pub(crate) struct Copy {
    /// The copy, open for reading and mapping.
    pub(crate) file: File,
    /// Its name in the folder, which is its SHA-256 in lowercase hexadecimal digits; none if it is not kept.
    pub(crate) name: Option<String>,
}

/// A copy of a library, in the cache folder if possible. Nobody changes it while it is mapped.
///
/// If the kernel offers neither kind of copy, it is the library itself, and the log says so.
///
/// # Errors
/// The library cannot be read, is too large, or is being written to.
pub(crate) fn of(library: &File, cache: Option<&Path>) -> io::Result<Copy> {
    for _ in 0..ATTEMPTS {
        let before = library.metadata()?;
        if before.len() > MAX_LIBRARY_BYTES {
            return Err(io::Error::other(format!("it has more than {MAX_LIBRARY_BYTES} bytes")));
        }
        let kept = cache.map(|cache| cached(library, before.len(), cache)).and_then(|kept| {
            kept.inspect_err(|error| tracing::debug!(%error, "the copy of a plugin cannot be kept")).ok()
        });
        let copy = match kept {
            Some(copy) => copy,
            None => Copy { file: in_memory(library, before.len())?, name: None },
        };
        // If the library was written to meanwhile, the copy may have a part of the old one and a part of the new one.
        if is_unchanged(&before, &library.metadata()?) {
            return Ok(copy);
        }
    }
    Err(io::Error::other("somebody is writing to it"))
}

fn is_unchanged(before: &Metadata, after: &Metadata) -> bool {
    let print = |of: &Metadata| (of.len(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec());
    print(before) == print(after)
}

/// The copy in the folder, which is made if it is missing.
fn cached(library: &File, length: u64, cache: &Path) -> io::Result<Copy> {
    let folder = Folder::open(cache)?;
    match folder.find(library, length)? {
        Some(copy) => Ok(copy),
        None => folder.make(library, length),
    }
}

/// The folder of copies. It is held by its descriptor, and no other user can write to it: even if the folders above it
/// change, its entries are this user's.
struct Folder(OwnedFd);

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&folder)?;
        let own = rustix::process::geteuid().as_raw();
        if found.st_uid != own || found.st_mode & 0o077 != 0 {
            return Err(io::Error::other(format!("{} is not this user's alone", path.display())));
        }
        // Files of a file system that is mounted with `noexec` cannot be mapped as code.
        if rustix::fs::fstatvfs(&folder)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Err(io::Error::other(format!("nothing in {} may be executed", path.display())));
        }
        Ok(Self(folder))
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            names.push(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned());
        }
        Ok(names)
    }

    fn open_copy(&self, name: &OsStr) -> io::Result<(File, Metadata)> {
        files::open_in(&self.0, Path::new(name), Links::Refuse)
    }

    /// The copy with the library's bytes. Only the few copies of the same length are compared.
    fn find(&self, library: &File, length: u64) -> io::Result<Option<Copy>> {
        let own = rustix::process::geteuid().as_raw();
        for name in self.names()?.into_iter().filter(|name| is_digest(name)) {
            let Ok((file, found)) = self.open_copy(&name) else { continue };
            let is_sound = found.uid() == own && found.mode() & 0o377 == 0;
            if is_sound && found.len() == length && is_same(library, &file, length)? {
                return Ok(Some(Copy { file, name: name.into_string().ok() }));
            }
        }
        Ok(None)
    }

    fn make(&self, library: &File, length: u64) -> io::Result<Copy> {
        self.clear();
        let part = OsString::from(format!("{}{UNFINISHED}", tempname()?));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let writer = File::from(rustix::fs::openat(&self.0, &part, flags, Mode::RUSR)?);
        let made =
            self.fill(library, &writer, length).and_then(|digest| self.publish(&part, &digest, &writer));
        if made.is_err() {
            let _ = self.unlink(&part);
        }
        made
    }

    /// Writes the copy to the disk, and returns its digest.
    fn fill(&self, library: &File, writer: &File, length: u64) -> io::Result<String> {
        let mut hasher = Sha256::new();
        for_each_chunk(library, length, |chunk| {
            hasher.update(chunk);
            write_or_skip(writer, chunk)
        })?;
        writer.set_len(length)?;
        // Without the sync, the disk might turn out to be full later, and a mapped page would be lost.
        writer.sync_data()?;
        Ok(hexadecimal(&hasher.finalize()))
    }

    /// Gives a finished copy its name. If another process made the same copy meanwhile, that one is used; another file of
    /// that name is a damaged copy and is replaced.
    fn publish(&self, part: &OsStr, digest: &str, written: &File) -> io::Result<Copy> {
        // The copy is opened anew, for reading only: the descriptor that stays open must not be able to write to it.
        let (file, found) = self.open_copy(part)?;
        if identity(&found) != identity(&written.metadata()?) {
            return Err(io::Error::other("the copy was exchanged"));
        }
        let copy = Copy { file, name: Some(digest.to_owned()) };
        match rustix::fs::renameat_with(&self.0, part, &self.0, digest, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(copy),
            Err(rustix::io::Errno::EXIST) => {}
            // Some file systems have no rename that never replaces.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(theirs) = self.find(written, written.metadata()?.len())? {
            self.unlink(part)?;
            return Ok(theirs);
        }
        rustix::fs::renameat(&self.0, part, &self.0, digest)?;
        Ok(copy)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, rustix::fs::AtFlags::empty())?)
    }

    /// Makes room for a new copy: removes the oldest ones, and the unfinished ones of dead writers. A process that has
    /// mapped a removed copy keeps it; if it is needed again, it is made again.
    fn clear(&self) {
        let mut copies: Vec<(SystemTime, OsString)> = Vec::new();
        for name in self.names().unwrap_or_default() {
            let Ok(written) = self.open_copy(&name).and_then(|(_, found)| found.modified()) else {
                continue;
            };
            let age = written.elapsed().unwrap_or_default();
            if is_digest(&name) {
                copies.push((written, name));
            } else if name.as_bytes().ends_with(UNFINISHED.as_bytes()) && age > LONGEST_WRITE {
                let _ = self.unlink(&name);
            }
        }
        copies.sort();
        let many = (copies.len() + 1).saturating_sub(KEPT_COPIES);
        for (_, name) in copies.drain(..many) {
            let _ = self.unlink(&name);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn tempname() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(hexadecimal(&random))
}

fn is_digest(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.len() == 64 && name.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The bytes in lowercase hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True if the other file has the same bytes, up to this length.
fn is_same(library: &File, other: &File, length: u64) -> io::Result<bool> {
    let (mut mine, mut theirs) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut at = 0;
    while at < length {
        let wanted = chunk_at(at, length);
        library.read_exact_at(&mut mine[..wanted], at)?;
        // The other file may have been cut short since its length was read.
        if other.read_exact_at(&mut theirs[..wanted], at).is_err() || mine[..wanted] != theirs[..wanted] {
            return Ok(false);
        }
        at += wanted as u64;
    }
    Ok(true)
}

/// The size of the next read at this place of a file of this length.
fn chunk_at(at: u64, length: u64) -> usize {
    usize::try_from(length - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)
}

/// The library's bytes in memory, sealed against every change.
fn in_memory(library: &File, length: u64) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // With vm.memfd_noexec=2, no memory file may be executed as a program, but one may still be mapped as code.
    let memory = rustix::fs::memfd_create("wharf-plugin", flags)
        .or_else(|_| rustix::fs::memfd_create("wharf-plugin", flags | MemfdFlags::NOEXEC_SEAL));
    let memory = match memory {
        Ok(memory) => File::from(memory),
        Err(error) => {
            tracing::warn!(%error, "no copy of a plugin can be made here; it is mapped where it lies");
            return library.try_clone();
        }
    };
    for_each_chunk(library, length, |chunk| write_or_skip(&memory, chunk))?;
    memory.set_len(length)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

/// Writes the next chunk; a chunk of zeros becomes a hole, so that the copy of a library with holes has them, too. The
/// caller sets the file's length at the end, since a hole at the end does not.
fn write_or_skip(mut file: &File, chunk: &[u8]) -> io::Result<()> {
    if chunk.iter().any(|byte| *byte != 0) {
        return file.write_all(chunk);
    }
    let ahead = i64::try_from(chunk.len()).map_err(io::Error::other)?;
    file.seek(SeekFrom::Current(ahead)).map(drop)
}

/// Calls `work` with each chunk of the first `length` bytes of a file.
fn for_each_chunk(file: &File, length: u64, mut work: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < length {
        let wanted = chunk_at(at, length);
        file.read_exact_at(&mut chunk[..wanted], at)?;
        work(&chunk[..wanted])?;
        at += wanted as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn names(cache: &Path) -> Vec<OsString> {
        std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn copies_are_few_whatever_comes_and_what_a_dead_writer_left_goes() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("cache/plugins");
        drop(of(&library(b"first"), Some(&cache)).unwrap());
        for (name, age) in [("a.part", LONGEST_WRITE * 2), ("b.part", Duration::ZERO)] {
            let part = File::create(cache.join(name)).unwrap();
            part.set_modified(SystemTime::now() - age).unwrap();
        }
        let copies: Vec<Copy> = (0..2 * KEPT_COPIES)
            .map(|number| of(&library(number.to_string().as_bytes()), Some(&cache)).unwrap())
            .collect();
        let mut left = names(&cache);
        left.sort();
        let parts: Vec<_> = left.iter().filter(|name| !is_digest(name)).collect();
        assert_eq!(parts, ["b.part"], "its writer may live");
        assert_eq!(left.len() - 1, KEPT_COPIES);
        // A process that holds a removed copy can still read it.
        let mut text = [0];
        copies[0].file.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(&text, b"0");
    }

    #[test]
    fn a_library_that_is_too_large_is_not_copied() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MAX_LIBRARY_BYTES + 1).unwrap();
        assert!(of(&file, None).err().unwrap().to_string().contains("it has more than"));
    }

    #[test]
    fn holes_stay_holes_in_both_kinds_of_copies() {
        const LENGTH: u64 = 64 << 20;
        let home = tempfile::tempdir().unwrap();
        let mut sparse = library(b"first");
        sparse.seek(SeekFrom::Start(LENGTH / 2 + 1)).unwrap();
        sparse.write_all(b"middle").unwrap();
        sparse.set_len(LENGTH).unwrap();
        for cache in [Some(home.path().join("plugins")), None] {
            let copy = of(&sparse, cache.as_deref()).unwrap().file;
            let found = copy.metadata().unwrap();
            assert_eq!(found.len(), LENGTH);
            assert!(found.blocks() * 512 <= 4 * CHUNK_BYTES as u64, "{} blocks", found.blocks());
            assert!(is_same(&sparse, &copy, LENGTH).unwrap());
        }
    }

    #[test]
    fn a_kept_copy_is_named_by_its_digest_and_one_in_memory_has_no_name() {
        let home = tempfile::tempdir().unwrap();
        let digest = hexadecimal(&Sha256::digest(b"bytes"));
        for _ in ["made", "found"] {
            let copy = of(&library(b"bytes"), Some(&home.path().join("plugins"))).unwrap();
            assert_eq!(copy.name.as_deref(), Some(digest.as_str()));
        }
        assert!(of(&library(b"bytes"), None).unwrap().name.is_none());
    }

    #[test]
    fn a_copy_in_memory_can_be_changed_by_nobody() {
        let copy = of(&library(b"bytes"), None).unwrap().file;
        assert!(copy.write_at(b"x", 0).is_err() && copy.set_len(1).is_err());
    }

    #[test]
    fn a_kept_copy_has_no_descriptor_that_could_write_to_it() {
        let home = tempfile::tempdir().unwrap();
        for _ in ["made", "found"] {
            let copy = of(&library(b"bytes"), Some(&home.path().join("plugins"))).unwrap().file;
            assert!(copy.write_at(b"x", 0).is_err() && copy.set_len(1).is_err());
        }
    }
}
