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
const NEEDS_TIMES: &[Need] =
    &[Need::Capability(Capability::LOGS), Need::Capability(Capability::LOG_TIMESTAMPS), Need::Shell];
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
    Case {
        id: "logs.timestamps",
        sentence: "With 'timestamps', each line of the logs begins with the time at which it was written",
        profile: Profile::Logs,
        needs: NEEDS_TIMES,
        steps: &[|fixture| Box::pin(timestamps(fixture))],
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

async fn timestamps(fixture: &Fixture) -> Checked {
    let handle = said(fixture).await?;
    let lines = read(fixture, &handle, LogOptions { timestamps: true, ..LogOptions::default() }).await?;
    let said: Vec<&String> = lines.iter().filter(|line| word(line).is_some()).collect();
    let is_stamped = |line: &&String| line.split_once(' ').is_some_and(|(time, _)| is_time(time));
    ensure(said.len() == SAID.len() && said.iter().all(is_stamped), || {
        format!("each line begins with a time such as 2026-01-31T08:00:00.123Z and a space: {lines:?}")
    })
}

/// True of a time in UTC as RFC 3339 has it, with any fraction of a second.
fn is_time(text: &str) -> bool {
    let Some((seconds, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let is_form = seconds.bytes().zip(*b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    let fraction = rest.strip_suffix('Z').map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    is_form && fraction.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
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
