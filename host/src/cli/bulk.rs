//! Runs one command on several workloads at the same time, and reports the results in the order of the names.
use super::advice;
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome, ended_having, severity};
use super::select::Selection;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use wharf::commands::{Context, Forgotten};
use wharf_model::WorkloadName;
use wharf_model::{Advice, Error, Result};

/// At most this many workloads are worked on at a time.
const AT_A_TIME: usize = 8;

/// The outcome for one workload, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    /// It was started, and is ready.
    Started,
    /// It is being started; nobody waited for it.
    Starting,
    /// It ran already.
    AlreadyRunning,
    /// It was stopped and started, and is ready.
    Restarted,
    /// It was stopped.
    Stopped,
    /// It did not run.
    AlreadyStopped,
    /// It was removed.
    Removed,
    /// Its records were dropped; its owner was not asked.
    Forgotten,
    /// It could not be done: `error` says why.
    #[default]
    Failed,
}

impl Done {
    /// For people.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Starting => "starting",
            Self::AlreadyRunning => "already running",
            Self::Restarted => "restarted",
            Self::Stopped => "stopped",
            Self::AlreadyStopped => "already stopped",
            Self::Removed => "removed",
            Self::Forgotten => "forgotten",
            Self::Failed => "failed",
        }
    }
}

/// The outcome for one workload.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "WorkloadReport"))]
pub(super) struct Report {
    /// Its name; for an orphan the id that `wharf rm --orphan` takes.
    name: String,
    /// The outcome in one word.
    result: Done,
    /// The URL for clients.
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    /// The resources of a forgotten workload that are left in its engine.
    #[serde(skip_serializing_if = "String::is_empty")]
    left_behind: String,
    /// The steps that remove them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advice: Vec<Advice>,
    /// The new paths of its corrupt records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_aside: Vec<PathBuf>,
    /// The failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

impl Report {
    /// A success, in one word.
    pub(super) fn of(name: &WorkloadName, result: Done) -> Self {
        Self { name: name.to_string(), result, ..Self::default() }
    }

    /// A success for something that is no workload.
    pub(super) fn named(name: String, result: Done) -> Self {
        Self { name, result, ..Self::default() }
    }

    /// Adds the URL for clients.
    pub(super) fn at(mut self, url: String) -> Self {
        self.url = url;
        self
    }

    /// Adds the resources that are left of it.
    pub(super) fn leaving(self, forgotten: Forgotten) -> Self {
        let Forgotten { left_behind, advice, set_aside, .. } = forgotten;
        Self { left_behind, advice, set_aside, ..self }
    }

    /// A failure.
    pub(super) fn failure(name: &impl Display, error: Error) -> Self {
        let named = format!("'{name}'");
        let error = if error.message.contains(&named) { error } else { error.while_doing(named) };
        Self { error: Some(error), ..Self::named(name.to_string(), Done::Failed) }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}", self.name, self.result.as_str());
        if !self.url.is_empty() {
            text.push_str(&format!(", {}", self.url));
        }
        if !self.left_behind.is_empty() {
            text.push_str(&format!("; left behind: {}", advice::after(&self.left_behind, &self.advice)));
        }
        for path in &self.set_aside {
            text.push_str(&format!("; a corrupt record is kept as {}", path.display()));
        }
        escape::line(&text).into_owned()
    }
}

/// Does the work for each workload of the selection. Neither a failure nor a closed output stops the work on the others.
pub(super) async fn each<W, F>(
    selection: &Selection,
    context: &Context,
    format: Format,
    console: &Console,
    work: W,
) -> Outcome
where
    W: Fn(WorkloadName) -> F,
    F: Future<Output = Result<Report>>,
{
    let names = selection.names(context)?;
    if names.is_empty() && format == Format::Text {
        console.note(&selection.nothing());
    }
    let work = &work;
    let mut reports = stream::iter(names)
        .map(|name| async move {
            let outcome = work(name.clone()).await;
            outcome.unwrap_or_else(|error| Report::failure(&name, error))
        })
        .buffered(AT_A_TIME);
    let mut all = Vec::new();
    let mut printed: io::Result<()> = Ok(());
    while let Some(report) = reports.next().await {
        if format == Format::Text {
            match &report.error {
                Some(error) => console.error(error, format),
                None => printed = printed.and_then(|()| console.line(&report.text())),
            }
        }
        all.push(report);
    }
    if format == Format::Json {
        printed = console.json(&all);
    }
    ended_having(exit_code(&all), printed, || summary(&all))
}

/// Prints the outcomes of several things at the end.
pub(super) fn print(reports: &[Report], format: Format, console: &Console) -> Outcome {
    let mut printed = Ok(());
    if format == Format::Json {
        printed = console.json(&reports);
    } else {
        for report in reports {
            match &report.error {
                Some(error) => console.error(error, format),
                None => printed = printed.and_then(|()| console.line(&report.text())),
            }
        }
    }
    ended_having(exit_code(reports), printed, || summary(reports))
}

/// All outcomes in one line.
fn summary(reports: &[Report]) -> String {
    reports.iter().map(Report::text).collect::<Vec<_>>().join("; ")
}

fn exit_code(reports: &[Report]) -> u8 {
    most_severe(reports.iter().filter_map(|report| report.error.as_ref()))
}

/// The exit code for the most severe of these failures, or for none.
pub(super) fn most_severe<'a>(errors: impl Iterator<Item = &'a Error>) -> u8 {
    let kinds = errors.map(|error| error.kind);
    kinds.max_by_key(|kind| severity(*kind)).map_or(DONE, wharf_model::ErrorKind::exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::ErrorKind;

    fn failed(kind: ErrorKind, message: &str) -> Report {
        Report::failure(&WorkloadName::new("time").unwrap(), Error::new(kind, message))
    }

    #[test]
    fn the_gravest_failure_decides() {
        let fine = Report::of(&WorkloadName::new("time").unwrap(), Done::Stopped);
        assert_eq!(exit_code(&[]), 0);
        assert_eq!(exit_code(&[failed(ErrorKind::NotFound, "x"), failed(ErrorKind::Deadline, "x"), fine]), 7);
    }

    #[test]
    fn a_failure_names_its_workload_once() {
        let message = |report: Report| report.error.unwrap().message;
        assert_eq!(message(failed(ErrorKind::Failed, "no space")), "'time': no space");
        assert_eq!(message(failed(ErrorKind::NotFound, "there is no 'time'")), "there is no 'time'");
    }
}
