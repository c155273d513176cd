//! Writes the workload's log: `NAME.log`, `NAME.log.1`, `NAME.log.2`, each line with the time at which it came.
//!
//! Output is accepted even if the disk fails: bytes that cannot be written are counted, and a line with the count is
//! written as soon as that is possible again.
use rustix::fs::OFlags;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use wharf_failpoint::{Point, may_fail, perform};

/// A file that would become larger is rotated first.
pub(crate) const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;
/// The number of files that are kept, with the one that is written.
const KEPT_FILES: u32 = 3;
/// A longer line is split.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;
/// The number of bytes that are collected before they are written, at the end of a line.
const BATCH_BYTES: usize = 64 * 1024;

/// One log, open for writing.
pub(crate) struct Log {
    path: PathBuf,
    /// None if it could not be opened; tried again with each batch.
    file: Option<File>,
    size: u64,
    /// The beginning of an unfinished line.
    partial: Vec<u8>,
    lost_bytes: u64,
}

impl Log {
    /// Opens the log. A full disk is no error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut log = Self { path: path.to_owned(), file: None, size: 0, partial: Vec::new(), lost_bytes: 0 };
        match log.reopen() {
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Err(error)
            }
            _ => Ok(log),
        }
    }

    /// Takes a piece of output, of any length and with any bytes in it.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        let stamp = stamp();
        let mut batch = Vec::with_capacity(BATCH_BYTES + MAX_LINE_BYTES);
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES - self.partial.len();
            let window = &bytes[..bytes.len().min(room)];
            let (line, used) = match window.iter().position(|&byte| byte == b'\n') {
                Some(end) => (&window[..end], end + 1),
                None if window.len() == room => (window, room),
                None => {
                    self.partial.extend_from_slice(window);
                    break;
                }
            };
            batch.extend_from_slice(stamp.as_bytes());
            batch.append(&mut self.partial);
            batch.extend_from_slice(line);
            batch.push(b'\n');
            bytes = &bytes[used..];
            if batch.len() >= BATCH_BYTES {
                self.write(&batch);
                batch.clear();
            }
        }
        if !batch.is_empty() {
            self.write(&batch);
        }
    }

    /// Writes an unfinished line, and the count of lost bytes, if that is possible now.
    pub(crate) fn finish(&mut self) {
        if !self.partial.is_empty() {
            self.take(b"\n");
        }
        if self.lost_bytes > 0 {
            self.write(&[]);
        }
    }

    fn write(&mut self, batch: &[u8]) {
        match self.try_write(batch) {
            Ok(()) => self.lost_bytes = 0,
            Err(_) => self.lost_bytes = self.lost_bytes.saturating_add(batch.len() as u64),
        }
    }

    fn try_write(&mut self, batch: &[u8]) -> io::Result<()> {
        let notice = match self.lost_bytes {
            0 => String::new(),
            lost => {
                format!("{}wharf: {lost} bytes of output are lost, the log could not be written\n", stamp())
            }
        };
        if self.file.is_none() {
            self.reopen()?;
        }
        let added = (notice.len() + batch.len()) as u64;
        if self.size > 0 && self.size + added > MAX_FILE_BYTES {
            self.rotate()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(notice.as_bytes()).and_then(|()| file.write_all(batch));
        if written.is_ok() {
            self.size += added;
        } else {
            // If only a part was written, it is cut off, or the next line would be appended to half a line. Cutting needs
            // no room.
            let _ = file.set_len(self.size);
        }
        written
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = perform(Point::LogOpenBefore, Point::LogOpenAfter, || {
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&self.path)
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        self.size = metadata.len();
        self.file = Some(file);
        Ok(())
    }

    /// Rotates the files. On an error the file stays as it is, and does not grow.
    fn rotate(&mut self) -> io::Result<()> {
        may_fail(Point::LogAsideBefore)?;
        for number in (1..KEPT_FILES).rev() {
            match fs::rename(self.numbered(number - 1), self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        may_fail(Point::LogAsideAfter)?;
        self.file = None;
        self.reopen()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut path = OsString::from(&self.path);
        path.push(format!(".{number}"));
        path.into()
    }
}

/// The present time as the beginning of a line: RFC 3339 in UTC with milliseconds, always of the same length.
fn stamp() -> String {
    format!("{:.3} ", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP_BYTES: usize = "2026-01-02T03:04:05.678Z ".len();

    fn lines(path: &Path) -> Vec<Vec<u8>> {
        let bytes = fs::read(path).unwrap();
        bytes
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| line[STAMP_BYTES..line.len() - 1].to_vec())
            .collect()
    }

    #[test]
    fn a_line_in_pieces_is_one_line_and_the_last_needs_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = Log::open(&path).unwrap();
        log.take(b"on");
        log.take(b"e\n\ntwo\xff");
        log.finish();
        assert_eq!(lines(&path), [b"one".to_vec(), b"".to_vec(), b"two\xff".to_vec()]);
        let text = fs::read(&path).unwrap();
        let stamp = std::str::from_utf8(&text[..STAMP_BYTES]).unwrap();
        assert!(stamp.trim_end().parse::<jiff::Timestamp>().is_ok(), "{stamp}");
    }

    #[test]
    fn a_long_line_is_split_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = Log::open(&path).unwrap();
        let long = vec![b'x'; MAX_LINE_BYTES * 2 + 10];
        for piece in long.chunks(10_000) {
            log.take(piece);
        }
        log.take(b"\nend\n");
        let lengths: Vec<usize> = lines(&path).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, MAX_LINE_BYTES, 10, 3]);
    }

    #[test]
    fn files_are_rotated_by_size_and_three_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = Log::open(&path).unwrap();
        let chunk = [vec![b'y'; 1023], vec![b'\n']].concat().repeat(64);
        for _ in 0..800 {
            log.take(&chunk);
        }
        log.take(b"last\n");
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["a.log", "a.log.1", "a.log.2"]);
        for name in names {
            assert!(fs::metadata(folder.path().join(name)).unwrap().len() <= MAX_FILE_BYTES);
        }
        assert_eq!(lines(&path).last().unwrap(), b"last");
    }

    #[test]
    fn output_is_taken_when_it_cannot_be_written_and_the_loss_is_told_later() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("a.log");
        let mut log = Log::open(&path).unwrap();
        log.file = None;
        fs::remove_dir_all(&inner).unwrap();
        log.take(b"lost\n");
        fs::create_dir(&inner).unwrap();
        log.take(b"kept\n");
        let found = lines(&path);
        assert_eq!(found.len(), 2);
        assert!(String::from_utf8_lossy(&found[0]).contains("30 bytes of output are lost"));
        assert_eq!(found[1], b"kept");
    }
}
