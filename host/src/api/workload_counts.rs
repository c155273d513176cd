//! [`WorkloadCounts`]: the restarts and the requests of all workloads together, as their supervisors tell them.
//!
//! A supervisor counts from its own start and is gone with its workload, so a sum over those that live would fall. Whenever
//! somebody asks for metrics, the growth of each supervisor's counts since the last time is added to totals that only grow.
//! The last moments of a supervisor that ends between two scrapes are missing from them.
use crate::api::text_format::Text;
use crate::commands::{Context, WorkloadView, counts};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use wharf_model::WorkloadName;
use wharf_proxy::{DURATION_BOUNDS, DURATION_BUCKETS};
use wharf_supervisor::SupervisorCounts;

/// How long all supervisors together may take to tell their counts.
const COUNTS_WAIT: Duration = Duration::from_secs(2);

/// The totals, under a lock that is held while supervisors are asked: two answers of one must not change places.
#[derive(Default)]
pub(crate) struct WorkloadCounts(Mutex<Totals>);

/// The totals since this process serves.
#[derive(Default)]
pub(crate) struct Totals {
    /// The workloads that were listed last, with their runtimes.
    listed: HashMap<WorkloadName, String>,
    /// The last words of each supervisor.
    told: HashMap<WorkloadName, SupervisorCounts>,
    /// By runtime.
    restarts: BTreeMap<String, u64>,
    /// By method and type of error.
    operations: BTreeMap<(&'static str, &'static str), Durations>,
}

/// A histogram whose buckets are apart.
#[derive(Default)]
struct Durations {
    buckets: [u64; DURATION_BUCKETS],
    sum_us: u64,
}

impl WorkloadCounts {
    /// Asks the supervisors of these workloads, or of those of the last time. A caller that comes while another one asks
    /// waits for that one's answers.
    pub(crate) async fn gather(
        &self,
        context: &Context,
        listed: Option<&[WorkloadView]>,
    ) -> MutexGuard<'_, Totals> {
        let Ok(mut totals) = self.0.try_lock() else { return self.0.lock().await };
        if let Some(listed) = listed {
            totals.list(listed);
        }
        let names: Vec<_> = totals.listed.keys().cloned().collect();
        for (name, counts) in counts(context, &names, COUNTS_WAIT).await {
            totals.add(name, counts);
        }
        totals
    }
}

impl Totals {
    /// Takes note of the workloads that there are, and forgets all others.
    fn list(&mut self, rows: &[WorkloadView]) {
        let owned = rows.iter().filter(|row| !row.runtime_name.is_empty());
        let named = owned.filter_map(|row| Some((WorkloadName::new(row.name.as_str()).ok()?, row)));
        self.listed = named.map(|(name, row)| (name, row.runtime_name.clone())).collect();
        // A workload whose RunConfig cannot be read just now is still there, and its counts must not be added once more.
        let there: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        self.told.retain(|name, _| there.contains(name.as_str()));
        let runtimes: HashSet<_> = self.listed.values().collect();
        for runtime in runtimes {
            self.restarts.entry(runtime.clone()).or_default();
        }
    }

    /// Adds the growth of one supervisor's counts. Another process than the last time has begun at nothing.
    fn add(&mut self, name: WorkloadName, now: SupervisorCounts) {
        let Some(runtime) = self.listed.get(&name) else { return };
        let before = self.told.get(&name).filter(|before| before.pid == now.pid);
        let restarts = now.restarts.saturating_sub(before.map_or(0, |before| before.restarts));
        *self.restarts.entry(runtime.clone()).or_default() += u64::from(restarts);
        for told in &now.operations {
            let Some(count) = told.known() else { continue };
            let is_same = |other: &&wharf_supervisor::OperationsTold| {
                (&other.method, &other.error_type) == (&told.method, &told.error_type)
            };
            let before = before.and_then(|before| before.operations.iter().find(is_same)?.known());
            let (buckets, sum_us) =
                before.map_or(([0; DURATION_BUCKETS], 0), |before| (before.buckets, before.sum_us));
            let durations = self.operations.entry((count.method, count.error_type)).or_default();
            for (bucket, (now, before)) in
                durations.buckets.iter_mut().zip(count.buckets.into_iter().zip(buckets))
            {
                *bucket += now.saturating_sub(before);
            }
            durations.sum_us += count.sum_us.saturating_sub(sum_us);
        }
        self.told.insert(name, now);
    }

