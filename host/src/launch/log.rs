//! The workload's log: its output by lines, each with the time, in files that are set aside when they are full.
use jiff::Timestamp;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A file that grew to this is set aside.
const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// How many that were set aside are kept.
const KEPT: u32 = 2;
/// A longer line is split.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Writes the log. What cannot be written (a full disk) is lost, and holds nobody up.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    /// A line that has no end yet.
    partial: Vec<u8>,
}

impl Log {
    pub(super) fn new(path: &Path) -> Self {
        let mut log = Self { path: path.to_owned(), file: None, bytes: 0, partial: Vec::new() };
        let _ = log.open();
        log
    }

    /// Takes output as it comes.
    pub(super) fn take(&mut self, output: &[u8]) {
        let time = format!("{:.3} ", Timestamp::now());
        let mut batch = Vec::with_capacity(output.len() + 64);
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.partial.extend_from_slice(text);
            while self.partial.len() > MAX_LINE_BYTES {
                let rest = self.partial.split_off(MAX_LINE_BYTES);
                push_line(&mut batch, &time, &std::mem::replace(&mut self.partial, rest));
            }
            if ended {
                push_line(&mut batch, &time, &std::mem::take(&mut self.partial));
            }
        }
        self.write(&batch);
    }

    /// Writes a line that has no end, when no more comes.
    pub(super) fn finish(&mut self) {
        if !self.partial.is_empty() {
            self.take(b"\n");
        }
    }

    fn write(&mut self, batch: &[u8]) {
        if batch.is_empty() {
            return;
        }
        if self.file.is_none() || self.bytes >= MAX_BYTES {
            let _ = self.rotate();
        }
        if let Some(file) = &mut self.file
            && file.write_all(batch).is_ok()
        {
            self.bytes += batch.len() as u64;
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.bytes >= MAX_BYTES {
            for number in (1..KEPT).rev() {
                let _ = std::fs::rename(self.aside(number), self.aside(number + 1));
            }
            std::fs::rename(&self.path, self.aside(1))?;
        }
        self.open()
    }

    fn open(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

fn push_line(batch: &mut Vec<u8>, time: &str, line: &[u8]) {
    batch.extend_from_slice(time.as_bytes());
    batch.extend_from_slice(line);
    batch.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_the_time_and_come_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = Log::new(&path);
        log.take(b"one\ntw");
        log.take(b"o\nthree");
        log.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(lines.iter().all(|(time, _)| time.parse::<Timestamp>().is_ok()));
        assert_eq!(lines.iter().map(|(_, line)| *line).collect::<Vec<_>>(), ["one", "two", "three"]);
    }

    #[test]
    fn a_flood_is_kept_within_three_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(&dir.path().join("x.log"));
        let chunk = [b"x".repeat(1023), b"\n".to_vec()].concat().repeat(1024);
        for _ in 0..50 {
            log.take(&chunk);
        }
        let sizes: Vec<u64> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().sum::<u64>() < 40 * 1024 * 1024);
    }

    #[test]
    fn a_line_without_end_is_split() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = Log::new(&path);
        log.take(&b"y".repeat(3 * MAX_LINE_BYTES));
        assert!(log.partial.len() <= MAX_LINE_BYTES);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
