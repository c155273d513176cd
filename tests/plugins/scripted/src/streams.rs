//! The streams of workloads: what they say, and their logs.
use crate::{jobs, scripted::Scripted, server, watch::Watch};
use std::future::Future;
use wharf_sdk::document::operation;
use wharf_sdk::{Attach, ByteStream, Handle, LogOptions, Logs, Result};
use wharf_test_engine::{Act, Flaw, State};

/// The number of bytes that a workload's stream holds.
const STREAM_BYTES: usize = 64 * 1024;

impl Attach for Scripted {
    fn attach(&self, handle: &Handle) -> impl Future<Output = Result<ByteStream>> + Send {
        let order = self.called(operation::ATTACH, &handle.uid);
        async move {
            let order = order.in_future().await?;
            let object = match self.object(handle) {
                Err(_) if order == Some(Act::Flawed(Flaw::AttachesToNone)) => {
                    return Ok(jobs::echo(None, std::future::pending()));
                }
                found => found?,
            };
            if self.jobs.plays(&handle.uid, "echo") {
                return Ok(jobs::echo(order.as_ref(), std::future::pending()));
            }
            let (workload, host) = tokio::io::duplex(STREAM_BYTES);
            let (runtime, handle) = (self.again(), handle.clone());
            tokio::spawn(async move {
                tokio::select! {
                    // A server whose input has ended ends.
                    _ = server::serve(workload, &object.uid) => drop(runtime.engine.end(&object.id, 0)),
                    () = killed(&runtime, &handle) => {}
                }
            });
            let (reader, writer) = tokio::io::split(host);
            Ok(ByteStream::new(reader, writer))
        }
    }
}

impl Logs for Scripted {
    fn logs(&self, handle: &Handle, options: LogOptions) -> impl Future<Output = Result<ByteStream>> + Send {
        let order = self.called(operation::LOGS, &handle.uid);
        async move {
            let order = order.in_future().await?;
            self.object(handle)?;
            Ok(self.jobs.logs(&handle.uid, options, order.as_ref()))
        }
    }
}

/// Resolves when the object has ended. An engine that does not answer, or another one, ends nothing.
pub(crate) async fn killed(runtime: &Scripted, handle: &Handle) {
    let Ok(mut watch) = Watch::of(&runtime.engine) else { return };
    let id = handle.data.as_str().unwrap_or_default();
    let lives = || {
        let objects = runtime.engine.objects().unwrap_or_default();
        objects.iter().any(|object| object.id == id && object.state != State::Stopped)
    };
    while lives() && watch.changed().await.is_ok() {}
}
