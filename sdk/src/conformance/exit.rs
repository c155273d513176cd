//! How workloads end.
use super::Need;
use super::case::{Case, Checked, Profile, ensure};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use crate::WorkloadState;

/// What the workloads exit with.
const CODE: i32 = 7;

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

async fn stop_kills(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Stubborn)).await?;
    fixture.host.stop(&handle, 500).await.doing("stop of a workload that does not end when asked")?;
    fixture.expect(&handle, WorkloadState::Stopped, "after 'stop'").await
}
