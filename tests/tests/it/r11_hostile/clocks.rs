//! Clocks that are stepped: in the records, and by a preloaded library.
use super::tools::{status, write};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};
use wharf_tests::engine::ScriptedEngine;
use wharf_tests::host::{Host, Said, demo_server, eventually};

#[test]
fn r04_a_clock_that_is_stepped_back_and_forth_decides_nothing() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let path = host.path("state/statuses/demo.json");
    // A test cannot set the machine's clock, so it changes the records' times.
    for moment in ["1970-01-01T00:00:00Z", "2999-12-31T23:59:59Z"] {
        let mut record = host.record("demo");
        for field in ["created_at", "updated_at", "started_at"] {
            record[field] = json!(moment);
        }
        write(&path, record.to_string().as_bytes());
        let row = host.row("demo").unwrap();
        assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &Value::Null), "{row}");
        host.ok(&["status", "demo"]);
        let said = host.ok(&["reconcile", "--format", "json"]);
        assert!(said.contains("in_order"), "{said}");
        assert_eq!(host.record("demo"), record, "nothing was done");
        host.ok(&["restart", "demo"]);
        assert_eq!(status(&host, "demo"), "running");
    }
    host.ok(&["stop", "demo"]);
    assert_eq!(status(&host, "demo"), "stopped");
}

/// C, for `LD_PRELOAD`: the time of day, plus the seconds in the file of `$STEPPED_CLOCK`. `CLOCK_MONOTONIC`, which deadlines
/// use, is untouched.
const STEPPED: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
    long seconds = 0;
    const char *path = getenv("STEPPED_CLOCK");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += offset();
    return (int)failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}
"#;

/// A host whose commands and supervisors have a clock of their own. Its launchers keep the machine's: `LD_PRELOAD` does not
/// reach them.
struct Stepped {
    engine: ScriptedEngine,
    host: Host,
    library: PathBuf,
}

impl Stepped {
    /// A host with a clock that can be stepped; none if there is no compiler, with a message.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn new() -> Option<Self> {
        let host = Host::new();
        let (source, library) = (host.path("clock.c"), host.path("clock.so"));
        write(&source, STEPPED.as_bytes());
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
        match compiled {
            Err(_) => {
                eprintln!("skipped: there is no C compiler");
                return None;
            }
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        }
        let engine = ScriptedEngine::new(&host, "scripted-one");
        let stepped = Self { engine, host, library };
        stepped.step(0);
        Some(stepped)
    }

    /// Steps the clock by so many seconds.
    fn step(&self, seconds: i64) {
        let new = self.host.path("offset.new");
        write(&new, seconds.to_string().as_bytes());
        fs::rename(new, self.host.path("offset")).unwrap();
    }

    fn wharf(&self, args: &[&str]) -> Said {
        let mut command = self.host.command(args);
        command.env("LD_PRELOAD", &self.library).env("STEPPED_CLOCK", self.host.path("offset"));
        Said::of(&command.output().unwrap())
    }

    fn ok(&self, args: &[&str]) -> String {
        let said = self.wharf(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.stdout
    }

    fn all_run(&self) -> bool {
        let rows: Vec<Value> =
            serde_json::from_str(&self.ok(&["list", "--all", "--format", "json"])).unwrap();
        rows.len() == 2 && rows.iter().all(|row| row["status"] == "running" && row["stale"] != true)
    }
}

const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;

#[test]
fn r04_a_preloaded_clock_that_is_stepped_back_and_forth_decides_nothing() {
    let Some(stepped) = Stepped::new() else { return };
    stepped.ok(&["run", "--restart", "always", "--name", "plain", &demo_server()]);
    stepped.ok(&["run", "--restart", "always", "--name", "one", "--runtime", "scripted-one", "sh"]);
    let started = |host: &Host| host.record("plain")["started_at"].as_str().unwrap().to_owned();
    let first = started(&stepped.host);
    for offset in [TEN_YEARS, -TEN_YEARS, 0, 3600, -3600] {
        let before = (stepped.host.record("plain"), stepped.host.record("one"));
        stepped.step(offset);
        assert!(stepped.all_run(), "{offset}");
        let said = stepped.ok(&["reconcile", "--format", "json"]);
        assert_eq!(said.matches("in_order").count(), 2, "{offset}: {said}");
        assert_eq!((stepped.host.record("plain"), stepped.host.record("one")), before, "nothing was done");
        // A workload that ends is brought back, whatever the time was when it became ready.
        let server = before.0["handle"]["data"]["workload"]["pid"].as_i64().unwrap();
        stepped.host.kill_own(i32::try_from(server).unwrap());
        let objects = stepped.engine.objects();
        objects.iter().for_each(|object| stepped.engine.kill(object, 9));
        eventually("both run again", || {
            let anew = stepped.host.record("plain")["handle"]["data"]["workload"]["pid"].as_i64();
            anew != Some(server) && stepped.all_run()
        });
        for name in ["plain", "one"] {
            stepped.ok(&["stop", name]);
            assert_eq!(stepped.host.record(name)["status"], "stopped", "{offset}");
            stepped.ok(&["start", name]);
        }
        assert!(stepped.all_run(), "{offset}");
        // `[..3]` is the decade, which is another one ten years away: proof that the library took effect.
        let is_another = started(&stepped.host)[..3] != first[..3];
        assert_eq!(is_another, offset.abs() == TEN_YEARS, "{offset}: {first}");
    }
    for name in ["plain", "one"] {
        stepped.ok(&["rm", name]);
    }
    stepped.host.assert_nothing_runs();
}
