//! Cases about the ends of workloads.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use crate::WorkloadState;
use std::time::Duration;

/// The exit code of the workloads.
const CODE: i32 = 7;
/// How long a shell may take until it has set its trap. Nothing tells that from outside, so the case tries again after a
/// longer wait.
const LISTENS_AFTER: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(5)];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "exit.wait-code",
        sentence: "Wait resolves when the workload ends, with its exit code",
        profile: Profile::Exit,
        needs: &[Need::Shell],
        steps: &[|fixture| Box::pin(wait_code(fixture))],
    },
    Case {
        id: "exit.inspect-code",
        sentence: "What has ended by itself is stopped, and says how it ended",
        profile: Profile::Exit,
        needs: &[Need::Shell],
        steps: &[|fixture| Box::pin(inspect_code(fixture))],
    },
    Case {
        id: "exit.stop-asks",
        sentence: "Stop asks first: a workload that ends when it is asked to says how it ended",
        profile: Profile::Exit,
        needs: &[Need::Shell],
        steps: &[|fixture| Box::pin(stop_asks(fixture))],
    },
    Case {
        id: "exit.stop-kills",
        sentence: "Stop asks first, and kills after the timeout",
        profile: Profile::Exit,
        needs: &[Need::Shell],
        steps: &[|fixture| Box::pin(stop_kills(fixture))],
    },
];

async fn wait_code(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Exit("7"))).await?;
    let exit = fixture.host.wait(&handle).await.doing("wait")?;
    ensure(exit.code == Some(CODE), || format!("it exits with {CODE}, and 'wait' says {exit:?}"))
}

async fn inspect_code(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Exit("7"))).await?;
    let exit = fixture.ended(&handle).await?.exit;
    let code = exit.as_ref().and_then(|exit| exit.code);
    ensure(code == Some(CODE), || format!("it exits with {CODE}, and 'inspect' says {exit:?}"))
}

async fn stop_asks(fixture: &Fixture) -> Checked {
    let mut told = None;
    for pause in LISTENS_AFTER {
        let handle = fixture.launch(&fixture.spec(Role::Polite("7"))).await?;
        tokio::time::sleep(pause).await;
        fixture.host.stop(&handle, 10_000).await.doing("stop")?;
        let exit = fixture.host.wait(&handle).await.doing("wait")?;
        if exit.code == Some(CODE) {
            return Ok(());
        }
        told = Some(exit);
    }
    Err(Breach(format!("asked to end, it exits with {CODE}, and 'wait' says {told:?}")))
}

async fn stop_kills(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Stubborn)).await?;
    fixture.host.stop(&handle, 500).await.doing("stop of a workload that does not end when asked")?;
    fixture.expect(&handle, WorkloadState::Stopped, "after 'stop'").await
}
