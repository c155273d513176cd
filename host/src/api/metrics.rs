//! Metrics of what serves, in the text form of Prometheus.
//!
//! Counted by the gate (requests), the operations and the reconciler; workloads are counted when somebody asks. Names of
//! workloads are no labels: their number has no bound.
use crate::api::operation::{Kind, OperationState};
use crate::api::text_format::Text;
use crate::api::workload_counts::Totals;
use crate::commands::{Reconciliation, WorkloadView};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wharf_runtimes::CallCounts;

/// The upper bounds of the histogram of durations, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Everything that is counted.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    /// By method, route and status.
    requests: BTreeMap<(String, String, u16), u64>,
    /// By method and route.
    durations: BTreeMap<(String, String), Histogram>,
    /// By kind and outcome.
    operations: BTreeMap<(&'static str, &'static str), u64>,
    /// By runtime and result.
    reconciliations: BTreeMap<(String, &'static str), u64>,
    /// By runtime, state, and whether it is stale; and when that was seen.
    workloads: BTreeMap<(String, &'static str, bool), u64>,
    seen_at: Option<Instant>,
}

#[derive(Clone, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered. `route` is the pattern, not the path.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut counted = self.counted();
        let key = (method.to_owned(), route.to_owned());
        *counted.requests.entry((key.0.clone(), key.1.clone(), status)).or_default() += 1;
        let histogram = counted.durations.entry(key).or_default();
        let seconds = took.as_secs_f64();
        for (bucket, _) in histogram.buckets.iter_mut().zip(BUCKETS).filter(|(_, bound)| seconds <= *bound) {
            *bucket += 1;
        }
        histogram.count += 1;
        histogram.sum += seconds;
    }

    /// An operation has ended.
    pub(crate) fn operated(&self, kind: Kind, outcome: OperationState) {
        *self.counted().operations.entry((kind.as_str(), outcome.as_str())).or_default() += 1;
    }

    /// A workload was reconciled.
    pub(crate) fn reconciled(&self, runtime: &str, result: Reconciliation) {
        let result = match result {
            Reconciliation::InOrder => "in_order",
            Reconciliation::LeftAlone => "left_alone",
            Reconciliation::OwnerUnknown => "owner_unknown",
            Reconciliation::Ambiguous => "ambiguous",
            Reconciliation::Adopted => "adopted",
            Reconciliation::Started => "started",
            Reconciliation::Stopped => "stopped",
            Reconciliation::Removed => "removed",
            Reconciliation::Recorded => "recorded",
            Reconciliation::Failed => "failed",
        };
        *self.counted().reconciliations.entry((runtime.to_owned(), result)).or_default() += 1;
    }

    /// The workloads as they are now.
    pub(crate) fn seen(&self, workloads: &[WorkloadView]) {
        let mut by_state: BTreeMap<(String, &'static str, bool), u64> = BTreeMap::new();
        for row in workloads {
            *by_state.entry((row.runtime_name.clone(), row.status.as_str(), row.stale)).or_default() += 1;
        }
        let mut counted = self.counted();
        (counted.workloads, counted.seen_at) = (by_state, Some(Instant::now()));
    }

    /// All of it, with the workloads that were seen last and what their supervisors told, and so many operations under way.
    pub(crate) fn render(&self, running: usize, calls: &CallCounts, workloads: &Totals) -> String {
        let counted = self.counted();
        let mut text = Text::default();
        text.head("wharf_build_info", "gauge", "Which version serves.");
        text.line("wharf_build_info", &[("version", env!("CARGO_PKG_VERSION"))], "1");
        text.head("wharf_workloads", "gauge", "Workloads by runtime and effective state.");
        for ((runtime, state, stale), count) in &counted.workloads {
            let stale = if *stale { "true" } else { "false" };
            let labels = [("runtime", runtime.as_str()), ("state", *state), ("stale", stale)];
            text.line("wharf_workloads", &labels, &count.to_string());
        }
        if let Some(seen_at) = counted.seen_at {
            text.head("wharf_workloads_age_seconds", "gauge", "How long ago they were counted.");
            text.line("wharf_workloads_age_seconds", &[], &seen_at.elapsed().as_secs_f64().to_string());
        }
        workloads.write(&mut text);
        text.head("wharf_operations_running", "gauge", "Operations under way.");
        text.line("wharf_operations_running", &[], &running.to_string());
        text.head("wharf_plugin_calls_total", "counter", "Calls of plugins by this process.");
        for ((runtime, operation, outcome), count) in calls.all() {
            let labels =
                [("runtime", runtime.as_str()), ("operation", operation), ("outcome", outcome.as_str())];
            text.line("wharf_plugin_calls_total", &labels, &count.to_string());
        }
        text.head("wharf_operations_total", "counter", "Operations that have ended.");
        for ((kind, outcome), count) in &counted.operations {
            text.line(
                "wharf_operations_total",
                &[("kind", *kind), ("outcome", *outcome)],
                &count.to_string(),
            );
        }
        text.head("wharf_reconciliations_total", "counter", "Workloads that were reconciled.");
        for ((runtime, result), count) in &counted.reconciliations {
            let labels = [("runtime", runtime.as_str()), ("result", *result)];
            text.line("wharf_reconciliations_total", &labels, &count.to_string());
        }
        text.head("wharf_http_requests_total", "counter", "Requests that were answered.");
        for ((method, route, status), count) in &counted.requests {
            let status = status.to_string();
            let labels =
                [("method", method.as_str()), ("route", route.as_str()), ("status", status.as_str())];
            text.line("wharf_http_requests_total", &labels, &count.to_string());
        }
        let name = "wharf_http_request_duration_seconds";
        text.head(name, "histogram", "Time to the head of the answer.");
        for ((method, route), histogram) in &counted.durations {
            let labels = [("method", method.as_str()), ("route", route.as_str())];
            let buckets = BUCKETS.into_iter().zip(histogram.buckets);
            text.histogram(name, &labels, buckets, (histogram.count, histogram.sum));
        }
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_in_prometheus_form() {
        let metrics = Metrics::default();
        metrics.answered("GET", "/x/{name}", 200, Duration::from_millis(3));
        metrics.answered("GET", "/x/{name}", 200, Duration::from_secs(60));
        metrics.operated(Kind::Create, OperationState::Done);
        metrics.reconciled("a\"b", Reconciliation::Started);
        let text = metrics.render(2, &CallCounts::default(), &Totals::default());
        for line in [
            "wharf_operations_running 2",
            "wharf_operations_total{kind=\"create\",outcome=\"done\"} 1",
            "wharf_reconciliations_total{runtime=\"a\\\"b\",result=\"started\"} 1",
            "wharf_http_requests_total{method=\"GET\",route=\"/x/{name}\",status=\"200\"} 2",
            "wharf_http_request_duration_seconds_bucket{method=\"GET\",route=\"/x/{name}\",le=\"0.0025\"} 0",
            "wharf_http_request_duration_seconds_bucket{method=\"GET\",route=\"/x/{name}\",le=\"0.005\"} 1",
            "wharf_http_request_duration_seconds_bucket{method=\"GET\",route=\"/x/{name}\",le=\"+Inf\"} 2",
            "wharf_http_request_duration_seconds_count{method=\"GET\",route=\"/x/{name}\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
