//! How long after its death a workload's end is on record, with restarts off, beside the kernel's own notice to a holder of
//! a descriptor of the process.
use crate::{
    Result,
    host::{NAME, Running},
    milliseconds,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::time::{Duration, Instant};
use wharf_records::Watch;
use wharf_tests::host::{EVENT_WAIT, Host};

const KILLS: usize = 15;

#[derive(Serialize)]
struct Exits {
    /// From the signal to the status file with the end.
    recorded_ms: f64,
    /// From the same signal to the descriptor's readiness.
    pidfd_ms: f64,
}

/// Measures it, one workload after the other.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let host = Host::new();
    let (mut recorded, mut told) = (Vec::new(), Vec::new());
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..KILLS {
        let running = Running::start(&host, &["--restart", "no"])?;
        let (record, pidfd) = waiting.block_on(one(&host, &running))?;
        recorded.push(record);
        told.push(pidfd);
        running.remove(&host);
    }
    let exits = Exits { recorded_ms: milliseconds(&recorded), pidfd_ms: milliseconds(&told) };
    println!("From a workload's death, medians of {KILLS} kills");
    println!("to its record {:>10.2} ms\nto its pidfd {:>11.2} ms", exits.recorded_ms, exits.pidfd_ms);
    Ok(to_value(exits)?)
}

async fn one(host: &Host, running: &Running) -> Result<(Duration, Duration)> {
    let pid = Pid::from_raw(i32::try_from(running.server)?).ok_or("there is no server")?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut watch = Watch::new()?;
    watch.folder(&host.path("state/statuses"))?;
    let waiter = process.try_clone()?;
    let pidfd = tokio::task::spawn_blocking(move || {
        let mut asked = [PollFd::new(&waiter, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut asked, None)).map(|_| Instant::now())
    });
    let killed = Instant::now();
    pidfd_send_signal(&process, Signal::KILL)?;
    while host.record(NAME)["last_exit"].is_null() {
        tokio::time::timeout(EVENT_WAIT, watch.changed()).await??;
    }
    let recorded = killed.elapsed();
    Ok((recorded, pidfd.await?? - killed))
}
