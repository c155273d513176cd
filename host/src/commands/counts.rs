//! The counts of many supervisors, for metrics.
use crate::commands::context::Context;
use futures_util::stream::{self, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wharf_model::WorkloadName;
use wharf_supervisor::{SupervisorCounts, control};

/// How many supervisors are asked at a time: each takes a descriptor.
const AT_A_TIME: usize = 32;
/// How long one supervisor may take: those that answer do so at once.
const EACH_WAIT: Duration = Duration::from_millis(500);

/// The counts of those workloads whose supervisors answer within this time. All others are left out.
pub async fn counts(
    context: &Context,
    names: &[WorkloadName],
    within: Duration,
) -> Vec<(WorkloadName, SupervisorCounts)> {
    let until = Instant::now() + within;
    let state = context.store().state();
    let ask = |name: &WorkloadName| {
        let name = name.clone();
        async move {
            let counts = control::counts(state, &name, EACH_WAIT).await.ok()?;
            Some((name, counts))
        }
    };
    let mut answers = stream::iter(names).map(ask).buffer_unordered(AT_A_TIME);
    let mut counts = Vec::new();
    while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
        counts.extend(answer);
    }
    counts
}
