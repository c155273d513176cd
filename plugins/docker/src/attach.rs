//! Makes one byte stream of the stdin and stdout of a container, for `attach`.
use crate::engine::Engine;
use bollard::{container::LogOutput, errors::Error, query_parameters::AttachContainerOptionsBuilder};
use futures_util::StreamExt;
use std::{future::ready, io};
use tokio_util::io::StreamReader;
use wharf_sdk::ByteStream;

/// Attaches to a container's stdin and stdout. Its stderr goes to the engine's logs.
pub(crate) async fn open(engine: &Engine, container: &str) -> Result<ByteStream, Error> {
    let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).build();
    let attached = engine.client.attach_container(container, Some(options)).await?;
    let stdout = attached.output.filter_map(|part| {
        ready(match part {
            Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => Some(Ok(message)),
            Ok(LogOutput::StdErr { .. } | LogOutput::StdIn { .. }) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    Ok(ByteStream::new(StreamReader::new(Box::pin(stdout)), attached.input))
}
