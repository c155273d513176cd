//! The option of every command that ends workloads: how long they may take to end by themselves.
use clap::Args;
use std::time::Duration;
use wharf::commands::{self, Context};
use wharf_model::WorkloadName;

/// How long workloads may take to end by themselves.
#[derive(Args)]
pub(super) struct StopTimeout {
    /// Seconds that they may take to end by themselves before they are killed [default: as they were run, else 10]
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,
}

impl StopTimeout {
    /// For this workload.
    pub(super) fn of(&self, context: &Context, name: &WorkloadName) -> Duration {
        self.timeout.unwrap_or_else(|| commands::stop_timeout(context, name))
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

/// A time as records have it.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
