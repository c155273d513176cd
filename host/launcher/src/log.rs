//! Writes the workload's log: `NAME.log`, `NAME.log.1`, `NAME.log.2`, each line with the time at which it came.
//!
//! Output is accepted even if the disk fails: bytes that cannot be written are counted, and a line with the count is
//! written as soon as that is possible again.
use crate::rotated_file::RotatedFile;
use rustix::fs::OFlags;
use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use wharf_failpoint::{Point, perform};

/// A longer line is split.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;
/// The number of bytes that are collected before they are written, at the end of a line.
const BATCH_BYTES: usize = 64 * 1024;

/// One log, open for writing.
pub(crate) struct Log {
    file: RotatedFile,
    /// The beginning of an unfinished line.
    partial: Vec<u8>,
    lost_bytes: u64,
}

impl Log {
    /// Opens the log. A full disk is no error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = RotatedFile::new(path, open_file, [Point::LogAsideBefore, Point::LogAsideAfter]);
        match file.open() {
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Err(error)
            }
            _ => Ok(Self { file, partial: Vec::new(), lost_bytes: 0 }),
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
        let batch = match self.lost_bytes {
            0 => Cow::Borrowed(batch),
            lost => {
                let notice = format!(
                    "{}wharf: {lost} bytes of output are lost, the log could not be written\n",
                    stamp()
                );
                Cow::Owned([notice.as_bytes(), batch].concat())
            }
        };
        self.file.append(&batch)
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = perform(Point::LogOpenBefore, Point::LogOpenAfter, || {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
    })?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

/// The present time as the beginning of a line: RFC 3339 in UTC with milliseconds, always of the same length.
fn stamp() -> String {
    format!("{:.3} ", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotated_file::MAX_FILE_BYTES;
    use std::fs;

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
        log.file.close();
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
