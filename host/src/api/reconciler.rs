//! Periodic reconciliation: records what evidence supports, brings back what should run (R06), each runtime at its own pace.
//!
//! Called by what serves, once. It decides nothing: [`commands::reconcile`] does, under each workload's lock, so that several
//! at once, and commands beside them, do no harm. A runtime of which nothing can be judged is asked more and more rarely.
use crate::api::state::Api;
use crate::commands::{self, Reconciled, Reconciliation};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_model::{Result, WorkloadName, random_hex};

/// A runtime that is away is asked so many times more rarely at most.
const BACKOFF_MAX: u32 = 16;

/// When a runtime's turn comes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    due: Instant,
    /// So many times rarer than usual.
    backoff: u32,
    is_under_way: bool,
}

/// Reconciles again and again, about this often, until it is told to end.
pub(crate) async fn reconcile_for_ever(api: Arc<Api>, every: Duration, ending: CancellationToken) {
    let mut turns: BTreeMap<String, Turn> = BTreeMap::new();
    let mut under_way: JoinSet<(String, bool)> = JoinSet::new();
    let mut runtime_of: HashMap<Id, String> = HashMap::new();
    let look = (every / 4).max(Duration::from_millis(50));
    loop {
        match runtimes(&api) {
            Ok(runtimes) => {
                turns.retain(|runtime, turn| turn.is_under_way || runtimes.contains_key(runtime));
                for (runtime, names) in runtimes {
                    let now = Instant::now();
                    let first = Turn { due: now, backoff: 1, is_under_way: false };
                    let turn = turns.entry(runtime.clone()).or_insert(first);
                    if !turn.is_under_way && turn.due <= now {
                        turn.is_under_way = true;
                        let task = under_way.spawn(reconcile(api.clone(), runtime.clone(), names));
                        runtime_of.insert(task.id(), runtime);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the workloads to reconcile cannot be told"),
        }
        tokio::select! {
            () = ending.cancelled() => return,
            () = tokio::time::sleep(look) => {}
            Some(ended) = under_way.join_next_with_id() => {
                let (id, was_judged) = match ended {
                    Ok((id, (_, was_judged))) => (id, was_judged),
                    // A panic in it is no end of reconciliation.
                    Err(error) => {
                        tracing::error!(%error, "a reconciliation broke");
                        (error.id(), false)
                    }
                };
                let runtime = runtime_of.remove(&id).unwrap_or_default();
                if let Some(turn) = turns.get_mut(&runtime) {
                    *turn = next(*turn, was_judged, every, jitter());
                }
            }
        }
    }
}

/// The next turn of a runtime.
fn next(turn: Turn, was_judged: bool, every: Duration, jitter: f64) -> Turn {
    let backoff = if was_judged { 1 } else { (turn.backoff * 2).min(BACKOFF_MAX) };
    let due = Instant::now() + (every * backoff).mul_f64(jitter);
    Turn { due, backoff, is_under_way: false }
}

/// From 0.8 to 1.2: many hosts on one engine do not ask it all at once.
fn jitter() -> f64 {
    let random =
        random_hex().ok().and_then(|hex| u16::from_str_radix(&hex[..4], 16).ok()).unwrap_or(u16::MAX / 2);
    0.8 + 0.4 * f64::from(random) / f64::from(u16::MAX)
}

/// The workloads of each runtime; of those without an owner under an empty name.
fn runtimes(api: &Api) -> Result<BTreeMap<String, Vec<WorkloadName>>> {
    let context = api.context()?;
    let mut runtimes: BTreeMap<String, Vec<WorkloadName>> = BTreeMap::new();
    for (name, config) in context.store().list_run_configs()? {
        if let Ok(config) = config {
            runtimes.entry(config.runtime_name.trim().to_owned()).or_default().push(name);
        }
    }
    Ok(runtimes)
}

/// Reconciles the workloads of one runtime; whether anything of it could be judged.
async fn reconcile(api: Arc<Api>, runtime: String, names: Vec<WorkloadName>) -> (String, bool) {
    let reports = async {
        let context = api.context()?;
        // A workload that was removed since is no reason to leave the others alone.
        let gone = |name: &WorkloadName| {
            context.store().read_run_config(name).is_err_and(|error| error.is_not_found())
        };
        let names: Vec<WorkloadName> = names.into_iter().filter(|name| !gone(name)).collect();
        if names.is_empty() {
            // No name would mean all.
            return Ok(Vec::new());
        }
        commands::reconcile(&context, &names).await
    };
    let was_judged = match reports.await {
        Ok(reports) => {
            reports.iter().for_each(|report| tell(&api, &runtime, report));
            reports.is_empty() || reports.iter().any(was_judged)
        }
        Err(error) => {
            tracing::debug!(%runtime, %error, "a reconciliation was not possible");
            false
        }
    };
    (runtime, was_judged)
}

fn was_judged(report: &Reconciled) -> bool {
    match report.result {
        // It may be judged and have nothing to be done about it: it is paused, or its supervisor is bringing it back.
        Reconciliation::LeftAlone => !report.unasked,
        Reconciliation::Failed | Reconciliation::OwnerUnknown | Reconciliation::Ambiguous => false,
        Reconciliation::InOrder
        | Reconciliation::Adopted
        | Reconciliation::Started
        | Reconciliation::Stopped
        | Reconciliation::Removed
        | Reconciliation::Recorded => true,
    }
}

fn tell(api: &Api, runtime: &str, report: &Reconciled) {
    api.metrics.reconciled(runtime, report.result);
    match (report.result, &report.error) {
        (Reconciliation::InOrder | Reconciliation::LeftAlone, _) => {}
        (result, Some(error)) => tracing::warn!(name = %report.name, ?result, %error, "reconciled"),
        (result, None) => tracing::info!(name = %report.name, ?result, reason = %report.reason, "reconciled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_is_away_is_asked_more_rarely_until_it_is_back() {
        let every = Duration::from_secs(30);
        let mut turn = Turn { due: Instant::now(), backoff: 1, is_under_way: true };
        let mut pauses = Vec::new();
        for was_judged in [true, false, false, false, false, false, true] {
            turn = next(turn, was_judged, every, 1.0);
            pauses.push((turn.due - Instant::now()).as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 480, 30]);
    }

    #[test]
    fn the_interval_of_reconciliation_varies_within_bounds() {
        let many: Vec<f64> = (0..64).map(|_| jitter()).collect();
        assert!(many.iter().all(|jitter| (0.8..=1.2).contains(jitter)));
        assert!(many.iter().any(|jitter| (jitter - many[0]).abs() > 0.01), "they differ");
    }
}
