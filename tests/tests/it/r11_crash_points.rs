//! `kill -9` at every named point between two effects, by enumeration and then at random: demonstration 6 of the
//! ownership contract.
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use wharf_tests::host::{Host, Said, built, demo_server, runs};

/// How many hosts are tried at the same time: they wait for disks and processes more than they compute.
const HOSTS: usize = 8;
/// After so many seconds no later occurrence of a point is begun; the first of each is always tried. The variable gives
/// another number: with a thousand, all are tried.
const ENUMERATION_SECONDS: u64 = 60;
const ENUMERATION_VARIABLE: &str = "WHARF_TEST_KILL_SECONDS";
const RANDOM_TIME: Duration = Duration::from_secs(10);
/// No command of a test may take longer, whatever was killed beside it.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// What nobody knows must have ended by itself within this: a server without supervisor has 5 s between signals.
const ORPHAN_LIMIT: Duration = Duration::from_secs(15);
const NAME: &str = "victim";

/// A command, and what is there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Run,
    /// A server that ends at once: the start is given up.
    RunBroken,
    Stop,
    Start,
    Restart,
    Rm,
    /// A removal of what no supervisor watches: the command itself ends it.
    RmOrphan,
    /// What lost its supervisor is brought back.
    Reconcile,
    /// An end that nobody saw is recorded.
    ReconcileEnd,
    /// A workload without an owner is stamped.
    Adopt,
    Forget,
    /// What was forgotten, and runs on, is removed.
    Orphan,
    /// A start over a corrupt status record.
    SetAside,
    /// The workload ends by itself, and its supervisor brings it back.
    Restarts,
    /// The workload ends by itself, and its supervisor records that.
    Ends,
}

const ACTS: [Act; 15] = [
    Act::Run,
    Act::RunBroken,
    Act::Stop,
    Act::Start,
    Act::Restart,
    Act::Rm,
    Act::RmOrphan,
    Act::Reconcile,
    Act::ReconcileEnd,
    Act::Adopt,
    Act::Forget,
    Act::Orphan,
    Act::SetAside,
    Act::Restarts,
    Act::Ends,
];

/// What a status record is that is none.
const GARBAGE: &[u8] = b"{ \"uid\": ";

/// Who is to die where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kill {
    role: String,
    point: String,
    nth: u32,
    /// It is a process that was there before the command began.
    was_there: bool,
}

impl Kill {
    fn variable(&self) -> String {
        format!("{}/{}:{}=kill", self.role, self.point, self.nth)
    }
}

type Scenario = (Act, Kill);

/// One host with one workload, used for one scenario after another.
struct Lab {
    host: Host,
    broken: String,
}

