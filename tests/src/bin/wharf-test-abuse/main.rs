//! Clients that do all kinds of wrong to one workload for as long as is wanted, while others work in order.
//!
//! `wharf-test-abuse SECONDS [shared|per-session [PER_SECOND]]`: a line a minute (ten of them at least) with the memory,
//! descriptors and threads of the supervisor, the servers of sessions, and the answers so far; at the end the verdict. It ends
//! with code 0 if no client in order ever got a wrong answer, what the supervisor held was flat (told of ten minutes or more),
//! and it holds at the end, at rest, what it held after the first sixth. PER_SECOND is the most that is done in a second: calls
//! in order and wrongs together. `wharf-test-abuse 3600 shared` is an hour.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
mod held;
mod wrongs;

use held::{Held, Trend};
use serde_json::json;
use std::{
    env, io,
    num::NonZeroU32,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server};
use wrongs::WRONGS;

/// The workload.
const NAME: &str = "abused";
/// Clients in order, each with a session after the other.
const WORKERS: u64 = 6;
/// How long what was held for clients that are gone may take to be given back: calls, streams and idle memory have limits of
/// their own, which `config.json` makes short here.
const REST: Duration = Duration::from_secs(20);
/// More memory than this at the end is a leak: the allocator keeps some in pieces.
const MARGIN_KIB: u64 = 24 * 1024;
/// A connection that is being closed at the moment is no leak.
const MARGIN_DESCRIPTORS: usize = 8;

/// A server's pipes, and the wait for its end.
const DESCRIPTORS_OF_SERVER: usize = 6;

/// What came of the clients in order.
#[derive(Default)]
struct Seen {
    right: AtomicU64,
    wrong: AtomicU64,
    /// Calls without an answer: the server was killed, or the session had to go.
    refused: AtomicU64,
    /// Wrongs that were done.
    done: AtomicU64,
    is_over: AtomicBool,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

/// The most that is done in a second where nothing else is asked for.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(300).unwrap();
/// Of a shorter time no trend can be told.
const TREND_TAKES: Duration = Duration::from_secs(600);

/// The bound of all that is done, in order or not.
struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(per_second: NonZeroU32) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.get(), next: Mutex::new(Instant::now()) }
    }

    /// Waits for the next moment at which something may be done.
    fn wait(&self) {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now.max(*next);
        *next = at + self.interval;
        drop(next);
        thread::sleep(at - now);
    }
}

/// A source of choices.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn of(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let instances = arguments.next().unwrap_or_else(|| "shared".to_owned());
    let per_second = arguments.next().map_or(Some(PER_SECOND), |text| text.parse().ok());
    let (Some(seconds), Some(per_second)) = (seconds, per_second) else {
        println!("usage: wharf-test-abuse SECONDS [shared|per-session [PER_SECOND]]");
        return ExitCode::from(2);
    };
    match abuse(Duration::from_secs(seconds), &instances, &Pace::new(per_second)) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            println!("{}", faults.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("wharf-test-abuse: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does it, and returns what was not as it should be.
fn abuse(lasts: Duration, instances: &str, pace: &Pace) -> io::Result<Vec<String>> {
    let host = Host::new();
    // What is kept for clients that are gone is kept for less than a run takes.
    host.configure(
        &json!({ "proxy": { "resume_ms": 2000, "session_servers": 12, "session_reserve_ms": 2000 } }),
    );
    let url = host.run(&["--name", NAME, "--instances", instances, &demo_server()]);
    let supervisor = supervisor(&host);
    let seen = Seen::default();
    println!(
        "Of the supervisor: {instances}\n   s   RSS KiB   PSS KiB  anon KiB  descriptors  threads  servers   right  refused  wrong   abuse"
    );
    let Watched { early, first, measured } = thread::scope(|scope| {
        for number in 0..WORKERS {
            let (url, seen) = (&url, &seen);
            scope.spawn(move || work(url, number, seen, pace));
        }
        for (number, wrong) in WRONGS.into_iter().enumerate() {
            let (url, seen) = (&url, &seen);
            scope.spawn(move || {
                let mut choices = Choices(0x9e37_79b9 + number as u64);
                while seen.goes_on() {
                    pace.wait();
                    // It is meant to be refused.
                    let _ = wrong(url, &mut choices);
                    seen.done.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20 + choices.of(80)));
                }
            });
        }
        let watched = watch(&host, supervisor, lasts, &seen);
        seen.is_over.store(true, Ordering::Relaxed);
        watched
    })?;
    thread::sleep(REST.min(lasts));
    let rest = line(&host, supervisor, lasts + REST.min(lasts), &seen)?;
    let mut faults = Vec::new();
    if seen.wrong.load(Ordering::Relaxed) > 0 || seen.right.load(Ordering::Relaxed) == 0 {
        faults.push("clients in order got wrong answers, or none".to_owned());
    }
    let descriptors = first.descriptors + MARGIN_DESCRIPTORS + DESCRIPTORS_OF_SERVER * rest.servers;
    if rest.anon_kib > early.anon_kib + MARGIN_KIB || rest.descriptors > descriptors {
        faults
            .push(format!("more is held than before: {early:?} early, {first:?} at first, {rest:?} at rest"));
    }
    if let Some(trend) = Trend::of(&measured, lasts).filter(|_| lasts >= TREND_TAKES) {
        let verdict = if trend.is_flat() { "flat" } else { "NOT FLAT" };
        println!("From the first sixth to the end, along a line: {trend}: {verdict}");
        if !trend.is_flat() {
            faults.push(format!("what is held grows: {trend}"));
        }
    }
    println!("Verdict: {}", if faults.is_empty() { "nothing is wrong" } else { "FAULTS" });
    host.ok(&["rm", NAME]);
    host.assert_nothing_runs();
    Ok(faults)
}

