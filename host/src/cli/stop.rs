//! `stop`.
use super::console::{Console, Format};
use super::failure::Outcome;
use super::select::Selection;
use super::several::{Report, each};
use clap::Args;
use std::time::Duration;
use wharf::workload::{Manager, StopResult};

/// How long a workload may take to end by itself where nothing is said, in seconds.
pub(super) const DEFAULT_TIMEOUT: &str = "10";

/// Stop workloads
///
/// JSON: an array of name, result (stopped, already_stopped, failed), error.
#[derive(Args)]
pub(super) struct Stop {
    #[command(flatten)]
    selection: Selection,
    /// Seconds that they may take to end by themselves before they are killed
    #[arg(short, long, value_name = "SECONDS", default_value = DEFAULT_TIMEOUT, value_parser = seconds)]
    timeout: Duration,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Stop {
    pub(super) async fn execute(&self, manager: &Manager, console: &Console) -> Outcome {
        let stop = |name| async move {
            let result = match manager.stop(&name, self.timeout).await?.result {
                StopResult::Stopped => "stopped",
                StopResult::AlreadyStopped => "already_stopped",
            };
            Ok(Report::of(&name, result))
        };
        each(&self.selection, manager, self.format, console, stop).await
    }
}

/// A number of seconds, with a fraction or without.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    /// A day: what takes longer is not waited for, but a mistake.
    const LONGEST: f64 = 86_400.0;
    let seconds: f64 = text.parse().map_err(|_| "it is a number of seconds, such as 10 or 0.5".to_owned())?;
    if (0.0..=LONGEST).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("it is from 0 to {LONGEST} seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_seconds_within_limits() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "x", "-1", "NaN", "inf", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
