//! Shows the log of a supervisor: a file that may be rotated meanwhile.
//!
//! It learns of new lines by watching the file for writes, and its folder for a file that takes its place.
use super::failure::Failure;
use super::log_writer::{LogWriter, broken};
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wharf_model::{Error, ErrorKind};
use wharf_records::Watch;

/// The lines to show.
pub(super) struct Wanted {
    /// Only the last lines.
    pub(super) lines: Option<u64>,
    /// Only lines since this time.
    pub(super) since: Option<Timestamp>,
    /// Also new lines, as they are written.
    pub(super) follow: bool,
}

/// Prints the present lines, and with `follow` new ones.
pub(super) async fn print(path: &Path, wanted: &Wanted, writer: &mut LogWriter) -> Result<(), Failure> {
    // The watch begins before the read: lines that are written in between are in the read.
    let mut watch =
        if wanted.follow { Some(watched(path).map_err(|error| unwatched(&error))?) } else { None };
    let mut tailed = Tailed::open(path, wanted.since).map_err(|error| broken(&error))?;
    let first = tailed.lines().map_err(|error| broken(&error))?;
    let keep = wanted.lines.map_or(first.len(), |lines| usize::try_from(lines).unwrap_or(usize::MAX));
    for line in &first[first.len().saturating_sub(keep)..] {
        writer.line(line)?;
    }
    while let Some(watch) = &mut watch {
        watch.changed().await.map_err(|error| unwatched(&error))?;
        print_new(&mut tailed, writer)?;
        if tailed.is_replaced() {
            // The last lines of the old file come first.
            print_new(&mut tailed, writer)?;
            watch.file(path).map_err(|error| unwatched(&error))?;
            tailed = tailed.reopened().map_err(|error| broken(&error))?;
            print_new(&mut tailed, writer)?;
        }
    }
    Ok(())
}

fn print_new(tailed: &mut Tailed, writer: &mut LogWriter) -> Result<(), Failure> {
    for line in tailed.lines().map_err(|error| broken(&error))? {
        writer.line(&line)?;
    }
    Ok(())
}

fn watched(path: &Path) -> io::Result<Watch> {
    let watch = Watch::new()?;
    watch.folder(path.parent().unwrap_or(Path::new("/")))?;
    watch.file(path)?;
    Ok(watch)
}

fn unwatched(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "the log cannot be watched", error)
}

/// A file that is read line by line as it grows.
struct Tailed {
    path: PathBuf,
    reader: BufReader<File>,
    /// A line whose end has not been written yet.
    unfinished: Vec<u8>,
    since: Option<Timestamp>,
    /// Whether the last line with a time was late enough; lines without a time belong to it.
    is_late_enough: bool,
}

impl Tailed {
    fn open(path: &Path, since: Option<Timestamp>) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(File::open(path)?),
            unfinished: Vec::new(),
            since,
            is_late_enough: since.is_none(),
        })
    }

    /// Opens the path again, which leads to another file by now.
    fn reopened(self) -> io::Result<Self> {
        Ok(Self { is_late_enough: self.is_late_enough, ..Self::open(&self.path, self.since)? })
    }

    /// The complete lines since the last call. Rotation bounds the file's size.
    fn lines(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        loop {
            self.reader.read_until(b'\n', &mut self.unfinished)?;
            if self.unfinished.last() != Some(&b'\n') {
                return Ok(lines);
            }
            let line = std::mem::take(&mut self.unfinished);
            if self.is_wanted(&line) {
                lines.push(line);
            }
        }
    }

    fn is_wanted(&mut self, line: &[u8]) -> bool {
        let Some(since) = self.since else { return true };
        let first = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        if let Some(written) = str::from_utf8(first).ok().and_then(|text| text.parse::<Timestamp>().ok()) {
            self.is_late_enough = written >= since;
        }
        self.is_late_enough
    }

    fn is_replaced(&self) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (self.reader.get_ref().metadata().map(identity), std::fs::metadata(&self.path).map(identity)) {
            (Ok(open), Ok(named)) => open != named,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn texts(lines: Vec<Vec<u8>>) -> Vec<String> {
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_growing_file_is_followed_through_its_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.proxy.log");
        let mut old = File::create(&path).unwrap();
        let mut watch = watched(&path).unwrap();
        let mut tailed = Tailed::open(&path, None).unwrap();
        old.write_all(b"one\ntw").unwrap();
        watch.changed().await.unwrap();
        assert_eq!(texts(tailed.lines().unwrap()), ["one\n"]);
        old.write_all(b"o\n").unwrap();
        watch.changed().await.unwrap();
        assert_eq!(texts(tailed.lines().unwrap()), ["two\n"]);
        assert!(!tailed.is_replaced());
        std::fs::rename(&path, dir.path().join("x.proxy.log.1")).unwrap();
        let mut new = File::create(&path).unwrap();
        new.write_all(b"three\n").unwrap();
        watch.changed().await.unwrap();
        assert!(tailed.is_replaced());
        watch.file(&path).unwrap();
        assert_eq!(texts(tailed.reopened().unwrap().lines().unwrap()), ["three\n"]);
    }

    #[test]
    fn lines_without_a_time_belong_to_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.proxy.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"2026-01-01T00:00:00Z early\n  more\n2026-01-02T00:00:00.5Z late\n  more late\n")
            .unwrap();
        let mut tailed = Tailed::open(&path, Some("2026-01-02T00:00:00Z".parse().unwrap())).unwrap();
        assert_eq!(texts(tailed.lines().unwrap()), ["2026-01-02T00:00:00.5Z late\n", "  more late\n"]);
    }
}