/// What was held while it was done.
struct Watched {
    /// After a sixth of the time.
    early: Held,
    first: Held,
    measured: Vec<(Duration, Held)>,
}

/// Prints what is held, kills a server now and then.
fn watch(host: &Host, supervisor: i32, lasts: Duration, seen: &Seen) -> io::Result<Watched> {
    let began = Instant::now();
    let interval = (lasts / 10).min(Duration::from_secs(60));
    let first = line(host, supervisor, Duration::ZERO, seen)?;
    let (mut early, mut measured) = (first, Vec::new());
    while began.elapsed() < lasts {
        thread::sleep(interval.min(lasts.saturating_sub(began.elapsed())));
        let now = line(host, supervisor, began.elapsed(), seen)?;
        measured.push((began.elapsed(), now));
        if began.elapsed() <= lasts / 6 || now.anon_kib > early.anon_kib && began.elapsed() <= lasts / 5 {
            early = now;
        }
        kill_a_server(host);
    }
    Ok(Watched { early, first, measured })
}

fn line(host: &Host, supervisor: i32, at: Duration, seen: &Seen) -> io::Result<Held> {
    let servers = host.record(NAME)["session_servers"].as_array().map_or(0, Vec::len);
    let held = Held::by(supervisor, servers)?;
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    println!(
        "{:>4} {:>9} {:>9} {:>9} {:>12} {:>8} {servers:>8} {:>7} {:>8} {:>6} {:>7}",
        at.as_secs(),
        held.rss_kib,
        held.pss_kib,
        held.anon_kib,
        held.descriptors,
        held.threads,
        count(&seen.right),
        count(&seen.refused),
        count(&seen.wrong),
        count(&seen.done),
    );
    Ok(held)
}

fn supervisor(host: &Host) -> i32 {
    i32::try_from(host.record(NAME)["process_id"].as_i64().unwrap_or_default()).unwrap_or_default()
}

/// The server of a session, or the shared one, which comes back.
fn kill_a_server(host: &Host) {
    let record = host.record(NAME);
    let of_session = record["session_servers"][0]["handle"]["data"]["workload"]["pid"].as_i64();
    let own = || record["handle"]["data"]["workload"]["pid"].as_i64();
    if let Some(pid) = of_session.or_else(own).and_then(|pid| i32::try_from(pid).ok()) {
        host.kill_server(pid);
    }
}

/// A client in order: sessions one after the other, with calls whose answers it knows.
fn work(url: &str, number: u64, seen: &Seen, pace: &Pace) {
    let mut choices = Choices(number + 1);
    while seen.goes_on() {
        let Ok(mut client) = Client::open(url) else {
            seen.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        for round in 0..20 + choices.of(60) {
            if !seen.goes_on() {
                break;
            }
            pace.wait();
            let bytes = [16, 1024, 64 * 1024, 512 * 1024][choices.of(4) as usize];
            let said = format!("{number} {round} {}", "x".repeat(bytes));
            match client.call_tool("echo", json!({ "message": said })) {
                Ok(answer) if answer == said => seen.right.fetch_add(1, Ordering::Relaxed),
                Ok(_) => seen.wrong.fetch_add(1, Ordering::Relaxed),
                Err(_) => {
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            };
            thread::sleep(Duration::from_millis(choices.of(50)));
        }
        // Every other one just goes.
        if choices.of(2) == 0 {
            let _ = client.leave();
        }
    }
}
