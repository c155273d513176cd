//! Log records of the plugin, to the host.
//!
//! A library has its own `tracing`, its own `log` and its own panic hook: all three are forwarded, filtered on this
//! side, and dependencies only from `warn` on (HTTP clients log secrets at debug).
use crate::document::{LOG, LogRecord};
use std::{
    fmt::Write,
    sync::{Arc, Mutex, Once, PoisonError, Weak},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};
use wharf_abi::HostBox;

/// The longest text of a record.
const MAX_RECORD_BYTES: usize = 8 * 1024;

static HOST: Mutex<Weak<HostBox>> = Mutex::new(Weak::new());
static INSTALL: Once = Once::new();

/// Forwards to this host from now on; the level is the first caller's.
///
/// `module` is the plugin's own crate, whose records pass at that level.
pub(super) fn install(host: &Arc<HostBox>, level: &str, module: &'static str) {
    *HOST.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(host);
    INSTALL.call_once(|| {
        let level: LevelFilter = level.parse().unwrap_or(LevelFilter::WARN);
        let _ = tracing::subscriber::set_global_default(Forward { level, module });
        if log::set_logger(&LogCrate).is_ok() {
            log::set_max_level(log::LevelFilter::Warn);
        }
        std::panic::set_hook(Box::new(|info| send("error", "panic", info.to_string())));
    });
}

fn send(level: &str, target: &str, mut message: String) {
    if message.len() > MAX_RECORD_BYTES {
        let mut end = MAX_RECORD_BYTES;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
    }
    let Some(host) = HOST.lock().unwrap_or_else(PoisonError::into_inner).upgrade() else { return };
    let record = LogRecord { level: level.to_owned(), target: target.to_owned(), message };
    if let Ok(text) = serde_json::to_string(&record) {
        host.notify(LOG.into(), text.into());
    }
}

struct Forward {
    level: LevelFilter,
    module: &'static str,
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with(self.module);
        metadata.is_event() && (*metadata.level() <= self.level) && (ours || *metadata.level() <= Level::WARN)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        send(&level, event.metadata().target(), text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event's fields in a line, the message first.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, "{}{}={value:?}", if self.0.is_empty() { "" } else { " " }, field.name())
        };
    }
}

struct LogCrate;

impl log::Log for LogCrate {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            send(&record.level().as_str().to_ascii_lowercase(), record.target(), record.args().to_string());
        }
    }

    fn flush(&self) {}
}
