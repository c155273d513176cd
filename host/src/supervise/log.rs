//! The supervisor's own log: one file, rotated by size.
use crate::failpoint::{Point, reach};
use crate::status::{StateDir, WorkloadName};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A file that grew to this is set aside.
const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// How many that were set aside are kept.
const KEPT: u32 = 2;

/// Where a supervisor's log is. No name of a workload has a dot in it, so it meets no workload's own log.
pub fn log_path(state: &StateDir, name: &WorkloadName) -> PathBuf {
    state.logs().join(format!("{name}.proxy.log"))
}

/// Why a supervisor ended in the middle of its work, from its log, looked at from this byte on. What it logs begins with
/// a time: only the last words of a process that a plugin ended, or that could not begin, begin like this.
pub(crate) fn last_words(log: &Path, from: u64) -> Option<String> {
    /// They are at the end.
    const MAX_BYTES: u64 = 16 * 1024;
    let mut file = File::open(log).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(io::SeekFrom::Start(from.max(len.saturating_sub(MAX_BYTES)))).ok()?;
    let mut end = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    end.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}

/// Removes the logs of an earlier workload of this name: they stay until the name is used again. What cannot be
/// removed is in nobody's way.
pub(crate) fn clear_logs(state: &StateDir, name: &WorkloadName) {
    let proxy = log_path(state, name);
    let workload = state.logs().join(format!("{name}.log"));
    reach(Point::LogsClearBefore);
    for path in [proxy, workload] {
        for number in 0..=KEPT {
            let _ = std::fs::remove_file(if number == 0 { path.clone() } else { aside(&path, number) });
        }
    }
    reach(Point::LogsClearAfter);
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// A writer that sets the file aside when it is full. A disk that is full loses records, and nothing else.
#[derive(Clone)]
pub(super) struct RotatedLog(Arc<Mutex<Current>>);

struct Current {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl RotatedLog {
    /// Opens the log to append to it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, bytes) = open(path)?;
        Ok(Self(Arc::new(Mutex::new(Current { path: path.to_owned(), file, bytes }))))
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = open_file(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// The supervisor's log, made if it is not there: also for the command that starts it.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    reach(Point::ProxyLogOpenBefore);
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    reach(Point::ProxyLogOpenAfter);
    opened
}

impl Current {
    fn rotate(&mut self) -> io::Result<()> {
        reach(Point::ProxyLogAsideBefore);
        let aside = |number| aside(&self.path, number);
        for number in (1..KEPT).rev() {
            let _ = std::fs::rename(aside(number), aside(number + 1));
        }
        std::fs::rename(&self.path, aside(1))?;
        reach(Point::ProxyLogAsideAfter);
        (self.file, self.bytes) = open(&self.path)?;
        Ok(())
    }
}

impl Write for RotatedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.bytes >= MAX_BYTES {
            // A rotation that fails leaves the file as it is; the next record tries again.
            let _ = current.rotate();
        }
        let written = current.file.write(bytes)?;
        current.bytes += written as u64;
        Ok(written)
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
        let mut log = RotatedLog::open(&path).unwrap();
        let chunk = vec![b'x'; 1024 * 1024];
        for _ in 0..45 {
            log.write_all(&chunk).unwrap();
        }
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["x.proxy.log", "x.proxy.log.1", "x.proxy.log.2"]);
        assert!(std::fs::metadata(&path).unwrap().len() <= MAX_BYTES);
    }
}
