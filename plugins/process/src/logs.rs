//! Reads a workload's log, oldest first, without the times that the launcher puts before each line.
use crate::follow::Follow;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use wharf_sdk::{ByteStream, Error, LogOptions, Result};

/// How many files the launcher keeps aside.
const KEPT: u32 = 2;
/// What may be under way to a slow reader.
const BUFFER_BYTES: usize = 256 * 1024;
/// The most that `tail` holds in memory.
const MAX_TAIL_BYTES: usize = 32 * 1024 * 1024;

/// The log as a stream.
pub(crate) async fn read(path: PathBuf, options: LogOptions) -> Result<ByteStream> {
    // The watch begins before the file is read, so that nothing falls between the two.
    let follow = if options.follow { Some(Follow::new(&path)?) } else { None };
    let (reader, mut writer) = duplex(BUFFER_BYTES);
    tokio::spawn(async move {
        if let Err(error) = copy(&path, options, follow, &mut writer).await {
            tracing::debug!(%error, "a log was not read to its end");
        }
    });
    Ok(ByteStream::reading(reader))
}

async fn copy(
    path: &Path,
    options: LogOptions,
    follow: Option<Follow>,
    writer: &mut DuplexStream,
) -> io::Result<()> {
    let (chunks, current) = {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || past(&path, options)).await.map_err(io::Error::other)??
    };
    for line in chunks {
        writer.write_all(&line).await?;
    }
    let (Some(mut follow), current) = (follow, current) else { return Ok(()) };
    let mut current = current;
    loop {
        let mut lines = Vec::new();
        if let Some(reader) = &mut current {
            read_lines(reader, &mut |line| lines.extend_from_slice(text(line)))?;
        }
        writer.write_all(&lines).await?;
        if lines.is_empty() {
            // A file that was set aside is read to its end first, then the new one from its beginning.
            if follow.was_replaced() || current.is_none() {
                current = open(path)?;
                if current.is_some() && follow.clear_replaced() {
                    continue;
                }
            }
            tokio::select! {
                changed = follow.changed() => changed?,
                () = reader_gone(writer) => return Ok(()),
            }
        }
    }
}

/// Resolves when nobody reads any more: a duplex tells its writer by an error at the next write alone, so an empty
/// write cannot serve; its other half being read tells it.
async fn reader_gone(writer: &mut DuplexStream) {
    use tokio::io::AsyncReadExt;
    let mut byte = [0];
    while !matches!(writer.read(&mut byte).await, Ok(0) | Err(_)) {}
}

type Reader = BufReader<File>;

/// What has been written so far, and the file that goes on.
fn past(path: &Path, options: LogOptions) -> io::Result<(VecDeque<Vec<u8>>, Option<Reader>)> {
    let mut kept = Kept::new(options.tail);
    for number in (1..=KEPT).rev() {
        let mut aside = path.to_owned().into_os_string();
        aside.push(format!(".{number}"));
        if let Some(mut reader) = open(Path::new(&aside))? {
            read_lines(&mut reader, &mut |line| kept.push(line, options.since_ms))?;
        }
    }
    let mut current = open(path)?;
    if let Some(reader) = &mut current {
        read_lines(reader, &mut |line| kept.push(line, options.since_ms))?;
    }
    Ok((kept.lines, current))
}

fn open(path: &Path) -> io::Result<Option<Reader>> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::with_capacity(64 * 1024, file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads whole lines to the end; the launcher writes them whole.
fn read_lines(reader: &mut Reader, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        take(&line);
    }
}

/// The lines that are asked for.
struct Kept {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    tail: usize,
}

impl Kept {
    fn new(tail: Option<u64>) -> Self {
        let tail = tail.map_or(usize::MAX, |tail| usize::try_from(tail).unwrap_or(usize::MAX));
        Self { lines: VecDeque::new(), bytes: 0, tail }
    }

    fn push(&mut self, line: &[u8], since_ms: Option<u64>) {
        if since_ms.is_some_and(|since| time_ms(line).is_some_and(|time| time < since)) {
            return;
        }
        let line = text(line).to_vec();
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > self.tail || self.bytes > MAX_TAIL_BYTES {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }
}

/// A line without the launcher's time.
fn text(line: &[u8]) -> &[u8] {
    match line.iter().position(|byte| *byte == b' ') {
        Some(at) => &line[at + 1..],
        None => line,
    }
}

/// A line's time, in milliseconds after the epoch.
fn time_ms(line: &[u8]) -> Option<u64> {
    let at = line.iter().position(|byte| *byte == b' ')?;
    let time: jiff::Timestamp = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// An error of the log, as the plugin tells it.
pub(crate) fn failed(path: &Path, error: &io::Error) -> Error {
    Error::io(&format!("the log {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt};

    const FIRST: &str = "2026-01-01T00:00:00.000Z ";
    const LATER: &str = "2026-01-02T00:00:00.000Z ";

    fn log(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut file = File::create(&path).unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
        (dir, path)
    }

    async fn all(path: &Path, options: LogOptions) -> String {
        let (mut reader, mut writer) = duplex(BUFFER_BYTES);
        copy(path, options, None, &mut writer).await.unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn tail_and_since_choose_lines() {
        let (_dir, path) =
            log(&[&format!("{FIRST}one two"), &format!("{LATER}three"), &format!("{LATER}four")]);
        assert_eq!(all(&path, LogOptions::default()).await, "one two\nthree\nfour\n");
        assert_eq!(all(&path, LogOptions { tail: Some(1), ..LogOptions::default() }).await, "four\n");
        assert_eq!(all(&path, LogOptions { tail: Some(0), ..LogOptions::default() }).await, "");
        let since: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let since_ms = Some(u64::try_from(since.as_millisecond()).unwrap());
        assert_eq!(all(&path, LogOptions { since_ms, ..LogOptions::default() }).await, "three\nfour\n");
    }

    #[tokio::test]
    async fn files_that_were_set_aside_come_first() {
        let (dir, path) = log(&[&format!("{LATER}new")]);
        std::fs::copy(&path, dir.path().join("x.log.1")).unwrap();
        assert_eq!(all(&path, LogOptions::default()).await, "new\nnew\n");
    }

    #[tokio::test]
    async fn following_goes_on_over_a_rotation() {
        let (dir, path) = log(&[&format!("{FIRST}one")]);
        let (reader, mut writer) = duplex(BUFFER_BYTES);
        let mut lines = tokio::io::BufReader::new(reader).lines();
        let follow = Follow::new(&path).unwrap();
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let copied = path.clone();
        let task = tokio::spawn(async move { copy(&copied, options, Some(follow), &mut writer).await });
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "one");
        writeln!(File::options().append(true).open(&path).unwrap(), "{FIRST}two").unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "two");
        std::fs::rename(&path, dir.path().join("x.log.1")).unwrap();
        writeln!(File::create(&path).unwrap(), "{LATER}three").unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "three");
        drop(lines);
        task.await.unwrap().unwrap();
    }
}