impl Lab {
    fn new() -> Self {
        let host = Host::new();
        let broken = host.script("broken", "exit 3");
        Self { host, broken }
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.host.path("trace")).unwrap_or_default()
    }

    /// Runs a command, armed or not; an error if it does not end.
    fn wharf(&self, args: &[&str], variable: Option<&str>) -> Result<Said, String> {
        let mut command = self.host.command(args);
        command.env("WHARF_FAILPOINT_TRACE", self.host.path("trace"));
        if let Some(variable) = variable {
            command.env("WHARF_FAILPOINT", variable);
        }
        let said = fs::File::create(self.host.path("said")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
        let deadline = Instant::now() + COMMAND_LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("wharf {args:?} did not end"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let stderr = fs::read_to_string(self.host.path("said")).unwrap();
        Ok(Said { code: status.code().unwrap_or(-1), stdout: String::new(), stderr })
    }

    fn run(&self, variable: Option<&str>) -> Result<Said, String> {
        self.wharf(&["run", "--restart", "no", "--name", NAME, &demo_server()], variable)
    }

    /// What must be there before the command.
    fn prepare(&self, act: Act, variable: Option<&str>) -> Result<(), String> {
        match act {
            Act::Run | Act::RunBroken => {}
            Act::Stop | Act::Restart | Act::Rm | Act::Forget | Act::Ends => drop(self.run(variable)?),
            Act::Restarts => {
                self.wharf(&["run", "--restart", "always", "--name", NAME, &demo_server()], variable)?;
            }
            Act::Start => {
                self.run(None)?;
                self.wharf(&["stop", NAME], None)?;
            }
            Act::SetAside => {
                self.run(None)?;
                self.wharf(&["stop", NAME], None)?;
                write(&self.status_file(), GARBAGE);
            }
            Act::RmOrphan | Act::Reconcile => {
                self.run_with_port(variable)?;
                self.kill_supervisor();
            }
            Act::ReconcileEnd => {
                self.run(variable)?;
                self.kill_supervisor();
                self.await_nothing_runs()?;
            }
            Act::Adopt => {
                self.run_with_port(variable)?;
                let path = self.host.path(&format!("state/runconfigs/{NAME}.json"));
                let Ok(mut config) = read_json(&path) else { return Ok(()) };
                config["runtime_name"] = Value::from("");
                write(&path, config.to_string().as_bytes());
            }
            Act::Orphan => {
                self.run_with_port(None)?;
                self.wharf(&["rm", "--forget", NAME], None)?;
            }
        }
        Ok(())
    }

    fn act(&self, act: Act, variable: Option<&str>) -> Result<Said, String> {
        match act {
            Act::Run => self.run(variable),
            Act::RunBroken => self.wharf(&["run", "--name", NAME, &self.broken], variable),
            Act::Stop => self.wharf(&["stop", NAME], variable),
            Act::Start => self.wharf(&["start", NAME], variable),
            Act::Restart => self.wharf(&["restart", NAME], variable),
            Act::Rm | Act::RmOrphan => self.wharf(&["rm", NAME], variable),
            Act::Reconcile | Act::ReconcileEnd => self.wharf(&["reconcile"], variable),
            Act::Adopt => self.wharf(&["adopt", NAME], variable),
            Act::Forget => self.wharf(&["rm", "--forget", NAME], variable),
            Act::Orphan => {
                match self.orphans()?.pop() {
                    Some(orphan) => self.wharf(&["rm", "--orphan", &orphan], variable),
                    // A kill at random may have ended it, or the doctor. The points of its removal are to be reached
                    // by name, too.
                    None => Ok(Said { code: 0, stdout: String::new(), stderr: String::new() }),
                }
            }
            Act::SetAside => self.wharf(&["start", NAME], variable),
            Act::Restarts | Act::Ends => self.end_server(act),
        }
    }

    /// A server that goes on without its supervisor.
    fn run_with_port(&self, variable: Option<&str>) -> Result<Said, String> {
        let transport = ["--transport", "streamable-http"];
        let server = demo_server();
        self.wharf(
            &[&["run", "--restart", "no", "--name", NAME], &transport[..], &[&server]].concat(),
            variable,
        )
    }

    fn kill_supervisor(&self) {
        if let Some(pid) = self.record().and_then(|record| pid_in(&record["process_id"])) {
            self.host.kill_own(pid);
        }
    }

    /// Kills the server, and waits for what its supervisor does about that, or for the supervisor's death.
    fn end_server(&self, act: Act) -> Result<Said, String> {
        let server = |record: &Value| pid_in(&record["handle"]["data"]["workload"]["pid"]);
        let before = self.record().ok_or("it was never recorded")?;
        let said = Said { code: 0, stdout: String::new(), stderr: String::new() };
        let (Some(pid), Some(supervisor)) = (server(&before), pid_in(&before["process_id"])) else {
            return Ok(said);
        };
        self.host.kill_own(pid);
        let is_done =
            || !runs(supervisor) || act == Act::Restarts && self.trace().contains(" restart.after ");
        let deadline = Instant::now() + ORPHAN_LIMIT;
        while !is_done() {
            if Instant::now() > deadline {
                return Err(format!("nothing was done about the end of {pid}: {:?}", self.record()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(said)
    }

    /// What `rm --orphan` is to be told: the doctor asks every runtime.
    fn orphans(&self) -> Result<Vec<String>, String> {
        let said = self.host.wharf(&["doctor", "--format", "json"]);
        if said.code == -1 {
            // It was the one that was killed at random.
            return Ok(Vec::new());
        }
        let told: Value = serde_json::from_str(&said.stdout).map_err(|_| format!("doctor: {said:?}"))?;
        let checks = told["checks"].as_array().ok_or("the doctor names no checks")?;
        let orphans = checks.iter().filter(|check| check["check"] == "orphan");
        Ok(orphans
            .filter_map(|check| check["message"].as_str()?.split(' ').next().map(str::to_owned))
            .collect())
    }

    fn remove_orphans(&self) -> Result<(), String> {
        for orphan in self.orphans()? {
            let said = self.wharf(&["rm", "--orphan", &orphan], None)?;
            if said.code != 0 {
                return Err(format!("rm --orphan {orphan}: code {}: {}", said.code, said.stderr));
            }
        }
        Ok(())
    }

    fn status_file(&self) -> PathBuf {
        self.host.path(&format!("state/statuses/{NAME}.json"))
    }

    fn record(&self) -> Option<Value> {
        read_json(&self.host.path(&format!("state/statuses/{NAME}.json"))).ok()
    }

    fn is_removing(&self) -> bool {
        self.record().is_some_and(|record| record["status"] == "removing")
    }

    fn is_known(&self) -> bool {
        self.host.path(&format!("state/runconfigs/{NAME}.json")).exists()
    }

    /// Every file under its own name is a whole record.
    fn check_records(&self) -> Result<(), String> {
        for folder in ["state/runconfigs", "state/statuses", "data/runtimes/process"] {
            let entries = fs::read_dir(self.host.path(folder)).into_iter().flatten().filter_map(Result::ok);
            for path in entries.map(|entry| entry.path()) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with('.') || !name.ends_with(".json") {
                    continue;
                }
                match read_json(&path) {
                    Ok(value) if value["uid"].is_string() => {}
                    Err(_) if fs::read(&path).is_ok_and(|bytes| bytes == GARBAGE) => {}
                    // Removed since the folder was read.
                    Err(_) if !path.exists() => {}
                    other => return Err(format!("{folder}/{name} is not whole: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Whatever runs is on record, or ends by itself.
    fn check_processes(&self) -> Result<(), String> {
        let deadline = Instant::now() + ORPHAN_LIMIT;
        while !self.is_known() && !self.host.processes().is_empty() {
            if Instant::now() > deadline {
                return Err(format!("nobody knows {:?}", self.host.processes()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn await_nothing_runs(&self) -> Result<(), String> {
        let deadline = Instant::now() + ORPHAN_LIMIT;
        while !self.host.processes().is_empty() {
            if Instant::now() > deadline {
                let shown: Vec<_> = self.host.processes().into_iter().map(command_line).collect();
                return Err(format!("still running: {shown:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The next command finishes or undoes what was begun; a removal then leaves nothing.
    fn check_next(&self, act: Act, next: &str) -> Result<(), String> {
        if act == Act::Adopt && self.is_known() {
            let said = self.wharf(&["adopt", NAME], None)?;
            // It has its owner, or has one now.
            if said.code != 0 && !said.stderr.contains("has an owner") {
                return Err(format!("adopt: code {}: {}", said.code, said.stderr));
            }
        }
        if act == Act::SetAside {
            self.kept()?;
        }
        if !self.is_known() {
            // Nothing but a temporary may be left of it, which the next writer of that name clears away.
            let said = self.run(None)?;
            if said.code != 0 {
                return Err(format!("its name is not free: code {}: {}", said.code, said.stderr));
            }
        }
        if next != "rm" && self.is_known() {
            let said = self.wharf(&[next, NAME], None)?;
            let status = self.host.row(NAME).map(|row| row["status"].as_str().unwrap_or_default().to_owned());
            let wanted = if next == "start" { "running" } else { "stopped" };
            match (said.code, status) {
                (0, Some(status)) if status == wanted => {}
                (6, Some(status)) if act == Act::RunBroken && status == "error" => {}
                // An interrupted removal is for `rm` to finish; the refusal says so.
                (4, Some(_)) if self.is_removing() && said.stderr.contains("wharf rm victim") => {}
                // Whoever else tests on this machine may have got its port meanwhile.
                (4, Some(_)) if said.stderr.contains("the port is taken") => {}
                // The creation was being given up, and is gone.
                (_, None) => {}
                (code, status) => {
                    return Err(format!("{next}: code {code}, then {status:?}: {}", said.stderr));
                }
            }
            if next == "stop" {
                self.await_nothing_runs()?;
            }
        }
        let said = self.wharf(&["rm", NAME], None)?;
        if said.code != 0 && self.is_known() {
            return Err(format!("rm: code {}: {}", said.code, said.stderr));
        }
        if matches!(act, Act::Forget | Act::Orphan) {
            self.remove_orphans()?;
        }
        self.await_nothing_runs()?;
        if act == Act::SetAside {
            self.kept()?.iter().try_for_each(fs::remove_file).map_err(|error| error.to_string())?;
        }
        match self.host.leftovers() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("left after rm: {left:?}")),
        }
    }

    /// The files that hold what was planted: a corrupt record has one name or two, and all its bytes.
    fn kept(&self) -> Result<Vec<PathBuf>, String> {
        let folder = self.host.path("state/statuses");
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?.filter_map(Result::ok);
        let is_garbage = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == GARBAGE);
        let kept: Vec<_> = entries.map(|entry| entry.path()).filter(is_garbage).collect();
        if kept.is_empty() { Err("the bytes of a corrupt record are lost".to_owned()) } else { Ok(kept) }
    }

    fn check(&self, act: Act, next: &str) -> Result<(), String> {
        self.check_records()?;
        let listed = self.host.wharf(&["list", "--all", "--format", "json"]);
        if listed.code != 0 {
            return Err(format!("list: {listed:?}"));
        }
        if !matches!(act, Act::Forget | Act::Orphan) {
            self.check_processes()?;
        }
        self.check_next(act, next)?;
        self.check_records()
    }

    /// One scenario; whether the point was reached.
    fn scenario(&self, act: Act, kill: &Kill, next: &str) -> Result<bool, String> {
        let _ = fs::remove_file(self.host.path("trace"));
        let variable = kill.variable();
        let armed = |before| (kill.was_there == before).then_some(variable.as_str());
        self.prepare(act, armed(true))?;
        self.act(act, armed(false))?;
        let wanted = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            words[0] == kill.role && words[2] == kill.point && words[3] == kill.nth.to_string()
        };
        let reached = self.trace().lines().any(wanted);
        self.check(act, next)?;
        Ok(reached)
    }

    /// Where the processes of a command can be killed.
    fn kills(&self, act: Act) -> Result<BTreeSet<Kill>, String> {
        let _ = fs::remove_file(self.host.path("trace"));
        self.prepare(act, None)?;
        let before = self.trace();
        let earlier: BTreeSet<_> = before.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        self.act(act, None)?;
        // A supervisor's and a launcher's last steps come after their command.
        let gone = ["rm", NAME];
        let is_ended =
            [Act::Stop, Act::Rm, Act::RmOrphan, Act::RunBroken, Act::Forget, Act::Orphan, Act::Ends];
        if is_ended.contains(&act) {
            self.await_nothing_runs()?;
        }
        let trace = self.trace();
        self.wharf(&gone, None)?;
        self.remove_orphans()?;
        self.await_nothing_runs()?;
        let mut kills = BTreeSet::new();
        for line in trace[before.len()..].lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [role, pid, point, nth] = words[..] else { panic!("{line}") };
            kills.insert(Kill {
                role: role.to_owned(),
                point: point.to_owned(),
                nth: nth.parse().unwrap(),
                // One of an earlier command has become its server; in its namespace each has the same pid.
                was_there: role != "stage" && earlier.contains(pid),
            });
        }
        if matches!(act, Act::Restarts | Act::Ends) {
            // No command is given, so only what was there can be armed.
            kills.retain(|kill| kill.was_there);
        }
        Ok(kills)
    }
}

fn pid_in(value: &Value) -> Option<i32> {
    i32::try_from(value.as_i64()?).ok()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

fn read_json(path: &Path) -> Result<Value, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

fn command_line(pid: i32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&text).replace('\0', " "))
}

/// All scenarios: the first occurrence of each point in each role and command, then the others.
fn plan(lab: &Lab) -> (Vec<Scenario>, Vec<Scenario>) {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for act in ACTS {
        let mut seen = BTreeMap::new();
        for kill in lab.kills(act).unwrap_or_else(|fault| panic!("{act:?}: {fault}")) {
            let place = (kill.role.clone(), kill.point.clone(), kill.was_there);
            let count = seen.entry(place).or_insert(0);
            *count += 1;
            if *count == 1 { first.push((act, kill)) } else { later.push((act, kill)) }
        }
    }
    (first, later)
}

#[test]
fn releases_have_no_failpoints() {
    // They are compiled with debug assertions, and a profile for users has none of those: cargo's default for
    // releases, unless the manifest says otherwise.
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    assert!(manifest.contains("[profile.release]") && !manifest.contains("debug-assertions"), "{manifest}");
}

/// A source of choices that need not be good ones; its seed is shown where a test fails.
struct Choices(u64);

impl Choices {
    /// One of so many (xorshift64).
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn r11_kills_at_random_moments_lose_nothing_and_leave_nothing() {
    let began = Instant::now();
    let seed = u64::from(std::process::id()) << 20 | u64::from(began.elapsed().subsec_nanos()) | 1;
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let faults = &faults;
            scope.spawn(move || {
                let (mut lab, mut choices) = (Lab::new(), Choices(seed.wrapping_mul(number * 2 + 1)));
                while began.elapsed() < RANDOM_TIME {
                    let act = ACTS[usize::try_from(choices.below(ACTS.len() as u64)).unwrap()];
                    let then = ["start", "stop", "rm"][usize::try_from(choices.below(3)).unwrap()];
                    if let Err(fault) = random_kill(&lab, act, then, &mut choices) {
                        faults.lock().unwrap().push(format!("seed {seed}: {act:?} then {then}: {fault}"));
                        lab = Lab::new();
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A command, during which any of the host's own processes is killed after a while.
fn random_kill(lab: &Lab, act: Act, then: &str, choices: &mut Choices) -> Result<(), String> {
    lab.prepare(act, None)?;
    let pause = Duration::from_millis(choices.below(300));
    let chosen = choices.below(16);
    std::thread::scope(|scope| {
        let acting = scope.spawn(|| lab.act(act, None));
        std::thread::sleep(pause);
        let ours = lab.host.processes();
        if !ours.is_empty() {
            lab.host.kill_own(ours[usize::try_from(chosen).unwrap() % ours.len()]);
        }
        acting.join().unwrap()
    })?;
    lab.check(act, then)
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn r11_a_kill_at_any_named_point_loses_nothing_and_leaves_nothing() {
    let began = Instant::now();
    let told = std::env::var(ENUMERATION_VARIABLE).ok().and_then(|text| text.parse().ok());
    let enumeration_time = Duration::from_secs(told.unwrap_or(ENUMERATION_SECONDS));
    let (first, later) = plan(&Lab::new());
    let must = first.len();
    let total = must + later.len();
    let scenarios: Vec<_> = first.into_iter().chain(later).collect();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    let reached = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..HOSTS {
            scope.spawn(|| {
                let mut lab = Lab::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((act, kill)) = scenarios.get(number) else { return };
                    if number >= must && began.elapsed() > enumeration_time {
                        return;
                    }
                    let then = ["start", "stop", "rm"][number % 3];
                    match lab.scenario(*act, kill, then) {
                        Ok(true) => drop(reached.lock().unwrap().insert(kill.point.clone())),
                        Ok(false) => {}
                        Err(fault) => {
                            faults
                                .lock()
                                .unwrap()
                                .push(format!("{act:?} {} then {then}: {fault}", kill.variable()));
                            // What it left must not be taken for the next scenario's.
                            lab = Lab::new();
                        }
                    }
                }
            });
        }
    });
    let tried = next.into_inner().min(total);
    eprintln!(
        "{tried} of {total} kills in {:.1} s; {must} are first occurrences",
        began.elapsed().as_secs_f64()
    );
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let output = std::process::Command::new(built("wharf")).arg("__failpoints").output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    let reached = reached.into_inner().unwrap();
    let never: Vec<_> = names.lines().filter(|name| !reached.contains(*name)).collect();
    assert!(!names.is_empty() && never.is_empty(), "no command was killed at: {never:?}");
}