    /// Writes the totals.
    pub(crate) fn write(&self, text: &mut Text) {
        let name = "wharf_workload_restarts_total";
        text.head(name, "counter", "Restarts of workloads by their supervisors or engines.");
        for (runtime, count) in &self.restarts {
            text.line(name, &[("runtime", runtime.as_str())], &count.to_string());
        }
        let name = "mcp_server_operation_duration_seconds";
        text.head(name, "histogram", "MCP requests and notifications of the proxies' clients.");
        for ((method, error_type), durations) in &self.operations {
            let labels = [("mcp_method_name", *method), ("error_type", *error_type)];
            let mut count = 0;
            let buckets = DURATION_BOUNDS.into_iter().zip(durations.buckets).map(|(bound, bucket)| {
                count += bucket;
                (bound, count)
            });
            let buckets: Vec<_> = buckets.collect();
            let all = durations.buckets.iter().sum();
            let sum = Duration::from_micros(durations.sum_us).as_secs_f64();
            text.histogram(name, &labels, buckets.into_iter(), (all, sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_supervisor::OperationsTold;

    fn told(pid: u32, restarts: u32, calls: u64) -> SupervisorCounts {
        let mut buckets = vec![0; DURATION_BUCKETS];
        (buckets[1], buckets[DURATION_BUCKETS - 1]) = (calls, 1);
        let call = OperationsTold {
            method: "tools/call".into(),
            error_type: String::new(),
            buckets,
            sum_us: calls * 15_000,
        };
        let ping = OperationsTold { method: "ping".into(), error_type: "-32603".into(), ..call.clone() };
        SupervisorCounts { pid, restarts, starting: false, operations: vec![call, ping] }
    }

    fn written(totals: &Totals) -> String {
        let mut text = Text::default();
        totals.write(&mut text);
        text.0
    }

    #[test]
    fn totals_grow_by_what_each_supervisor_has_counted_since_the_last_time_and_never_fall() {
        let mut totals = Totals::default();
        let (one, other) = (WorkloadName::new("one").unwrap(), WorkloadName::new("other").unwrap());
        totals.listed = HashMap::from([(one.clone(), "process".into()), (other.clone(), "docker".into())]);
        totals.add(one.clone(), told(1, 1, 3));
        totals.add(other, told(2, 0, 10));
        totals.add(one.clone(), told(1, 2, 5));
        let text = written(&totals);
        let expected = [
            "wharf_workload_restarts_total{runtime=\"process\"} 2",
            "wharf_workload_restarts_total{runtime=\"docker\"} 0",
            "mcp_server_operation_duration_seconds_bucket{mcp_method_name=\"tools/call\",le=\"0.01\"} 0",
            "mcp_server_operation_duration_seconds_bucket{mcp_method_name=\"tools/call\",le=\"0.02\"} 15",
            "mcp_server_operation_duration_seconds_bucket{mcp_method_name=\"tools/call\",le=\"300\"} 15",
            "mcp_server_operation_duration_seconds_bucket{mcp_method_name=\"tools/call\",le=\"+Inf\"} 17",
            "mcp_server_operation_duration_seconds_sum{mcp_method_name=\"tools/call\"} 0.225",
            "mcp_server_operation_duration_seconds_count{mcp_method_name=\"tools/call\"} 17",
            "mcp_server_operation_duration_seconds_count{mcp_method_name=\"ping\",error_type=\"-32603\"} 17",
        ];
        for line in expected {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        // Its RunConfig cannot be read for a while.
        let listed = totals.listed.clone();
        totals.list(&[WorkloadView::unreadable("one", String::new())]);
        totals.add(one.clone(), told(1, 2, 5));
        totals.listed = listed;
        totals.add(one.clone(), told(1, 2, 5));
        assert_eq!(written(&totals), text);
        // Another supervisor, and then no workload any more.
        totals.add(one, told(3, 1, 1));
        totals.list(&[]);
        let text = written(&totals);
        for line in [
            "wharf_workload_restarts_total{runtime=\"process\"} 3",
            "mcp_server_operation_duration_seconds_count{mcp_method_name=\"tools/call\"} 19",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(totals.told.is_empty());
    }
}
