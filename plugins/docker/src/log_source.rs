//! [`Log`]: the store of an engine for the output of one container.
use bollard::{Docker, container::LogOutput, errors::Error, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

/// The log of one container.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) client: Docker,
    pub(crate) container: String,
    /// Its stdout is the protocol's, and no part of the log.
    pub(crate) is_protocol: bool,
    /// Nothing before this second.
    pub(crate) since: i32,
}

/// What is asked of an engine.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) follow: bool,
    /// The last lines of both streams together, even if only one is wanted; none: all.
    pub(crate) tail: Option<u64>,
    /// With the time before each part.
    pub(crate) timestamps: bool,
}

impl Log {
    /// Its parts, as the engine has them.
    pub(crate) fn ask(&self, asked: Asked) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let tail = asked.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::new().stdout(!self.is_protocol).stderr(true).since(self.since);
        let options = options.follow(asked.follow).timestamps(asked.timestamps).tail(&tail).build();
        self.client.logs(&self.container, Some(options)).map_ok(LogOutput::into_bytes)
    }
}
