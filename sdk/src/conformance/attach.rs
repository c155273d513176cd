//! Cases about stdin and stdout of workloads.
use super::Need;
use super::breach::Checked;
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use super::stream;
use super::subject::Pipe;
use crate::Capability;

const NEEDS: &[Need] = &[Need::Capability(Capability::ATTACH), Need::Capability(Capability::STDIO)];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "attach.both-ways",
        sentence: "Attached before the start, stdin and stdout lose nothing and change nothing",
        profile: Profile::Attach,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(both_ways(fixture))],
    },
    Case {
        id: "attach.slow-reader",
        sentence: "Whoever is slow slows the other side down: more than any buffer arrives whole",
        profile: Profile::Attach,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(slow_reader(fixture))],
    },
    Case {
        id: "attach.half-close",
        sentence: "Closing the writing side is the end of the workload's stdin, and of nothing else",
        profile: Profile::Attach,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(half_close(fixture))],
    },
    Case {
        id: "attach.missing",
        sentence: "Attach to a missing workload is an error, never a stream with nobody behind it",
        profile: Profile::Attach,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(missing(fixture))],
    },
];

async fn attached(fixture: &Fixture) -> Checked<Pipe> {
    let handle = fixture.deploy(&fixture.spec(Role::Echo)).await?;
    let pipe = fixture.host.attach(&handle).await.doing("attach")?;
    fixture.host.start(&handle).await.doing("start")?;
    Ok(pipe)
}

async fn both_ways(fixture: &Fixture) -> Checked {
    stream::both_ways(attached(fixture).await?).await
}

async fn slow_reader(fixture: &Fixture) -> Checked {
    stream::slow_reader(attached(fixture).await?).await
}

async fn half_close(fixture: &Fixture) -> Checked {
    stream::half_close(attached(fixture).await?).await
}

async fn missing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Echo)).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    fixture.host.attach(&handle).await.fails("attach to a missing workload")?;
    Ok(())
}
