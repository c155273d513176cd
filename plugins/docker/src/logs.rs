//! The output of a container, from the engine's store.
use crate::{
    engine::Engine,
    handle::HandleData,
    log_end::{self, Stamps},
    log_source::{Asked, Log},
};
use bollard::errors::Error;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use std::io;
use tokio_util::io::StreamReader;
use wharf_sdk::{ByteStream, LogOptions};

/// The output of a container: stderr, and stdout unless the protocol uses it.
pub(crate) fn open(engine: &Engine, data: &HandleData, options: LogOptions) -> ByteStream {
    let is_protocol = data.target_port.is_none();
    let since = options.since_ms.map_or(0, |ms| i32::try_from(ms / 1000).unwrap_or(i32::MAX));
    let (client, container) = (engine.client.clone(), data.container.clone());
    let log = Log { client, container, is_protocol, since };
    let (follow, stamps) = (options.follow, Stamps::new(options.timestamps));
    // Engines count the lines of both streams, even if only one is asked for. So where stdout is left out, the lines are
    // counted here.
    match options.tail {
        Some(count) if is_protocol => {
            let end = log_end::read(log, count, follow, stamps);
            reading(stream::once(end).try_flatten())
        }
        // Engines are asked since a whole second.
        None if options.since_ms.is_some_and(|ms| ms % 1000 != 0) => {
            let parts = log.ask(Asked { follow, timestamps: true, ..Asked::default() });
            reading(log_end::since(parts, options.since_ms.unwrap_or_default(), stamps))
        }
        tail if options.timestamps => {
            reading(log_end::stamped(log.ask(Asked { follow, tail, timestamps: true })))
        }
        tail => reading(log.ask(Asked { follow, tail, ..Asked::default() })),
    }
}

fn reading(bytes: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> ByteStream {
    // A reader takes an empty part for the end.
    let bytes = bytes.try_filter(|part| std::future::ready(!part.is_empty()));
    ByteStream::reading(StreamReader::new(Box::pin(bytes.map_err(io::Error::other))))
}
