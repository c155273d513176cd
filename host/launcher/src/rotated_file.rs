//! A log's file: `NAME.log`, and those that were full before it, `NAME.log.1`, `NAME.log.2`.
//!
//! The launcher writes a workload's output to one, and the supervisor its own log. It must not know what a line is: who
//! writes decides that, and counts what was lost.
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};
use wharf_failpoint::{Point, may_fail};

/// A file that would become larger is put aside first.
pub const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;
/// How many are kept, the one that is written included.
const KEPT_FILES: u32 = 3;

/// A file that is put aside when it is full.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    open: fn(&Path) -> io::Result<File>,
    /// Before it is put aside, and when there is nothing under its name.
    aside: [Point; 2],
    /// None: it is not open yet, or could not be written; opened anew with the next write.
    file: Option<File>,
}

impl RotatedFile {
    /// Not open yet. `open` makes it if it is not there, to append to it.
    pub fn new(path: &Path, open: fn(&Path) -> io::Result<File>, aside: [Point; 2]) -> Self {
        Self { path: path.to_owned(), open, aside, file: None }
    }

    /// Opens it, if it is not open.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => (self.open)(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    /// Writes all of this, or nothing of it.
    ///
    /// # Errors
    /// It cannot be written, or not be put aside: then it stays as it is, and does not grow.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut length = self.open()?.metadata()?.len();
        if length > 0 && length + bytes.len() as u64 > MAX_FILE_BYTES {
            self.rotate()?;
            length = 0;
        }
        let file = self.open()?;
        let written = file.write_all(bytes);
        if written.is_err() {
            // Half a line would be the beginning of the next one; cutting needs no room.
            let _ = file.set_len(length);
            self.file = None;
        }
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        let [before, after] = self.aside;
        may_fail(before)?;
        for number in (1..KEPT_FILES).rev() {
            // Where an earlier attempt got no further, there is nothing under the first name.
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

/// The files of a log, the one that is written first, whether they are there or not.
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
