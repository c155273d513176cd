//! What a supervisor does about a workload that is down, in words: how often it has tried to bring it back, when it tries
//! again, and why the last try failed. `list`, `status` and `reconcile` use it.
use crate::commands::context::Context;
use crate::commands::view::WorkloadView;
use std::time::Duration;
use wharf_model::{Advice, EffectiveState, Setting, WorkloadName};
use wharf_sdk::Capability;
use wharf_supervisor::{SupervisorReport, control};

/// How long the supervisor of a workload that is down may take to say what it does about it.
const ATTEMPTS_WAIT: Duration = Duration::from_millis(500);

/// Adds to a workload that ends again and again how often its supervisor has restarted it, when it tries again, and why the
/// last try failed. All others are left as they are, without a question.
pub(crate) async fn with_attempts(context: &Context, mut row: WorkloadView) -> WorkloadView {
    let Ok(name) = WorkloadName::new(row.name.as_str()) else { return row };
    if row.status != EffectiveState::Unhealthy || row.stale {
        return row;
    }
    let asked = control::report(context.store().state(), &name, ATTEMPTS_WAIT).await;
    if let Ok(report) = asked
        && report.starting
    {
        let next = next_try(&report).unwrap_or_else(|| "it is being brought back".to_owned());
        row.status_context.push_str(&format!("; {}{next}", times(&report)));
        if report.zero_ends > 1 {
            let count = report.zero_ends;
            row.status_context.push_str(&format!("; {count} times in a row it ended with exit code 0"));
            let catalog = context.plugins().catalog();
            let has_init = catalog
                .find(&row.runtime_name)
                .is_ok_and(|provided| provided.runtime.has(&Capability::NO_INIT));
            if has_init {
                row.advice.push(Advice::Choose { setting: Setting::NoInit, value: None });
            }
        }
        row.status_context.push_str(&failure(&report));
    }
    row
}

/// What the supervisor of a workload does about it while it is down; none while it is up, or if the supervisor does not say.
///
/// The counts are asked first, since they cost a supervisor nothing: a report of one whose workload is up waits for an
/// answer of the server.
pub(crate) async fn brought_back(context: &Context, name: &WorkloadName) -> Option<String> {
    let state = context.store().state();
    if !control::counts(state, name, ATTEMPTS_WAIT).await.ok()?.starting {
        return None;
    }
    let report = control::report(state, name, ATTEMPTS_WAIT).await.ok()?;
    report.starting.then(|| brings_back(&report))
}

fn brings_back(report: &SupervisorReport) -> String {
    let next = next_try(report).map(|next| format!("; {}{next}", times(report))).unwrap_or_default();
    format!("its supervisor is bringing it back{next}{}", failure(report))
}

/// When the next try is; none while one is under way, or while its engine is waited for.
fn next_try(report: &SupervisorReport) -> Option<String> {
    report.next_try_ms.map(|ms| format!("the next try is in {} s", ms.div_ceil(1000)))
}

/// Where an engine restarts it by itself, these are the failed attempts of the supervisor alone.
fn times(report: &SupervisorReport) -> String {
    match report.ends {
        0 => String::new(),
        1 => "it has ended or failed to start once, ".to_owned(),
        count => format!("it has ended or failed to start {count} times, "),
    }
}

fn failure(report: &SupervisorReport) -> String {
    match report.last_failure.as_str() {
        "" => String::new(),
        why => format!("; the last try failed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::brings_back;
    use serde_json::json;
    use wharf_supervisor::SupervisorReport;

    #[test]
    fn the_tries_of_a_supervisor_are_told_and_those_of_an_earlier_version_as_far_as_it_tells_them() {
        let earlier = json!({ "pid": 1, "version": "0", "uptime_ms": 0, "restarts": 0, "starting": true });
        let mut report: SupervisorReport = serde_json::from_value(earlier).unwrap();
        assert_eq!(brings_back(&report), "its supervisor is bringing it back");
        (report.ends, report.next_try_ms) = (2, Some(1_500));
        report.last_failure = "the image is gone".to_owned();
        assert_eq!(
            brings_back(&report),
            "its supervisor is bringing it back; it has ended or failed to start 2 times, \
             the next try is in 2 s; the last try failed: the image is gone"
        );
    }
}
