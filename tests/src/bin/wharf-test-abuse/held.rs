//! [`Held`]: what a supervisor holds; and [`Trend`]: whether that grows while it is abused.
use std::{fmt, fs, io, time::Duration};

/// The resources of a supervisor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) rss_kib: u64,
    pub(crate) pss_kib: u64,
    pub(crate) anon_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Servers of sessions on record. Those of sessions that were left stay until others need their places.
    pub(crate) servers: usize,
}

impl Held {
    pub(crate) fn by(pid: i32, servers: usize) -> io::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
        };
        Ok(Self {
            rss_kib: kib("Rss:"),
            pss_kib: kib("Pss:"),
            anon_kib: kib("Pss_Anon:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            threads: fs::read_dir(format!("/proc/{pid}/task"))?.count(),
            servers,
        })
    }
}

/// Growth of a straight line through the measurements that is not more than chance: what is held under load goes up and down.
const MEMORY_KIB: f64 = 24.0 * 1024.0;
const DESCRIPTORS: f64 = 150.0;
const THREADS: f64 = 8.0;

/// The growth of what was held, along straight lines through the measurements after the first sixth of the time.
#[derive(Debug)]
pub(crate) struct Trend {
    rss_kib: f64,
    anon_kib: f64,
    descriptors: f64,
    threads: f64,
}

impl Trend {
    /// None where there are too few measurements.
    pub(crate) fn of(measured: &[(Duration, Held)], lasts: Duration) -> Option<Self> {
        let late: Vec<&(Duration, Held)> = measured.iter().filter(|(at, _)| *at >= lasts / 6).collect();
        let grown =
            |what: fn(&Held) -> f64| growth(late.iter().map(|(at, held)| (at.as_secs_f64(), what(held))));
        Some(Self {
            rss_kib: grown(|held| held.rss_kib as f64)?,
            anon_kib: grown(|held| held.anon_kib as f64)?,
            descriptors: grown(|held| held.descriptors as f64)?,
            threads: grown(|held| held.threads as f64)?,
        })
    }

    pub(crate) fn is_flat(&self) -> bool {
        self.rss_kib.max(self.anon_kib) <= MEMORY_KIB
            && self.descriptors <= DESCRIPTORS
            && self.threads <= THREADS
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss_kib, anon_kib, descriptors, threads } = self;
        write!(
            f,
            "RSS {rss_kib:+.0} KiB, anonymous {anon_kib:+.0} KiB, descriptors {descriptors:+.0}, threads {threads:+.0}"
        )
    }
}

/// The growth from the first to the last point of the straight line that fits points best.
fn growth(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let points: Vec<(f64, f64)> = points.collect();
    let (first, last) = (points.first()?.0, points.last()?.0);
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    slope.is_finite().then_some(slope * (last - first))
}

#[cfg(test)]
mod tests {
    use super::{Held, Trend};
    use std::time::Duration;

    fn trend(held: impl Fn(u64) -> (u64, usize)) -> Trend {
        let minute = |at: u64| {
            let (kib, descriptors) = held(at);
            let held =
                Held { rss_kib: kib, pss_kib: kib, anon_kib: kib, descriptors, threads: 4, servers: 0 };
            (Duration::from_secs(60 * at), held)
        };
        let measured: Vec<_> = (0..=60).map(minute).collect();
        Trend::of(&measured, Duration::from_secs(3600)).unwrap()
    }

    #[test]
    fn what_goes_up_and_down_is_flat_and_what_grows_is_not() {
        assert!(trend(|at| (20_000 + 9_000 * (at % 3), 30 + 40 * (at as usize % 2))).is_flat());
        assert!(trend(|at| (if at < 10 { 1000 * at } else { 10_000 }, 30)).is_flat(), "it warms up");
        assert!(!trend(|at| (20_000 + 600 * at, 30)).is_flat());
        assert!(!trend(|at| (20_000, 30 + 4 * at as usize)).is_flat());
    }
}
