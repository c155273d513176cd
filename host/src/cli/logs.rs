//! `logs`.
use super::console::Console;
use super::failure::{DONE, Outcome};
use super::follow;
use super::log_writer::LogWriter;
use super::output;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use wharf::commands::{self, AfterLog, Context};
use wharf_model::WorkloadName;
use wharf_sdk::LogOptions;

const EXAMPLES: &str = "Examples:
  wharf logs -f -n 20 time
  wharf logs --since 10m --timestamps time
  wharf logs --proxy time";

/// Show what a workload writes
///
/// On a terminal, what it would obey is escaped; elsewhere the bytes are as they were written.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Logs {
    /// The workload's name
    name: WorkloadName,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Only this many of the last lines
    #[arg(short = 'n', long, value_name = "N|all", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Only what was written since then: 90s, 10m, 2h30m, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Put the time before each line, in UTC; a runtime that cannot refuses it
    #[arg(short, long)]
    timestamps: bool,
    /// The log of its supervisor and proxy instead, whose lines have their times anyway
    #[arg(long)]
    proxy: bool,
}

/// The number of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    All,
    Lines(u64),
}

fn tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail::All);
    }
    text.parse().map(Tail::Lines).map_err(|_| "it is a number of lines, or all".to_owned())
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(then) = text.parse() {
        return Ok(then);
    }
    let ago: SignedDuration =
        text.parse().map_err(|_| "it is a duration such as 10m, or a time in RFC 3339".to_owned())?;
    Timestamp::now().checked_sub(ago.abs()).map_err(|_| "that is too long ago".to_owned())
}

impl Logs {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        if self.follow {
            leave_with_the_reader();
        }
        let lines = match self.tail {
            Tail::All => None,
            Tail::Lines(lines) => Some(lines),
        };
        let mut writer = LogWriter { escapes: console.stdout_is_terminal };
        if self.proxy {
            let path = commands::proxy_log(context, &self.name)?;
            let wanted = follow::Wanted { lines, since: self.since, follow: self.follow };
            follow::print(&path, &wanted, &mut writer).await?;
            return Ok(DONE);
        }
        let since_ms = self.since.map(|since| u64::try_from(since.as_millisecond()).unwrap_or(0));
        let options = LogOptions { follow: self.follow, tail: lines, since_ms, timestamps: self.timestamps };
        let reader = commands::logs(context, &self.name, options).await?;
        let mut read = writer.copy(reader).await?;
        if self.follow {
            let why = loop {
                match commands::follow_on(context, &self.name, read, self.timestamps).await? {
                    AfterLog::More(reader) => read = writer.copy(reader).await?,
                    AfterLog::Over(why) => break why,
                }
            };
            console.note(&format!("the log of '{}' ends here: {why}", self.name));
        }
        Ok(DONE)
    }
}

/// Ends the process when nobody reads its output any more: if the log stays silent, no write would fail.
fn leave_with_the_reader() {
    let watch = || {
        let Ok(stdout) = output::descriptor() else { return };
        // Without any requested event, poll(2) still returns for an error or a hang-up.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        while matches!(poll(&mut watched, None), Err(Errno::INTR)) {}
        if watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            wharf_runtimes::leave(0);
        }
    };
    // If the thread cannot be started, the log is followed all the same.
    let _ = std::thread::Builder::new().name("wharf-reader".to_owned()).spawn(watch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!(
            (tail("all"), tail("0"), tail("12")),
            (Ok(Tail::All), Ok(Tail::Lines(0)), Ok(Tail::Lines(12)))
        );
        assert!(tail("-1").is_err() && tail("many").is_err());
    }

    #[test]
    fn a_time_is_a_duration_or_a_moment() {
        assert_eq!(since("2026-01-31T08:00:00Z").unwrap().as_second(), 1_769_846_400);
        for duration in ["90s", "10m", "2h30m", "1d"] {
            match since(duration) {
                Ok(then) => assert!(then < Timestamp::now(), "{duration}"),
                // For jiff, a day has no fixed length, unlike an hour.
                Err(_) => assert_eq!(duration, "1d"),
            }
        }
        assert!(since("yesterday").is_err());
    }
}
