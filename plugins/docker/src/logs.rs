//! A container's output, as the engine has kept it.
use crate::{engine::Engine, handle::HandleData};
use bollard::{container::LogOutput, errors::Error, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use std::{collections::VecDeque, io};
use tokio_util::io::StreamReader;
use wharf_sdk::{ByteStream, LogOptions};

/// The output from the engine's store: both streams, but stdout where it is the protocol.
pub(crate) fn open(engine: &Engine, data: &HandleData, options: LogOptions) -> ByteStream {
    let is_protocol = data.target_port.is_none();
    let since = options.since_ms.map_or(0, |ms| i32::try_from(ms / 1000).unwrap_or(i32::MAX));
    // Engines count the lines of both streams, whichever are asked for.
    let own_tail = options.tail.filter(|_| is_protocol && !options.follow);
    let tail = options.tail.filter(|_| own_tail.is_none());
    let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let options = LogsOptionsBuilder::new()
        .follow(options.follow)
        .stdout(!is_protocol)
        .stderr(true)
        .since(since)
        .tail(&tail)
        .build();
    let output = engine.client.logs(&data.container, Some(options));
    let bytes = output.map_ok(LogOutput::into_bytes);
    match own_tail {
        None => reading(bytes),
        Some(count) => {
            let lines = stream::once(last(bytes, count));
            reading(lines.map_ok(|lines| stream::iter(lines.into_iter().map(Ok))).try_flatten())
        }
    }
}

fn reading(bytes: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> ByteStream {
    ByteStream::reading(StreamReader::new(Box::pin(bytes.map_err(io::Error::other))))
}

/// What is longer is cut: a server may write without an end.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The last so many lines: no more than these are held at a time.
async fn last(bytes: impl Stream<Item = Result<Bytes, Error>>, count: u64) -> Result<VecDeque<Bytes>, Error> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut bytes = std::pin::pin!(bytes);
    let mut lines = VecDeque::new();
    let mut begun = Vec::new();
    while let Some(part) = bytes.try_next().await? {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                if !begun.ends_with(b"\n") {
                    begun.push(b'\n');
                }
                lines.push_back(Bytes::from(std::mem::take(&mut begun)));
            }
            if lines.len() > count {
                lines.pop_front();
            }
        }
    }
    if !begun.is_empty() {
        lines.push_back(Bytes::from(begun));
    }
    while lines.len() > count {
        lines.pop_front();
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_whole_however_they_come() {
        let lines = async |count| {
            let parts = ["one\ntw", "o\n", "thr", "ee"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
            let lines = last(stream::iter(parts), count).await;
            lines
                .unwrap()
                .into_iter()
                .map(|line| String::from_utf8(line.to_vec()).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(2).await, ["two\n", "three"]);
        assert_eq!(lines(0).await, Vec::<String>::new());
        assert_eq!(lines(9).await.len(), 3);
    }
}
