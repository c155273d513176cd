//! Copies a log to stdout: unchanged, or escaped for a terminal.
use super::{escape, output};
use jiff::Timestamp;
use std::io::{self, Write};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use wharf::commands::ReadLog;
use wharf_model::{Error, ErrorKind};

/// A longer line is shown in parts.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// The size of a read.
const CHUNK_BYTES: usize = 64 * 1024;

/// The error for a log that could not be read to its end.
pub(super) fn broken(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "the log cannot be read", error)
}

/// Writes a log to stdout.
pub(super) struct LogWriter {
    /// Whether stdout is a terminal.
    pub(super) escapes: bool,
}

impl LogWriter {
    /// Writes all bytes of the reader, to its end.
    pub(super) async fn copy(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
    ) -> Result<ReadLog, super::failure::Failure> {
        let mut log = ReadLog::now();
        if self.escapes {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while (&mut reader)
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
                .await
                .map_err(|error| broken(&error))?
                > 0
            {
                log.heard = Timestamp::now();
                self.line(&line)?;
                line.clear();
            }
            return Ok(log);
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = reader.read(&mut chunk).await.map_err(|error| broken(&error))?;
            if read == 0 {
                return Ok(log);
            }
            log.heard = Timestamp::now();
            let mut stdout = output::writer()?;
            stdout.write_all(&chunk[..read])?;
            // A reader who follows a log wants to see each line at once.
            stdout.flush()?;
        }
    }

    /// Writes one line. It ends with a line feed unless it is the last one or too long.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let mut stdout = output::writer()?;
        if !self.escapes {
            return stdout.write_all(line);
        }
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        writeln!(stdout, "{}", escape::log_line(text))
    }
}
