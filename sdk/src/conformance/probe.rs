//! Cases about trials of networks.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use super::permissions::{none, under};
use super::subject::Fault;
use crate::{Capability, ListQuery, NetworkVerdict, WorkloadSpec};
use std::time::{Duration, Instant};

const NEEDS: &[Need] = &[Need::Capability(Capability::PROBE)];
const NEEDS_PROFILE: &[Need] =
    &[Need::Capability(Capability::PROBE), Need::Capability(Capability::PERMISSION_PROFILE)];
/// How long each trial runs before the case gives it up.
const GIVEN_UP_AFTER_MS: [u64; 3] = [1, 50, 200];
/// For so long, an engine may still make something for a trial that was given up.
const LATE: Duration = Duration::from_millis(600);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) const CASES: &[Case] = &[
    Case {
        id: "probe.instance",
        sentence: "The verdict of a trial of networks is on the instance that answers",
        profile: Profile::Probe,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(instance(fixture))],
    },
    Case {
        id: "probe.leaves-nothing",
        sentence: "A trial of networks leaves nothing behind",
        profile: Profile::Probe,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(leaves_nothing(fixture))],
    },
    Case {
        id: "probe.given-up",
        sentence: "A trial of networks that is dropped leaves nothing behind",
        profile: Profile::Probe,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(given_up(fixture))],
    },
    Case {
        id: "probe.verdict-counts",
        sentence: "Where a trial has shown that networks are closed, a profile that closes one is accepted with its verdict",
        profile: Profile::Probe,
        needs: NEEDS_PROFILE,
        steps: &[|fixture| Box::pin(verdict_counts(fixture))],
    },
];

/// The verdict. If the runtime cannot try it out here, the case ends without one: the runtime may say so.
async fn verdict(fixture: &Fixture) -> Checked<NetworkVerdict> {
    match fixture.host.probe_network().await {
        Err(Fault::Answered(error)) => {
            Err(fixture.untold(format!("it cannot be tried out here: {}", error.message)))
        }
        answer => answer.doing("a trial of networks"),
    }
}

async fn instance(fixture: &Fixture) -> Checked {
    let verdict = verdict(fixture).await?;
    let instance = fixture.host.instance().await.doing("instance")?.instance;
    ensure(verdict.instance == instance, || {
        format!("the verdict is on '{}', and '{instance}' answers", verdict.instance)
    })
}

async fn left(fixture: &Fixture) -> Checked<Vec<String>> {
    let listing = fixture.host.list(&ListQuery::ALL).await.doing("list")?;
    Ok(listing.workloads.into_iter().map(|seen| seen.object).collect())
}

async fn leaves_nothing(fixture: &Fixture) -> Checked {
    // A trial that fails must leave nothing, either.
    match fixture.host.probe_network().await {
        Ok(_) | Err(Fault::Answered(_)) => {}
        Err(fault) => return Err(Breach(format!("a trial of networks: {fault}"))),
    }
    let left = left(fixture).await?;
    ensure(left.is_empty(), || format!("it has left {left:?}"))
}

async fn given_up(fixture: &Fixture) -> Checked {
    let patience = Duration::from_millis(fixture.setting.patience_ms / 2);
    for after_ms in GIVEN_UP_AFTER_MS {
        let trial = fixture.host.probe_network();
        drop(tokio::time::timeout(Duration::from_millis(after_ms), trial).await);
        tokio::time::sleep(LATE).await;
        // No event tells when the remains have been removed, so the case looks again and again.
        let began = Instant::now();
        loop {
            let left = left(fixture).await?;
            if left.is_empty() {
                break;
            }
            ensure(began.elapsed() < patience, || {
                format!("dropped after {after_ms} ms, it has left {left:?}")
            })?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn verdict_counts(fixture: &Fixture) -> Checked {
    let verdict = verdict(fixture).await?;
    if !verdict.enforced {
        return Err(fixture.untold(format!("networks are not closed here: {}", verdict.how)));
    }
    let spec = under(none()?, fixture.spec(Role::Idle));
    let spec = WorkloadSpec { network_verdict: Some(verdict), ..spec };
    fixture
        .host
        .validate(&spec)
        .await
        .doing("validate of a closed network, with the verdict that it is closed")
}
