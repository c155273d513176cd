//! [`OperationCounts`]: how many requests and notifications of clients there were, and how long each took, by MCP method.
//!
//! The names are those of the OpenTelemetry conventions for MCP (`mcp.server.operation.duration`, `mcp.method.name`,
//! `error.type`). To note an operation takes no lock, and memory only when its method comes for the first time. A client may
//! make up methods and a server error codes, so both are told as one of a fixed set.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::protocol::message::{Message, code};

/// The upper bounds of the histogram of durations, in seconds: those that the conventions advise.
pub const DURATION_BOUNDS: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The number of counts of a histogram: one for each bound, and one for everything beyond the last.
pub const DURATION_BUCKETS: usize = DURATION_BOUNDS.len() + 1;

/// The methods that the specification lets a client send, the commonest first; and the name of all others.
const METHODS: [&str; 26] = [
    "tools/call",
    "tools/list",
    "ping",
    "initialize",
    "notifications/initialized",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/get",
    "prompts/list",
    "completion/complete",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
    "tasks/update",
    "server/discover",
    "subscriptions/listen",
    OTHER_METHOD,
];
const OTHER_METHOD: &str = "other";

/// The values of `error.type`, in the order of [`Outcome`]. Empty: no error.
const ERROR_TYPES: [&str; 7] = ["", "-32600", "-32601", "-32602", "-32603", "cancelled", "_OTHER"];

/// A method as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method(usize);

impl Method {
    pub(crate) const INITIALIZE: Self = Self(3);
    /// A method that the specification does not know, or several at once.
    pub(crate) const OTHER: Self = Self(METHODS.len() - 1);

    pub(crate) fn of(name: &str) -> Self {
        METHODS.iter().position(|known| *known == name).map_or(Self::OTHER, Self)
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
    Internal,
    /// Its client gave it up.
    Cancelled,
    /// With another error of the server's.
    OtherError,
}

impl Outcome {
    /// By the code of a JSON-RPC error.
    pub(crate) fn of_code(code: i32) -> Self {
        match code {
            code::INVALID_REQUEST => Self::InvalidRequest,
            code::METHOD_NOT_FOUND => Self::MethodNotFound,
            code::INVALID_PARAMS => Self::InvalidParams,
            code::INTERNAL => Self::Internal,
            _ => Self::OtherError,
        }
    }

    /// By a response of the server.
    pub(crate) fn of_answer(answer: &Message, is_error: bool) -> Self {
        if !is_error {
            return Self::Done;
        }
        let members = |error| serde_json::from_slice::<BTreeMap<String, &RawValue>>(error).ok();
        let code =
            answer.top("error").and_then(members).and_then(|error| error.get("code")?.get().parse().ok());
        code.map_or(Self::OtherError, Self::of_code)
    }
}

/// The operations of one method with one outcome.
#[derive(Debug, Default)]
struct Cell {
    buckets: [AtomicU64; DURATION_BUCKETS],
    sum_us: AtomicU64,
}

type OfMethod = OnceLock<Box<[Cell; ERROR_TYPES.len()]>>;

/// The counts of one workload's proxy. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct OperationCounts(Arc<[OfMethod; METHODS.len()]>);

/// How many operations of one method ended in one way, and how long they took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationCount {
    /// The method, or `other`.
    pub method: &'static str,
    /// The `error.type` of the conventions; empty where there was no error.
    pub error_type: &'static str,
    /// How many took no longer than each bound and longer than the one before.
    pub buckets: [u64; DURATION_BUCKETS],
    /// The time of all of them, in microseconds.
    pub sum_us: u64,
}

