//! A loaded plugin in the form in which the SDK's cases call it.
use std::{io, path::PathBuf, sync::Arc};
use wharf_runtimes::{CallError, Catalog, ConnectOptions, Connection, Plugins, RawStream};
use wharf_sdk::conformance::{Fault, Link, Pipe, Reply, Subject};

/// One runtime of one library.
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) runtime: String,
    /// The options of the connection; the host id is added.
    pub(super) options: ConnectOptions,
}

impl Subject for Library {
    fn connect(&self, host_id: &str, endpoint: Option<&str>) -> Reply<Arc<dyn Link>> {
        let (path, runtime, host_id) = (self.path.clone(), self.runtime.clone(), host_id.to_owned());
        let (options, endpoint) = (self.options.clone(), endpoint.map(str::to_owned));
        Box::pin(async move {
            let plugins = Plugins::with(Catalog::only(&path), options);
            let client = plugins.connect(&runtime, endpoint.as_deref(), &host_id).await;
            let client = client.map_err(|error| Fault::Broken(wharf_model::chain(&error)))?;
            Ok(Arc::new(Connected(client.connection())) as Arc<dyn Link>)
        })
    }
}

struct Connected(Arc<dyn Connection>);

impl Link for Connected {
    fn call(&self, operation: &'static str, document: String) -> Reply<String> {
        let answer = self.0.call(operation, document);
        Box::pin(async move { answer.await.map_err(fault) })
    }

    fn open(&self, operation: &'static str, document: String) -> Reply<Pipe> {
        let answer = self.0.open(operation, document);
        Box::pin(async move {
            let stream = answer.await.map_err(fault)?;
            pipe(stream).map_err(|error| Fault::Broken(error.to_string()))
        })
    }
}

fn pipe(stream: RawStream) -> io::Result<Pipe> {
    let (reader, writer) = match stream {
        // A log has no writing side.
        logs @ RawStream::Descriptors { writer: None, .. } => {
            (logs.into_reader()?, Box::new(tokio::io::sink()) as _)
        }
        both => both.into_sides()?,
    };
    Ok(Pipe { reader, writer })
}

fn fault(error: CallError) -> Fault {
    match error {
        CallError::Answered(error) => Fault::Answered(error),
        other => Fault::Broken(wharf_model::chain(&other)),
    }
}
