//! The output of a container, from the engine's store.
use crate::{engine::Engine, handle::HandleData};
use bollard::{container::LogOutput, errors::Error, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use std::{collections::VecDeque, io};
use tokio_util::io::StreamReader;
use wharf_sdk::{ByteStream, LogOptions};

/// The output of a container: stderr, and stdout unless the protocol uses it.
pub(crate) fn open(engine: &Engine, data: &HandleData, options: LogOptions) -> ByteStream {
    let is_protocol = data.target_port.is_none();
    let since = options.since_ms.map_or(0, |ms| i32::try_from(ms / 1000).unwrap_or(i32::MAX));
    let ask = |follow: bool, tail: Option<u64>| {
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let asked = LogsOptionsBuilder::new().follow(follow).stdout(!is_protocol).stderr(true).since(since);
        let output = engine.client.logs(&data.container, Some(asked.tail(&tail).build()));
        output.map_ok(LogOutput::into_bytes)
    };
    // Engines count the lines of both streams, even if only one is asked for. So where stdout is left out, the lines are
    // counted here.
    match options.tail {
        Some(count) if is_protocol && options.follow => {
            let (past, all) = (ask(false, None), ask(true, None));
            let from = async move { Ok::<_, Error>(skip(all, lines_of(past).await?.saturating_sub(count))) };
            reading(stream::once(from).try_flatten())
        }
        Some(count) if is_protocol => {
            let lines = stream::once(last(ask(false, None), count));
            reading(lines.map_ok(|lines| stream::iter(lines.into_iter().map(Ok))).try_flatten())
        }
        tail => reading(ask(options.follow, tail)),
    }
}

fn reading(bytes: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> ByteStream {
    ByteStream::reading(StreamReader::new(Box::pin(bytes.map_err(io::Error::other))))
}

/// The number of lines; an unfinished last line counts.
async fn lines_of(bytes: impl Stream<Item = Result<Bytes, Error>>) -> Result<u64, Error> {
    let mut bytes = std::pin::pin!(bytes);
    let (mut count, mut is_begun) = (0, false);
    while let Some(part) = bytes.try_next().await? {
        count += part.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        is_begun = part.last().map_or(is_begun, |byte| *byte != b'\n');
    }
    Ok(count + u64::from(is_begun))
}

/// All but the first lines. Lines that are written while the first ones are counted come after those, so none is lost.
fn skip(
    bytes: impl Stream<Item = Result<Bytes, Error>>,
    mut lines: u64,
) -> impl Stream<Item = Result<Bytes, Error>> {
    bytes
        .map_ok(move |mut part| {
            while lines > 0 {
                let Some(end) = part.iter().position(|byte| *byte == b'\n') else { return Bytes::new() };
                lines -= 1;
                drop(part.split_to(end + 1));
            }
            part
        })
        // A reader takes an empty part for the end.
        .try_filter(|part| std::future::ready(!part.is_empty()))
}

/// A longer line is cut, since a server may write without an end.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The last lines; no more than these are held at a time.
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

    #[tokio::test]
    async fn lines_are_counted_and_left_out_however_they_come() {
        let parts = || {
            stream::iter(["one\ntw", "o\n", "thr", "ee"].map(|part| Ok(Bytes::from_static(part.as_bytes()))))
        };
        assert_eq!(lines_of(parts()).await.unwrap(), 3);
        for (count, rest) in [(0, "one\ntwo\nthree"), (1, "two\nthree"), (2, "three"), (3, "")] {
            let kept: Vec<Bytes> = skip(parts(), count).try_collect().await.unwrap();
            assert!(kept.iter().all(|part| !part.is_empty()));
            assert_eq!(kept.concat(), rest.as_bytes(), "{count}");
        }
    }
}
