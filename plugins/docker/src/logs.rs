//! A container's output, as the engine has kept it.
use crate::{engine::Engine, handle::HandleData};
use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::StreamExt;
use std::io;
use tokio_util::io::StreamReader;
use wharf_sdk::{ByteStream, LogOptions};

/// The output from the engine's store: both streams, but stdout where it is the protocol.
pub(crate) fn open(engine: &Engine, data: &HandleData, options: LogOptions) -> ByteStream {
    let tail = options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let since = options.since_ms.map_or(0, |ms| i32::try_from(ms / 1000).unwrap_or(i32::MAX));
    let options = LogsOptionsBuilder::new()
        .follow(options.follow)
        .stdout(data.target_port.is_some())
        .stderr(true)
        .since(since)
        .tail(&tail)
        .build();
    let output = engine.client.logs(&data.container, Some(options));
    let bytes = output.map(|part| part.map(LogOutput::into_bytes).map_err(io::Error::other));
    ByteStream::reading(StreamReader::new(Box::pin(bytes)))
}
