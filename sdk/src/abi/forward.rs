//! Sends the plugin's log records to the host.
//!
//! A library has its own `tracing`, its own `log` and its own panic hook: all three are forwarded. The filter is on this
//! side, and records of dependencies pass only from `warn` on (HTTP clients log secrets at debug).
use crate::document::{LOG, LogRecord};
use std::{
    fmt::Write,
    future::Future,
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

/// The hosts of all connected runtimes of this library, the newest last.
static HOSTS: Mutex<Vec<Weak<HostBox>>> = Mutex::new(Vec::new());
static INSTALL: Once = Once::new();

tokio::task_local! {
    /// The host of the runtime that the current task works for. A library may have several runtimes, each with its host; a
    /// record goes to the right one by this.
    static HOST: Arc<HostBox>;
}

/// Sends the log records of a future to this host. The future keeps the host alive.
pub(super) fn to<F: Future>(host: Arc<HostBox>, future: F) -> impl Future<Output = F::Output> {
    HOST.scope(host, future)
}

/// Lets a future that is about to be spawned log to the same host as the task that spawns it.
pub(super) async fn inherited<F: Future>(host: Option<Arc<HostBox>>, future: F) -> F::Output {
    match host {
        Some(host) => HOST.scope(host, future).await,
        None => future.await,
    }
}

/// The host of the current task.
pub(super) fn current() -> Option<Arc<HostBox>> {
    HOST.try_with(Arc::clone).ok()
}

/// From now on, forwards log records to this host, too. The first caller's level is kept.
///
/// `module` is the plugin's own crate, whose records pass at that level.
pub(super) fn install(host: &Arc<HostBox>, level: &str, module: &'static str) {
    let mut hosts = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
    hosts.retain(|host| host.strong_count() > 0);
    hosts.push(Arc::downgrade(host));
    drop(hosts);
    INSTALL.call_once(|| {
        let level: LevelFilter = level.parse().unwrap_or(LevelFilter::WARN);
        let filter = Filter { level, module };
        let _ = tracing::subscriber::set_global_default(Forward(filter));
        if log::set_boxed_logger(Box::new(LogCrate(filter))).is_ok() {
            log::set_max_level(filter.log_level());
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
    let newest = || {
        let hosts = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().rev().find_map(Weak::upgrade)
    };
    let Some(host) = current().or_else(newest) else { return };
    let record = LogRecord { level: level.to_owned(), target: target.to_owned(), message };
    if let Ok(text) = serde_json::to_string(&record) {
        host.notify(LOG.into(), text.into());
    }
}

/// Decides which records are sent to the host.
#[derive(Clone, Copy)]
struct Filter {
    level: LevelFilter,
    module: &'static str,
}

impl Filter {
    fn passes(&self, level: Level, target: &str) -> bool {
        level <= self.level && (level <= Level::WARN || self.is_ours(target))
    }

    /// True for the plugin's own crate, and not for another crate whose name begins alike.
    fn is_ours(&self, target: &str) -> bool {
        target.strip_prefix(self.module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    fn log_level(&self) -> log::LevelFilter {
        self.level.to_string().parse().unwrap_or(log::LevelFilter::Warn)
    }
}

struct Forward(Filter);

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.0.passes(*metadata.level(), metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.level)
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

struct LogCrate(Filter);

impl log::Log for LogCrate {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let level = match metadata.level() {
            log::Level::Error => Level::ERROR,
            log::Level::Warn => Level::WARN,
            log::Level::Info => Level::INFO,
            log::Level::Debug => Level::DEBUG,
            log::Level::Trace => Level::TRACE,
        };
        self.0.passes(level, metadata.target())
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            send(&record.level().as_str().to_ascii_lowercase(), record.target(), record.args().to_string());
        }
    }

    fn flush(&self) {}
}
