//! Cases about engines that restart workloads by themselves.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use crate::{Capability, WorkloadState};
use std::time::Duration;

const NEEDS: &[Need] = &[Need::Capability(Capability::RESTARTS_ITSELF), Need::Shell];
/// How often it is looked at whether the workload runs after a start: on a busy machine, it may have ended again by then.
const ATTEMPTS: usize = 3;
/// For so long, a workload that was stopped is looked at.
const STAYS: Duration = Duration::from_secs(1);

pub(super) const CASES: &[Case] = &[
    Case {
        id: "restarts.wait-says",
        sentence: "Wait says of an end that the engine starts the workload again, where it does",
        profile: Profile::Restarts,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(wait_says(fixture))],
    },
    Case {
        id: "restarts.start-waits",
        sentence: "After an end, start waits until the engine has started the workload again",
        profile: Profile::Restarts,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(start_waits(fixture))],
    },
    Case {
        id: "restarts.stop-lasts",
        sentence: "A workload that was stopped is not started again, and 'wait' says so of its end",
        profile: Profile::Restarts,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(stop_lasts(fixture))],
    },
];

async fn wait_says(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Crash("7"))).await?;
    let exit = fixture.host.wait(&handle).await.doing("wait")?;
    ensure(exit.restarts, || format!("nobody has stopped it, and 'wait' says {exit:?}"))
}

async fn start_waits(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Crash("7"))).await?;
    let mut state = WorkloadState::Unknown;
    for _ in 0..ATTEMPTS {
        fixture.host.wait(&handle).await.doing("wait")?;
        fixture.host.start(&handle).await.doing("start of a workload that its engine starts again")?;
        state = fixture.host.inspect(&handle).await.doing("inspect")?.state;
        if state == WorkloadState::Running {
            return Ok(());
        }
    }
    Err(Breach(format!("after 'start' it is {state:?}, {ATTEMPTS} times")))
}

async fn stop_lasts(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.stop(&handle).await?;
    let exit = fixture.host.wait(&handle).await.doing("wait for a stopped workload")?;
    ensure(!exit.restarts, || format!("it was stopped, and 'wait' says {exit:?}"))?;
    tokio::time::sleep(STAYS).await;
    fixture.expect(&handle, WorkloadState::Stopped, "some time after 'stop'").await
}
