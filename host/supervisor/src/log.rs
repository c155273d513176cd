//! The supervisor's own log: one file, rotated by size. Whoever else keeps a log without an end uses the same.
use jiff::Timestamp;
use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use wharf_failpoint::{Point, perform, reach};
use wharf_launcher::{RotatedFile, log_files};
use wharf_model::WorkloadName;
use wharf_records::StateDir;

/// The path of a supervisor's log. A workload's name has no dot, so this is never the path of a workload's own log.
pub fn log_path(state: &StateDir, name: &WorkloadName) -> PathBuf {
    state.logs().join(format!("{name}.proxy.log"))
}

/// The reason why a supervisor ended in the middle of its work, from the part of its log from this byte on. Its log records
/// begin with a time. Only the last line of a process that a plugin ended, or that could not begin, begins with `error:`.
pub fn last_words(log: &Path, from: u64) -> Option<String> {
    /// The line is at the end, so no more is read.
    const MAX_BYTES: u64 = 16 * 1024;
    let mut file = File::open(log).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(io::SeekFrom::Start(from.max(len.saturating_sub(MAX_BYTES)))).ok()?;
    let mut end = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    end.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}

/// Removes the logs of an earlier workload of this name, which stay until the name is used again. A log that cannot be
/// removed is no obstacle.
pub fn clear_logs(state: &StateDir, name: &WorkloadName) {
    let proxy = log_path(state, name);
    let workload = state.logs().join(format!("{name}.log"));
    reach(Point::LogsClearBefore);
    for file in [proxy, workload].iter().flat_map(|path| log_files(path)) {
        let _ = std::fs::remove_file(file);
    }
    reach(Point::LogsClearAfter);
}

/// A writer that rotates the file when it is full. It never fails: records that the disk does not take are lost, and a line
/// with their number is written as soon as possible. A full disk must not end the supervisor.
#[derive(Clone)]
pub struct RotatedLog(Arc<Mutex<Current>>);

struct Current {
    file: RotatedFile,
    lost_records: u64,
}

impl RotatedLog {
    /// Opens the log to append to it. If that fails, a later record tries again.
    pub fn open(path: &Path) -> Self {
        let aside = [Point::ProxyLogAsideBefore, Point::ProxyLogAsideAfter];
        let mut file = RotatedFile::new(path, open_file, aside);
        // If it cannot be opened now, each record tries again.
        let _ = file.open();
        Self(Arc::new(Mutex::new(Current { file, lost_records: 0 })))
    }
}

/// Opens the supervisor's log, made if it is missing. The command that starts the supervisor calls this, too.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    perform(Point::ProxyLogOpenBefore, Point::ProxyLogOpenAfter, || {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    })
}

impl Current {
    fn take(&mut self, record: &[u8]) {
        match self.write(record) {
            Ok(()) => self.lost_records = 0,
            Err(_) => self.lost_records = self.lost_records.saturating_add(1),
        }
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let record = match self.lost_records {
            0 => Cow::Borrowed(record),
            lost => {
                let now = Timestamp::now();
                let notice =
                    format!("{now:.6} wharf: {lost} records are lost, the log could not be written\n");
                Cow::Owned([notice.as_bytes(), record].concat())
            }
        };
        self.file.append(&record)
    }
}

impl Write for RotatedLog {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(record);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_set_aside_and_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.proxy.log");
        let mut log = RotatedLog::open(&path);
        let chunk = vec![b'x'; 1024 * 1024];
        for _ in 0..45 {
            log.write_all(&chunk).unwrap();
        }
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["x.proxy.log", "x.proxy.log.1", "x.proxy.log.2"]);
        assert!(std::fs::metadata(&path).unwrap().len() <= wharf_launcher::MAX_FILE_BYTES);
    }

    #[test]
    fn log_lines_that_cannot_be_written_are_counted_and_end_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.proxy.log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut log = RotatedLog::open(&path);
        for _ in 0..3 {
            log.write_all(b"lost\n").unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        log.write_all(b"kept\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(" wharf: 3 records are lost") && text.ends_with("\nkept\n"), "{text}");
    }

    #[test]
    fn a_rotation_that_got_half_way_is_finished_by_the_next_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.proxy.log");
        let mut log = RotatedLog::open(&path);
        log.write_all(&vec![b'x'; 11 * 1024 * 1024]).unwrap();
        // The file was rotated, and the next one could not be opened.
        std::fs::rename(&path, dir.path().join("x.proxy.log.1")).unwrap();
        log.write_all(b"next\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"next\n");
    }
}
