//! [`HostServices`]: the calls that a plugin makes: its log records, and the events of its workloads.
use crate::options::EventListener;
use abi_stable::{sabi_trait::prelude::TD_Opaque, std_types::RString};
use wharf_abi::{Host, Host_TO, HostBox};
use wharf_sdk::document::{EVENT, Event, LOG, LogRecord};

/// The host's side of a connection.
pub(crate) struct HostServices {
    runtime: String,
    listener: Option<EventListener>,
}

impl HostServices {
    /// The services that a runtime of this name gets when it is connected.
    pub(crate) fn boxed(runtime: &str, listener: Option<EventListener>) -> HostBox {
        Host_TO::from_value(Self { runtime: runtime.to_owned(), listener }, TD_Opaque)
    }
}

impl Host for HostServices {
    fn notify(&self, kind: RString, document: RString) {
        let runtime = self.runtime.as_str();
        if kind == LOG
            && let Ok(LogRecord { level, target, message }) = serde_json::from_str(&document)
        {
            match level.as_str() {
                "error" => tracing::error!(target: "plugin", runtime, from = target, "{message}"),
                "warn" => tracing::warn!(target: "plugin", runtime, from = target, "{message}"),
                "info" => tracing::info!(target: "plugin", runtime, from = target, "{message}"),
                "debug" => tracing::debug!(target: "plugin", runtime, from = target, "{message}"),
                _ => tracing::trace!(target: "plugin", runtime, from = target, "{message}"),
            }
        } else if kind == EVENT
            && let Ok(event) = serde_json::from_str::<Event>(&document)
        {
            let Event { uid, message, progress, is_warning } = &event;
            match progress {
                None if *is_warning => tracing::warn!(target: "plugin", runtime, uid, "{message}"),
                None => tracing::info!(target: "plugin", runtime, uid, "{message}"),
                Some((done, total)) => {
                    tracing::debug!(target: "plugin", runtime, uid, done, total, "{message}");
                }
            }
            if let Some(listener) = &self.listener {
                listener(event);
            }
        }
    }
}
