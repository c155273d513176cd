//! [`PluginConnection`]: the connection to a runtime in this process. It enters the plugin's code on the plugin's thread,
//! and notes which call is under way, so that a process that ends in one can say so.
use crate::connection::{Answer, Connection};
use crate::error::CallError;
use crate::in_process::calls;
use crate::in_process::handed_over::Earlier;
use crate::in_process::plugin_thread::PluginThread;
use crate::in_process::stream;
use crate::raw_stream::RawStream;
use abi_stable::std_types::RString;
use std::sync::Arc;
use tokio::task::JoinError;
use wharf_abi::PluginBox;

/// A connection to a runtime in this process.
pub(crate) struct PluginConnection {
    /// None only while this is being dropped.
    plugin: Option<Arc<PluginBox>>,
    thread: PluginThread,
    earlier: Arc<Earlier>,
    /// The library's file, and the runtime's name.
    about: (String, String),
}

impl PluginConnection {
    /// The connection to this plugin object. `about` is the library's file, and the runtime's name.
    pub(crate) fn new(
        plugin: PluginBox,
        thread: PluginThread,
        earlier: Arc<Earlier>,
        about: (String, String),
    ) -> Self {
        Self { plugin: Some(Arc::new(plugin)), thread, earlier, about }
    }

    fn plugin(&self) -> Arc<PluginBox> {
        self.plugin.clone().unwrap_or_else(|| unreachable!("only drop takes it"))
    }

    fn begin(&self, operation: &'static str) -> calls::Call {
        calls::begin(&self.about.0, &self.about.1, operation)
    }
}

impl Connection for PluginConnection {
    fn call(&self, operation: &'static str, document: String) -> Answer<String> {
        let (plugin, call) = (self.plugin(), self.begin(operation));
        let work = self.thread.run(async move {
            let _call = call;
            let reply = plugin.call(operation.into(), document.into()).await;
            reply.into_result()
        });
        Box::pin(async move { Ok(settle(operation, work.await)?.into_string()) })
    }

    fn open(&self, operation: &'static str, document: String) -> Answer<RawStream> {
        let (plugin, thread, earlier) = (self.plugin(), self.thread.clone(), self.earlier.clone());
        let (host, call) = (tokio::runtime::Handle::current(), self.begin(operation));
        let work = self.thread.run(async move {
            let _call = call;
            let opened = plugin.open(operation.into(), document.into()).await;
            opened.into_result().map(|opened| stream::adopt(opened, &thread, &earlier, &host))
        });
        Box::pin(async move {
            settle(operation, work.await)?.map_err(|why| CallError::Malformed { operation, why })
        })
    }

    fn shut_down(&self, deadline_ms: u64) -> Answer<()> {
        let (plugin, call) = (self.plugin(), self.begin("shut down"));
        let work = self.thread.run(async move {
            let _call = call;
            plugin.shut_down(deadline_ms).await;
        });
        Box::pin(async move { work.await.map_err(|error| died("shut down", &error)) })
    }
}

impl Drop for PluginConnection {
    /// The plugin's object, too, must be dropped on its own thread, so this value must not hold the last reference.
    fn drop(&mut self) {
        let plugin = self.plugin.take();
        self.thread.run_detached(async move { drop(plugin) });
    }
}

fn settle<T>(
    operation: &'static str,
    outcome: Result<Result<T, RString>, JoinError>,
) -> Result<T, CallError> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(text)) => Err(answered(operation, &text)),
        Err(error) => Err(died(operation, &error)),
    }
}

/// The error of a call whose task ended without an answer: it panicked, or was aborted.
pub(crate) fn died(operation: &'static str, error: &JoinError) -> CallError {
    tracing::warn!(operation, %error, "a plugin's call did not end as it should");
    CallError::Died { operation }
}

/// The error that a plugin answered with, as a document.
pub(crate) fn answered(operation: &'static str, text: &str) -> CallError {
    match serde_json::from_str(text) {
        Ok(error) => CallError::Answered(error),
        Err(error) => CallError::Malformed { operation, why: format!("its error cannot be read: {error}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi_stable::{sabi_trait::prelude::TD_Opaque, std_types::RResult};
    use std::sync::mpsc;
    use wharf_abi::{FfiFuture, Plugin, Plugin_TO, Reply, StreamBox};

    /// Reports on which thread it was dropped.
    struct Foreign(mpsc::Sender<Option<String>>);

    impl Plugin for Foreign {
        fn call(&self, _: RString, _: RString) -> FfiFuture<Reply> {
            FfiFuture::new(async { RResult::ROk("".into()) })
        }
        fn open(&self, _: RString, _: RString) -> FfiFuture<RResult<StreamBox, RString>> {
            FfiFuture::new(async { RResult::RErr("".into()) })
        }
        fn shut_down(&self, _: u64) -> FfiFuture<()> {
            FfiFuture::new(async {})
        }
    }

    impl Drop for Foreign {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().name().map(str::to_owned));
        }
    }

    #[test]
    fn a_plugins_object_is_dropped_on_its_own_thread() {
        let (dropped, on) = mpsc::channel();
        let thread = PluginThread::start().unwrap();
        // A reference that stays on this thread would drop the object only if it happens to be the last one. So the test is
        // repeated.
        for _ in 0..200 {
            let plugin = Plugin_TO::from_value(Foreign(dropped.clone()), TD_Opaque);
            drop(PluginConnection::new(plugin, thread.clone(), Arc::default(), Default::default()));
            assert_eq!(on.recv().unwrap().as_deref(), Some("plugin-thread"));
        }
    }
}
