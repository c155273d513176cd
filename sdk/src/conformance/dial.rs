//! Cases about connections to ports of workloads that the runtime carries.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::listening::{leads_nowhere, listener, until_answered};
use super::stream;
use super::subject::Pipe;
use crate::{Capability, Handle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NEEDS: &[Need] =
    &[Need::Capability(Capability::DIAL), Need::Capability(Capability::HTTP), Need::Listener];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "dial.both-ways",
        sentence: "A connection carries bytes both ways, and loses and changes none",
        profile: Profile::Dial,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(both_ways(fixture))],
    },
    Case {
        id: "dial.slow-reader",
        sentence: "Whoever is slow slows the other side down: more than any buffer arrives whole",
        profile: Profile::Dial,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(slow_reader(fixture))],
    },
    Case {
        id: "dial.half-close",
        sentence: "Closing the writing side is the end of the server's input, and of nothing else",
        profile: Profile::Dial,
        needs: &[
            Need::Capability(Capability::DIAL_HALF_CLOSE),
            Need::Capability(Capability::DIAL),
            Need::Capability(Capability::HTTP),
            Need::Listener,
        ],
        steps: &[|fixture| Box::pin(half_close(fixture))],
    },
    Case {
        id: "dial.several",
        sentence: "Each call is another connection: what ends one of them ends no other",
        profile: Profile::Dial,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(several(fixture))],
    },
    Case {
        id: "dial.end",
        sentence: "The end of the workload ends its connections",
        profile: Profile::Dial,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(end(fixture))],
    },
    Case {
        id: "dial.nobody",
        sentence: "A connection to a port on which nobody listens is refused, or ends",
        profile: Profile::Dial,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(nobody(fixture))],
    },
    Case {
        id: "dial.missing",
        sentence: "A connection to a missing workload is an error, never a stream with nobody behind it",
        profile: Profile::Dial,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(missing(fixture))],
    },
];

/// Starts a workload that listens, and waits until it answers over a connection.
async fn listening(fixture: &Fixture) -> Checked<Handle> {
    let handle = fixture.deploy(&listener(fixture)?).await?;
    fixture.host.start(&handle).await.doing("start")?;
    until_answered(fixture, &handle).await;
    Ok(handle)
}

async fn connected(fixture: &Fixture) -> Checked<(Handle, Pipe)> {
    let handle = listening(fixture).await?;
    let pipe = fixture.host.dial(&handle, fixture.setting.port).await.doing("dial")?;
    Ok((handle, pipe))
}

async fn both_ways(fixture: &Fixture) -> Checked {
    stream::both_ways(connected(fixture).await?.1).await
}

async fn slow_reader(fixture: &Fixture) -> Checked {
    stream::slow_reader(connected(fixture).await?.1).await
}

async fn half_close(fixture: &Fixture) -> Checked {
    stream::half_close(connected(fixture).await?.1).await
}

async fn several(fixture: &Fixture) -> Checked {
    let (handle, mut first) = connected(fixture).await?;
    let mut second =
        fixture.host.dial(&handle, fixture.setting.port).await.doing("dial for the second time")?;
    for pipe in [&mut first, &mut second] {
        answer_to(pipe, b"hello\n").await?;
    }
    // The first connection waits while the second one ends by being dropped. How the server is told that its input has
    // ended is tested by another case.
    first.writer.write_all(b"first\n").await.map_err(|error| stream::broke(&error))?;
    answer_to(&mut second, b"other\n").await?;
    drop(second);
    let back = answer_of(&mut first).await?;
    ensure(back != *b"other\n", || "the first connection answers what the second was told".to_owned())?;
    answer_to(&mut first, b"again\n").await.map(drop)
}

/// Sends a line and returns the bytes that come back. Whether they equal the line is tested by another case.
async fn answer_to(pipe: &mut Pipe, line: &[u8; 6]) -> Checked<[u8; 6]> {
    pipe.writer.write_all(line).await.map_err(|error| stream::broke(&error))?;
    answer_of(pipe).await
}

async fn answer_of(pipe: &mut Pipe) -> Checked<[u8; 6]> {
    pipe.writer.flush().await.map_err(|error| stream::broke(&error))?;
    let mut back = [0; 6];
    pipe.reader.read_exact(&mut back).await.map_err(|error| stream::broke(&error))?;
    Ok(back)
}

async fn end(fixture: &Fixture) -> Checked {
    let (handle, mut pipe) = connected(fixture).await?;
    fixture.stop(&handle).await?;
    let mut rest = Vec::new();
    // The read may end or fail: in either case nobody waits any longer.
    let _ = pipe.reader.read_to_end(&mut rest).await;
    ensure(rest.is_empty(), || {
        format!("after the end of the workload comes {:?}", String::from_utf8_lossy(&rest))
    })
}

async fn nobody(fixture: &Fixture) -> Checked {
    let handle = listening(fixture).await?;
    // The port below the one that was asked for: it is as likely to be free.
    let port = fixture.setting.port.checked_sub(1).filter(|port| *port > 0);
    let port = port.ok_or_else(|| Breach("there is no other port".to_owned()))?;
    leads_nowhere(fixture, &handle, port).await
}

async fn missing(fixture: &Fixture) -> Checked {
    let handle = listening(fixture).await?;
    // Whether a removal ends a running workload is tested by another case.
    fixture.stop(&handle).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    fixture.host.dial(&handle, fixture.setting.port).await.fails("dial of a missing workload")?;
    Ok(())
}
