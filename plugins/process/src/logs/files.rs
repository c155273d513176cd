//! The files of one log: `NAME.log`, and the rotated ones, of which `NAME.log.1` is newer than `NAME.log.2`.
use std::{
    ffi::OsString,
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// The number of files that the launcher keeps, with the one that it writes.
const KEPT_FILES: usize = 3;
/// The size of a block when lines are counted from the end.
const BLOCK_BYTES: u64 = 64 * 1024;

/// One of the files, held open: it stays readable when it is rotated or removed.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) file: File,
    /// Device and inode: identifies the file even if it is renamed.
    pub(super) id: (u64, u64),
    pub(super) offset: u64,
}

impl LogFile {
    /// Opens a file. None if there is none of that name.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok(Some(Self { file, id: (metadata.dev(), metadata.ino()), offset: 0 }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The names, newest first.
fn names(log: &Path) -> impl Iterator<Item = PathBuf> {
    let log = log.to_owned();
    (0..KEPT_FILES).map(move |number| {
        let mut name = OsString::from(&log);
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    })
}

/// All existing files, oldest first, each once.
///
/// They are opened newest first: a file that is rotated meanwhile is met again under its next name, and skipped there.
pub(super) fn open_all(log: &Path) -> io::Result<Vec<LogFile>> {
    let mut files: Vec<LogFile> = Vec::with_capacity(KEPT_FILES + 1);
    for name in names(log) {
        if let Some(file) = LogFile::open(&name)?
            && files.iter().all(|seen| seen.id != file.id)
        {
            files.push(file);
        }
    }
    files.reverse();
    Ok(files)
}

/// The files that are newer than this one, oldest first; all of them if this one has been removed.
pub(super) fn open_after(log: &Path, id: (u64, u64)) -> io::Result<Vec<LogFile>> {
    let mut files = open_all(log)?;
    if let Some(position) = files.iter().position(|file| file.id == id) {
        files.drain(..=position);
    }
    Ok(files)
}

/// Leaves only the last lines: drops files and sets offsets. A last line without an end counts.
pub(super) fn keep_last_lines(files: &mut Vec<LogFile>, lines: u64) -> io::Result<()> {
    // The position sought is the end of the line before the first that is wanted.
    let mut ends_wanted = lines;
    let mut is_last_byte = true;
    let mut block = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or(64 * 1024)];
    for index in (0..files.len()).rev() {
        let mut end = files[index].file.metadata()?.len();
        while end > 0 {
            let start = end.saturating_sub(BLOCK_BYTES);
            let length = usize::try_from(end - start).unwrap_or(block.len());
            files[index].file.read_exact_at(&mut block[..length], start)?;
            for position in (0..length).rev() {
                let is_end = block[position] == b'\n';
                // The end of the very last line is not counted, since no line follows it.
                if is_end && !is_last_byte {
                    ends_wanted = ends_wanted.saturating_sub(1);
                }
                if ends_wanted == 0 {
                    files[index].offset = start + position as u64 + 1;
                    files.drain(..index);
                    return Ok(());
                }
                is_last_byte = false;
            }
            end = start;
        }
    }
    Ok(())
}
