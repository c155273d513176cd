//! Cases about the logs of workloads.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::material::Role;
use crate::{Capability, Handle, LogOptions};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

const NEEDS: &[Need] = &[Need::Capability(Capability::LOGS), Need::Shell];
/// The lines that the workload writes.
const SAID: [&str; 3] = ["one", "two", "three"];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "logs.oldest-first",
        sentence: "The logs are the workload's output, oldest first, and end without 'follow'",
        profile: Profile::Logs,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(oldest_first(fixture))],
    },
    Case {
        id: "logs.tail",
        sentence: "With 'tail', the logs are the last so many lines alone",
        profile: Profile::Logs,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(tail(fixture))],
    },
    Case {
        id: "logs.follow",
        sentence: "With 'follow', the logs go on with what is written from now on",
        profile: Profile::Logs,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(follow(fixture))],
    },
];

async fn oldest_first(fixture: &Fixture) -> Checked {
    let handle = said(fixture).await?;
    let lines = read(fixture, &handle, LogOptions::default()).await?;
    let order: Vec<&str> = lines.iter().filter_map(|line| word(line)).collect();
    ensure(order == SAID, || format!("it wrote {SAID:?}, and the logs have {lines:?}"))
}

async fn tail(fixture: &Fixture) -> Checked {
    let handle = said(fixture).await?;
    let lines = read(fixture, &handle, LogOptions { tail: Some(2), ..LogOptions::default() }).await?;
    let order: Vec<&str> = lines.iter().filter_map(|line| word(line)).collect();
    ensure(order == SAID[1..], || format!("the last two lines of {SAID:?} are {lines:?}"))
}

async fn follow(fixture: &Fixture) -> Checked {
    let handle = fixture.launch(&fixture.spec(Role::Say)).await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let stream = fixture.host.logs(&handle, options).await.doing("logs")?;
    ensure(reads_up_to(stream.reader, SAID[2]).await?, || {
        "the logs end before the last line is written, and before the workload does".to_owned()
    })
}

/// Starts a workload and waits until it has written all its lines.
async fn said(fixture: &Fixture) -> Checked<Handle> {
    let handle = fixture.launch(&fixture.spec(Role::Say)).await?;
    // Whether 'follow' works is tested by another case, so the logs are read again and again.
    while !read(fixture, &handle, LogOptions::default()).await?.iter().any(|line| line.ends_with(SAID[2])) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(handle)
}

async fn read(fixture: &Fixture, handle: &Handle, options: LogOptions) -> Checked<Vec<String>> {
    let mut stream = fixture.host.logs(handle, options).await.doing("logs")?;
    let mut text = String::new();
    stream.reader.read_to_string(&mut text).await.map_err(|error| broke(&error))?;
    Ok(text.lines().map(str::to_owned).collect())
}

async fn reads_up_to(reader: impl AsyncRead + Unpin, last: &str) -> Checked<bool> {
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await.map_err(|error| broke(&error))? {
        if word(&line) == Some(last) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The word of [`SAID`] with which a line ends. A runtime may put something in front of it, such as the time.
fn word(line: &str) -> Option<&'static str> {
    SAID.into_iter().find(|word| line.ends_with(word))
}

fn broke(error: &std::io::Error) -> Breach {
    Breach(format!("the logs break off: {error}"))
}