impl OperationCounts {
    /// Notes an operation that has ended.
    pub(crate) fn note(&self, Method(method): Method, outcome: Outcome, took: Duration) {
        let cells = self.0[method].get_or_init(Box::default);
        let cell = &cells[outcome as usize];
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        cell.buckets[bucket].fetch_add(1, Relaxed);
        cell.sum_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Begins an operation, which is noted when it is dropped.
    pub(crate) fn begin(&self, method: Method) -> Operation {
        Operation { counts: self.clone(), method, began: Instant::now(), outcome: Outcome::Cancelled }
    }

    /// All that were noted; methods and outcomes that never came are left out.
    pub fn all(&self) -> Vec<OperationCount> {
        let methods = METHODS.iter().zip(self.0.iter());
        let cells = methods.filter_map(|(method, cells)| Some((*method, cells.get()?)));
        let counts = cells.flat_map(|(method, cells)| {
            ERROR_TYPES.iter().zip(cells.iter()).map(move |(error_type, cell)| OperationCount {
                method,
                error_type,
                buckets: cell.buckets.each_ref().map(|bucket| bucket.load(Relaxed)),
                sum_us: cell.sum_us.load(Relaxed),
            })
        });
        counts.filter(|count| count.buckets.iter().any(|bucket| *bucket > 0)).collect()
    }
}

impl OperationCount {
    /// Counts that another process tells, as far as this one knows their names; `None` where its bounds are others.
    pub fn told(method: &str, error_type: &str, buckets: &[u64], sum_us: u64) -> Option<Self> {
        let known = |names: &[&'static str], name: &str| names.iter().copied().find(|known| *known == name);
        Some(Self {
            method: known(&METHODS, method).unwrap_or(OTHER_METHOD),
            error_type: known(&ERROR_TYPES, error_type).unwrap_or("_OTHER"),
            buckets: buckets.try_into().ok()?,
            sum_us,
        })
    }
}

/// An operation under way. It counts as given up by its client until its outcome is set.
#[derive(Debug)]
pub(crate) struct Operation {
    counts: OperationCounts,
    method: Method,
    began: Instant,
    pub(crate) outcome: Outcome,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.counts.note(self.method, self.outcome, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::{ERROR_TYPES, METHODS, Method, OperationCount, OperationCounts, Outcome};
    use std::time::Duration;

    #[test]
    fn an_operation_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let counts = OperationCounts::default();
        for ms in [0, 10, 11, 300_000, 300_001] {
            counts.note(Method::of("tools/call"), Outcome::Done, Duration::from_millis(ms));
        }
        let all = counts.all();
        let [count] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((count.method, count.error_type, count.sum_us), ("tools/call", "", 600_022_000));
        assert_eq!(count.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn methods_and_errors_are_told_as_one_of_a_fixed_set() {
        assert_eq!(Method::of("initialize"), Method::INITIALIZE);
        assert_eq!(Method::of("made/up"), Method::OTHER);
        let counts = OperationCounts::default();
        counts.note(Method::of("made/up"), Outcome::of_code(-32601), Duration::ZERO);
        counts.note(Method::of("made/up/too"), Outcome::of_code(4711), Duration::ZERO);
        let names: Vec<_> = counts.all().iter().map(|count| (count.method, count.error_type)).collect();
        assert_eq!(names, [("other", "-32601"), ("other", "_OTHER")]);
        let told = OperationCount::told("of/later", "of_later", &[0; 15], 1).unwrap();
        assert_eq!((told.method, told.error_type), ("other", "_OTHER"));
        assert_eq!(OperationCount::told("ping", "", &[0; 3], 1), None);
        assert_eq!(ERROR_TYPES[Outcome::OtherError as usize], "_OTHER");
        assert_eq!(ERROR_TYPES[Outcome::Cancelled as usize], "cancelled");
        assert!(METHODS.iter().all(|method| METHODS.iter().filter(|other| *other == method).count() == 1));
    }

    #[test]
    fn an_operation_that_nobody_ended_was_given_up() {
        let counts = OperationCounts::default();
        drop(counts.begin(Method::INITIALIZE));
        counts.begin(Method::INITIALIZE).outcome = Outcome::Done;
        let names: Vec<_> = counts.all().iter().map(|count| count.error_type).collect();
        assert_eq!(names, ["", "cancelled"]);
    }
}
