//! Cases about workloads that go on when a process of the host ends. Each case takes two processes.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use crate::{Capability, WorkloadState};

const NEEDS: &[Need] =
    &[Need::Capability(Capability::SURVIVES_SUPERVISOR), Need::Capability(Capability::HTTP)];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "recover.goes-on",
        sentence: "A workload with a port goes on when the process that deployed it ends, and is taken up again",
        profile: Profile::Recover,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(leave(fixture)), |fixture| Box::pin(goes_on(fixture))],
    },
    Case {
        id: "recover.stop",
        sentence: "All other operations work on a workload of an earlier process: stop",
        profile: Profile::Recover,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(leave(fixture)), |fixture| Box::pin(stop(fixture))],
    },
    Case {
        id: "recover.wait",
        sentence: "All other operations work on a workload of an earlier process: wait",
        profile: Profile::Recover,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(leave(fixture)), |fixture| Box::pin(wait(fixture))],
    },
    Case {
        id: "recover.by-labels",
        sentence: "A workload of an earlier process whose handle was lost is found by its labels, and removed",
        profile: Profile::Recover,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(leave(fixture)), |fixture| Box::pin(by_labels(fixture))],
    },
];

async fn leave(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec_with_port(Role::Idle)).await?;
    fixture.leave(handle);
    Ok(())
}

async fn goes_on(fixture: &Fixture) -> Checked {
    let handle = fixture.left()?;
    let seen = fixture.host.recover(&handle).await.doing("recover")?;
    ensure(seen.uid == handle.uid, || "it recovers another workload".to_owned())?;
    let running = seen.state == WorkloadState::Running;
    ensure(running, || format!("the process that deployed it has ended, and it is {:?}", seen.state))
}

async fn stop(fixture: &Fixture) -> Checked {
    let handle = fixture.left()?;
    fixture.host.recover(&handle).await.doing("recover")?;
    fixture.stop(&handle).await?;
    fixture.expect(&handle, WorkloadState::Stopped, "after 'stop'").await
}

async fn wait(fixture: &Fixture) -> Checked {
    let handle = fixture.left()?;
    fixture.host.recover(&handle).await.doing("recover")?;
    tokio::try_join!(async { fixture.host.wait(&handle).await.doing("wait") }, fixture.stop_later(&handle))?;
    Ok(())
}

async fn by_labels(fixture: &Fixture) -> Checked {
    let uid = fixture.left()?.uid;
    let seen = fixture.host.listed(&uid).await?;
    let found = seen.and_then(|seen| seen.handle);
    let found = found.ok_or_else(|| Breach("the listing does not say how to find it".to_owned()))?;
    fixture.stop(&found).await?;
    fixture.host.remove(&found).await.doing("remove")?;
    ensure(fixture.host.listed(&uid).await?.is_none(), || "it is still in the listing".to_owned())
}
