//! `logs`: the workload's output from its owner, or the supervisor's own log.
use crate::commands::context::Context;
use crate::commands::list::view;
use crate::commands::lookup::{connect_to_owner, find_by_labels, find_handle, read_record, read_run_config};
use jiff::Timestamp;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::io::AsyncRead;
use wharf_model::{Advice, EffectiveState, LockKind, RunConfig, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::LifeProbe;
use wharf_runtimes::{RawStream, RuntimeClient};
use wharf_sdk::{Capability, ErrorCode, Handle, LogOptions};

/// The pause before a workload whose log has ended is looked at. No event that all runtimes have tells that a workload is
/// back, or goes on after a pause in its engine; and an engine that has just restarted it may show it as running before its
/// log goes on. Each look is one question to its owner. The looks end when nobody is left who would bring it back, or with
/// the command.
const BACK_PAUSE: Duration = Duration::from_millis(300);
/// The longest such pause, for a workload that somebody has paused: that may last for days.
const PAUSED_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The log to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// The workload's output.
    Workload,
    /// The supervisor's log.
    Proxy,
}

/// A log, to be read to its end; with `follow` it has none.
pub type LogReader = Box<dyn AsyncRead + Send + Unpin>;

/// Opens the workload's log, through its owner.
pub async fn logs(context: &Context, name: &WorkloadName, options: LogOptions) -> Result<LogReader> {
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        let message = format!("'{name}' is a remote server, whose output is not seen here");
        return Err(Error::new(ErrorKind::NotFound, message)
            .advise(Advice::ReadSupervisorLog { name: name.to_string() }));
    }
    let (client, handle) = at_owner(context, &run).await?;
    let log = match client.logs(&handle, options).await {
        Err(error) if error.code() == Some(ErrorCode::NotFound) => {
            // It was made anew since its record was read; or somebody has removed it; or it is there, and its log is not.
            match find_by_labels(context, &run, &client).await? {
                None => return Err(gone(context, &run)),
                Some(now) if now == handle => Err(error),
                Some(now) => client.logs(&now, options).await,
            }
        }
        log => log,
    };
    log.map_err(Error::from).and_then(readable).map_err(|error| match error.kind {
        // Its owner answers, and has no output of it: what it knows of the workload is told elsewhere.
        ErrorKind::Runtime => error.advise(Advice::ShowStatus { name: name.to_string() }),
        _ => error,
    })
}

/// The error for the log of a workload that its owner does not have any more.
fn gone(context: &Context, run: &RunConfig) -> Error {
    let name = run.name.to_string();
    let message = format!(
        "the runtime '{}' no longer has what '{name}' ran as: somebody has removed it, and its log with it",
        run.runtime_name
    );
    // Where it has a supervisor, a start has nothing to do.
    let is_tended =
        LifeProbe::open(context.store().state()).and_then(|probe| probe.is_held(&run.name, LockKind::Life));
    let again = if matches!(is_tended, Ok(true)) {
        Advice::Restart { name: name.clone() }
    } else {
        Advice::Start { name: name.clone() }
    };
    Error::new(ErrorKind::NotFound, message).advise(again).advise(Advice::ReadSupervisorLog { name })
}

async fn at_owner(context: &Context, run: &RunConfig) -> Result<(Arc<RuntimeClient>, Handle)> {
    let record = read_record(context, &run.name)?;
    let client = connect_to_owner(context, run).await?;
    let Some(handle) = find_handle(context, run, record.as_ref(), &client).await? else {
        let message = format!("'{}' has not run yet, so it has no log", run.name);
        return Err(Error::new(ErrorKind::NotFound, message));
    };
    Ok((client, handle))
}

async fn open(client: &RuntimeClient, handle: &Handle, options: LogOptions) -> Result<LogReader> {
    readable(client.logs(handle, options).await?)
}

fn readable(log: RawStream) -> Result<LogReader> {
    log.into_reader().map_err(|error| Error::caused(ErrorKind::Failed, "the log cannot be read", &error))
}

/// What was read of a log that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLog {
    /// When it was opened.
    pub opened: Timestamp,
    /// When something of it came last.
    pub heard: Timestamp,
}

impl ReadLog {
    /// One that is opened now.
    #[must_use]
    pub fn now() -> Self {
        let now = Timestamp::now();
        Self { opened: now, heard: now }
    }
}

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or_default()
}

/// The continuation after the end of a log that is followed.
pub enum AfterLog {
    /// The workload was started again, and goes on to write.
    More(LogReader),
    /// Nothing: the workload has ended, for this reason.
    Over(String),
}

/// Waits until a workload whose log has ended runs again, which may be after a restart from outside, or is not brought back.
/// `timestamps`: as for the log that ended.
///
/// Situation: the one who reads is slow, and hears of the end when the next server has written for a while. Conclusion: its
/// lines are shown from its start on, and not from when the end was heard of. Where the engine itself restarts, the log that
/// ended may have gone over restarts: there it goes on from the last time that something of it was heard.
pub async fn follow_on(
    context: &Context,
    name: &WorkloadName,
    read: ReadLog,
    timestamps: bool,
) -> Result<AfterLog> {
    let mut pause = BACK_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let run = match context.store().read_run_config(name) {
            Err(error) if error.is_not_found() => return Ok(AfterLog::Over("it was removed".to_owned())),
            run => run?,
        };
        let (row, _, _) = view(context, &run).await?;
        match row.status {
            EffectiveState::Running => {
                let (client, handle) = at_owner(context, &run).await?;
                let started = client.inspect(&handle).await?.started_at_ms.unwrap_or_default();
                let is_new =
                    started > milliseconds(read.opened) && !client.stamp().has(&Capability::RESTARTS_ITSELF);
                let since = if is_new { started } else { started.max(milliseconds(read.heard)) };
                let options = LogOptions { follow: true, tail: None, since_ms: Some(since), timestamps };
                return open(&client, &handle, options).await.map(AfterLog::More);
            }
            // The user who has paused it may let it go on.
            EffectiveState::Paused => pause = (pause * 2).min(PAUSED_PAUSE_MAX),
            _ if may_come_back(context, name)? => pause = BACK_PAUSE,
            state => {
                let why = if row.status_context.is_empty() { "it has ended" } else { &row.status_context };
                return Ok(AfterLog::Over(format!("{why} ({})", state.as_str())));
            }
        }
    }
}

/// Whether a supervisor is there, which brings it back, or a command is at work on it: a restart has none for a moment, between
/// the one that it ends and the one that it starts.
fn may_come_back(context: &Context, name: &WorkloadName) -> Result<bool> {
    let probe = LifeProbe::open(context.store().state())?;
    // In this order: a start takes the second before it lets go of the first.
    Ok(probe.is_held(name, LockKind::Operation)? || probe.is_held(name, LockKind::Life)?)
}

/// The file of the supervisor's log. Needs no owner.
pub fn proxy_log(context: &Context, name: &WorkloadName) -> Result<PathBuf> {
    let path = wharf_supervisor::log_path(context.store().state(), name);
    if !path.exists() {
        // If the workload does not exist, that is the error.
        read_run_config(context, name)?;
        return Err(Error::new(ErrorKind::NotFound, format!("'{name}' has no supervisor's log yet")));
    }
    Ok(path)
}
