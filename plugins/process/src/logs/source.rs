//! The text of a log, from its oldest file to its newest and, when it is followed, on.
use super::{
    files::{self, LogFile},
    follow::Changes,
    lines::Lines,
};
use std::{
    collections::VecDeque,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use wharf_sdk::LogOptions;

/// The size of a read.
const CHUNK_BYTES: usize = 64 * 1024;

/// The files and the state of a reading.
pub(super) struct Source {
    log: PathBuf,
    /// The files that are still to be read, oldest first; when the log is followed, the last one stays.
    files: VecDeque<LogFile>,
    lines: Lines,
    changes: Option<Changes>,
    /// The workload has ended: the present contents are all that will come.
    is_closing: bool,
}

impl Source {
    pub(super) fn open(log: &Path, options: LogOptions, changes: Option<Changes>) -> io::Result<Self> {
        let mut files = files::open_all(log)?;
        if let Some(lines) = options.tail {
            files::keep_last_lines(&mut files, lines)?;
        }
        Ok(Self {
            log: log.to_owned(),
            files: files.into(),
            lines: Lines::new(options.since_ms, options.timestamps),
            changes,
            is_closing: false,
        })
    }

    /// The next piece of text. None at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            while let Some(piece) = self.read_piece().await? {
                let text = self.lines.take(&piece);
                if !text.is_empty() {
                    return Ok(Some(text));
                }
            }
            let Some(changes) = &mut self.changes else {
                let rest = self.lines.rest();
                return Ok((!rest.is_empty()).then_some(rest));
            };
            if self.is_closing {
                self.changes = None;
                continue;
            }
            let watched = self.files.back().map(|file| &file.file);
            self.is_closing = !changes.next(watched).await?;
        }
    }

    /// The next bytes. None: there are none at the moment.
    async fn read_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.files.is_empty() && self.changes.is_some() {
                self.files = files::open_all(&self.log)?.into();
            }
            let is_last = self.files.len() == 1;
            let Some(current) = self.files.front_mut() else { return Ok(None) };
            let piece = read_at(current).await?;
            if !piece.is_empty() {
                current.offset += piece.len() as u64;
                return Ok(Some(piece));
            }
            if !is_last || self.changes.is_none() {
                self.files.pop_front();
                continue;
            }
            // The file may have been rotated. The launcher wrote its last bytes before that, so it is read once more before
            // the next one.
            let later = files::open_after(&self.log, current.id)?;
            if later.is_empty() {
                return Ok(None);
            }
            if read_at(current).await?.is_empty() {
                self.files = later.into();
            }
        }
    }
}

async fn read_at(file: &LogFile) -> io::Result<Vec<u8>> {
    let (handle, offset) = (file.file.try_clone()?, file.offset);
    tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; CHUNK_BYTES];
        let count = handle.read_at(&mut piece, offset)?;
        piece.truncate(count);
        Ok(piece)
    })
    .await
    .map_err(io::Error::other)?
}
