//! The host's log records, for tests to wait for: those of plugins come from their own threads.
use std::{fmt::Write, sync::LazyLock, time::Duration};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

static LINES: LazyLock<watch::Sender<Vec<String>>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Collector);
    tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
    watch::Sender::new(Vec::new())
});

/// How long a test waits for a record before it fails.
const EVENT_WAIT: Duration = Duration::from_secs(60);

/// The records of this process that contain a marker, as `LEVEL runtime message`.
#[derive(Clone, Debug)]
pub struct Records(String);

impl Records {
    /// The records of a workload: its uid is in each of them. To be made before anything is logged.
    pub fn of(marker: &str) -> Self {
        LazyLock::force(&LINES);
        Self(marker.to_owned())
    }

    /// The records until now.
    pub fn lines(&self) -> Vec<String> {
        LINES.borrow().iter().filter(|line| line.contains(&self.0)).cloned().collect()
    }

    /// Waits until one of them contains this.
    ///
    /// # Panics
    /// After half a minute.
    pub async fn wait_for(&self, text: &str) {
        let mut lines = LINES.subscribe();
        let found =
            lines.wait_for(|lines| lines.iter().any(|line| line.contains(&self.0) && line.contains(text)));
        if tokio::time::timeout(EVENT_WAIT, found).await.is_err() {
            panic!("nobody logged '{text}', but: {:#?}", self.lines());
        }
    }
}

struct Collector;

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "plugin" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = format!("{} {} {}", event.metadata().level(), fields.runtime, fields.message);
        LINES.send_modify(|lines| lines.push(line));
    }
}

#[derive(Default)]
struct Fields {
    runtime: String,
    message: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "runtime" {
            value.clone_into(&mut self.runtime);
        }
    }
}
