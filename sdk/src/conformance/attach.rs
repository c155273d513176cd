//! Stdin and stdout of workloads.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use super::subject::Pipe;
use crate::Capability;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    let mut pipe = attached(fixture).await?;
    for line in ["first\n", "second, with \u{e4} and \0\n"] {
        pipe.writer.write_all(line.as_bytes()).await.map_err(|error| broke(&error))?;
        pipe.writer.flush().await.map_err(|error| broke(&error))?;
        let mut back = vec![0; line.len()];
        pipe.reader.read_exact(&mut back).await.map_err(|error| broke(&error))?;
        ensure(back == line.as_bytes(), || {
            format!("{line:?} comes back as {:?}", String::from_utf8_lossy(&back))
        })?;
    }
    Ok(())
}

async fn slow_reader(fixture: &Fixture) -> Checked {
    const BYTES: usize = 4 * 1024 * 1024;
    let Pipe { mut reader, mut writer } = attached(fixture).await?;
    let sent: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let write = async {
        writer.write_all(&sent).await.map_err(|error| broke(&error))?;
        writer.flush().await.map_err(|error| broke(&error))
    };
    let mut back = vec![0; BYTES];
    let read = async {
        // By now nothing fits any more.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        reader.read_exact(&mut back).await.map_err(|error| broke(&error))
    };
    tokio::try_join!(write, read)?;
    ensure(back == sent, || format!("{BYTES} bytes come back changed"))
}

async fn half_close(fixture: &Fixture) -> Checked {
    let Pipe { mut reader, mut writer } = attached(fixture).await?;
    writer.write_all(b"last\n").await.map_err(|error| broke(&error))?;
    writer.shutdown().await.map_err(|error| broke(&error))?;
    drop(writer);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.map_err(|error| broke(&error))?;
    ensure(rest == b"last\n", || format!("then comes {:?}", String::from_utf8_lossy(&rest)))
}

async fn missing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Echo)).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    fixture.host.attach(&handle).await.fails("attach to a missing workload")?;
    Ok(())
}

fn broke(error: &std::io::Error) -> Breach {
    Breach(format!("the stream breaks off: {error}"))
}
