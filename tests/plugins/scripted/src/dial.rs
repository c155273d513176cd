//! Connections to the ports of workloads that cannot be reached in any other way.
use crate::{jobs, scripted::Scripted, server, streams::killed};
use std::{future::Future, sync::PoisonError};
use tokio::sync::oneshot;
use wharf_sdk::document::operation;
use wharf_sdk::{ByteStream, Dial, DialOptions, Error, Handle, Result};
use wharf_test_engine::{Act, Flaw, State};

/// The label with the port on which an object listens.
pub(crate) const PORT: &str = "port";
/// The label with the uid of the workload that it belongs to.
pub(crate) const PARENT: &str = "parent";
/// How much a connection holds in each direction.
const STREAM_BYTES: usize = 64 * 1024;

impl Dial for Scripted {
    fn dial(
        &self,
        handle: &Handle,
        DialOptions { port }: DialOptions,
    ) -> impl Future<Output = Result<ByteStream>> + Send {
        let order = self.called(operation::DIAL, &handle.uid);
        async move {
            let order = order.in_future().await?;
            let flaw = if let Some(Act::Flawed(flaw)) = order { Some(flaw) } else { None };
            let object = match self.object(handle) {
                Err(_) if flaw == Some(Flaw::AttachesToNone) => {
                    return Ok(jobs::echo(None, std::future::pending()));
                }
                found => found?,
            };
            if object.state != State::Running {
                return Err(Error::precondition("the workload does not run"));
            }
            let listens = object.labels.get(PORT).is_some_and(|listens| *listens == port.to_string());
            if !listens && flaw != Some(Flaw::DialsAnyPort) {
                return Err(Error::precondition(format!("nobody listens on the port {port}")));
            }
            let (runtime, handle) = (self.again(), handle.clone());
            let replaced = self.replace_connection();
            let ended = async move {
                match flaw {
                    Some(Flaw::OutlastsWorkload) => std::future::pending().await,
                    Some(Flaw::DialsOnce) => tokio::select! {
                        _ = replaced => {}
                        () = killed(&runtime, &handle) => {}
                    },
                    _ => killed(&runtime, &handle).await,
                }
            };
            if self.is_job(&object.uid) {
                return Ok(jobs::echo(order.as_ref(), ended));
            }
            let (workload, host) = tokio::io::duplex(STREAM_BYTES);
            tokio::spawn(async move {
                tokio::select! {
                    _ = server::serve_http(workload, &object.uid) => {}
                    () = ended => {}
                }
            });
            let (reader, writer) = tokio::io::split(host);
            Ok(ByteStream::new(reader, writer))
        }
    }
}

impl Scripted {
    /// Resolves when the next connection is made.
    fn replace_connection(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        *self.connected.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }
}
