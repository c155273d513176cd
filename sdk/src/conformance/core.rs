//! The cases for every runtime; those about listings are in [`super::list`].
use super::breach::{Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use crate::{ErrorCode, HealthState, Source, WorkloadState};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "core.instance-is-stable",
        sentence: "The instance tells this engine from every other one, and is the same as long as it is this one",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(instance_is_stable(fixture))],
    },
    Case {
        id: "core.healthy",
        sentence: "Health says whether the runtime can be used here and now; the other cases need one that can",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(healthy(fixture))],
    },
    Case {
        id: "core.remedy",
        sentence: "What can be done about the runtime's health is a field of its own, never text behind '; ' in the message",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(remedy(fixture))],
    },
    Case {
        id: "core.validate-accepts",
        sentence: "Validate says whether 'deploy' would accept this, and makes no change",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(validate_accepts(fixture))],
    },
    Case {
        id: "core.validate-refuses",
        sentence: "An unknown kind is told by 'validate', before any side effect",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(validate_refuses(fixture))],
    },
    Case {
        id: "core.deploy-runs-nothing",
        sentence: "Deploy makes everything that 'start' needs, and runs none of the workload's code",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(deploy_runs_nothing(fixture))],
    },
    Case {
        id: "core.deploy-again",
        sentence: "What was removed is gone: the same workload can be deployed again",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(deploy_again(fixture))],
    },
    Case {
        id: "core.start-twice",
        sentence: "Start of a running workload: success, nothing done",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(start_twice(fixture))],
    },
    Case {
        id: "core.not-paused",
        sentence: "Only one that runs and that somebody has paused is said to be paused",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(not_paused(fixture))],
    },
    Case {
        id: "core.stop-ends",
        sentence: "Stop ends the workload",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(stop_ends(fixture))],
    },
    Case {
        id: "core.stop-twice",
        sentence: "Stop of a stopped workload: success",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(stop_twice(fixture))],
    },
    Case {
        id: "core.stop-missing",
        sentence: "Stop of a missing workload: success",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(stop_missing(fixture))],
    },
    Case {
        id: "core.remove-kills",
        sentence: "Remove removes whatever is left of the workload, killing it if it runs",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(remove_kills(fixture))],
    },
    Case {
        id: "core.remove-missing",
        sentence: "Remove of a missing workload: success",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(remove_missing(fixture))],
    },
    Case {
        id: "core.inspect-missing",
        sentence: "Inspect of a missing workload is the error 'not_found', which is positive evidence",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(inspect_missing(fixture))],
    },
    Case {
        id: "core.wait-stopped",
        sentence: "Wait resolves at once if the workload has ended",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(wait_stopped(fixture))],
    },
    Case {
        id: "core.handle-version",
        sentence: "Recover refuses in words a version of handle that it does not know, which is no evidence",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(handle_version(fixture))],
    },
];

async fn instance_is_stable(fixture: &Fixture) -> Checked {
    let first = fixture.host.instance().await.doing("instance")?;
    let second = fixture.other.instance().await.doing("instance")?;
    ensure(!first.instance.trim().is_empty(), || "the instance is empty".to_owned())?;
    ensure(first == second, || format!("one engine is {first:?} first and {second:?} then"))
}

async fn healthy(fixture: &Fixture) -> Checked {
    let health = fixture.host.health().await.doing("health")?;
    ensure(health.state == HealthState::Healthy, || format!("it is {:?}: {}", health.state, health.message))
}

async fn remedy(fixture: &Fixture) -> Checked {
    let here = fixture.host.health().await.doing("health")?;
    for health in [Some(here), fixture.health_nowhere().await?].into_iter().flatten() {
        ensure(!health.message.contains("; "), || format!("the message is '{}'", health.message))?;
    }
    Ok(())
}

async fn validate_accepts(fixture: &Fixture) -> Checked {
    let spec = fixture.spec(Role::Idle);
    fixture.host.validate(&spec).await.doing("validate")?;
    ensure(fixture.host.listed(&spec.uid).await?.is_none(), || "'validate' has deployed it".to_owned())?;
    fixture.deploy(&spec).await.map(drop)
}

/// A workload that no runtime runs.
pub(super) fn unknown_kind(fixture: &Fixture) -> crate::WorkloadSpec {
    // This registry of programs does not exist. A runtime may also refuse packages as such.
    let source = Source::Package { tool: "no-such-tool".to_owned(), package: "nothing".to_owned() };
    crate::WorkloadSpec { source, ..fixture.spec(Role::Idle) }
}

async fn validate_refuses(fixture: &Fixture) -> Checked {
    let validated = fixture.host.validate(&unknown_kind(fixture)).await;
    validated.fails("validate of a package of 'no-such-tool'").map(drop)
}

async fn deploy_runs_nothing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Idle)).await?;
    fixture.expect(&handle, WorkloadState::Created, "after 'deploy'").await
}

async fn deploy_again(fixture: &Fixture) -> Checked {
    let spec = fixture.spec(Role::Idle);
    let handle = fixture.launch(&spec).await?;
    fixture.stop(&handle).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    let handle = fixture.launch(&spec).await?;
    fixture.expect(&handle, WorkloadState::Running, "deployed and started again").await
}

async fn start_twice(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    for _ in 0..2 {
        fixture.host.start(&handle).await.doing("start of a running workload")?;
    }
    fixture.expect(&handle, WorkloadState::Running, "started again").await
}

async fn not_paused(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    let inspect = async || fixture.host.inspect(&handle).await.doing("inspect");
    let listed = fixture.host.listed(&handle.uid).await?.is_some_and(|seen| seen.condition.paused);
    ensure(!listed && !inspect().await?.condition.paused, || "nobody has paused it".to_owned())?;
    fixture.stop(&handle).await?;
    let seen = inspect().await?;
    ensure(!seen.condition.paused, || format!("it is paused, and {:?}", seen.state))
}

async fn stop_ends(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.stop(&handle).await?;
    fixture.expect(&handle, WorkloadState::Stopped, "after 'stop'").await
}

async fn stop_twice(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.stop(&handle).await?;
    for _ in 0..2 {
        fixture.host.stop(&handle, 0).await.doing("stop of a stopped workload")?;
    }
    Ok(())
}

async fn stop_missing(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.stop(&handle).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    for _ in 0..2 {
        fixture.host.stop(&handle, 0).await.doing("stop of a missing workload")?;
    }
    Ok(())
}

async fn remove_kills(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.host.remove(&handle).await.doing("remove of a running workload")?;
    ensure(fixture.host.listed(&handle.uid).await?.is_none(), || "it is still in the listing".to_owned())
}

async fn remove_missing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Idle)).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    for _ in 0..2 {
        fixture.host.remove(&handle).await.doing("remove of a missing workload")?;
    }
    Ok(())
}

async fn inspect_missing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Idle)).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    fixture.host.inspect(&handle).await.refused("inspect of a missing workload", ErrorCode::NotFound)
}

async fn wait_stopped(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.stop(&handle).await?;
    for _ in 0..2 {
        fixture.host.wait(&handle).await.doing("wait for a stopped workload")?;
    }
    Ok(())
}

async fn handle_version(fixture: &Fixture) -> Checked {
    let mut handle = fixture.deploy(&fixture.spec(Role::Idle)).await?;
    handle.version = u32::MAX;
    let error = fixture.host.recover(&handle).await.fails("recover with a handle of an unknown version")?;
    ensure(error.code != ErrorCode::NotFound, || "it says 'not_found', which is evidence".to_owned())?;
    ensure(!error.message.trim().is_empty(), || "the refusal has no words".to_owned())
}
