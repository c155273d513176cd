//! The files of a log: `NAME.log`, which is written, and the full ones before it, `NAME.log.1` and `NAME.log.2`.
//!
//! The launcher writes a workload's output to such files, and the supervisor its own log. This module knows nothing of lines:
//! its callers form them, and count the losses.
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};
use wharf_failpoint::{Point, may_fail};

/// A file that would become larger is rotated first.
pub const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;
/// The number of files that are kept, with the one that is written.
const KEPT_FILES: u32 = 3;

/// A file that is rotated when it is full.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    open: fn(&Path) -> io::Result<File>,
    /// The failpoints before a rotation, and after it, while there is no file of its name.
    aside: [Point; 2],
    /// None if it is not open yet, or could not be written; the next write opens it.
    file: Option<File>,
}

impl RotatedFile {
    /// A file that is not open yet. `open` opens it for appending, and creates it if it is missing.
    pub fn new(path: &Path, open: fn(&Path) -> io::Result<File>, aside: [Point; 2]) -> Self {
        Self { path: path.to_owned(), open, aside, file: None }
    }

    /// Opens the file, unless it is open.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => (self.open)(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    /// Appends all of these bytes, or none of them.
    ///
    /// # Errors
    /// The file cannot be written or rotated; then it stays as it is, and does not grow.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut length = self.open()?.metadata()?.len();
        if length > 0 && length + bytes.len() as u64 > MAX_FILE_BYTES {
            self.rotate()?;
            length = 0;
        }
        let file = self.open()?;
        let written = file.write_all(bytes);
        if written.is_err() {
            // If only a part was written, it is cut off, or the next line would be appended to half a line. Cutting needs
            // no room.
            let _ = file.set_len(length);
            self.file = None;
        }
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        let [before, after] = self.aside;
        may_fail(before)?;
        for number in (1..KEPT_FILES).rev() {
            // If an earlier rotation stopped half-way, the first name may be missing.
            match fs::rename(numbered(&self.path, number - 1), numbered(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        may_fail(after)?;
        self.file = None;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn close(&mut self) {
        self.file = None;
    }
}

/// The paths of all files of a log, the written one first, whether the files exist or not.
pub fn log_files(path: &Path) -> impl Iterator<Item = PathBuf> {
    (0..KEPT_FILES).map(|number| numbered(path, number))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}
