//! Limits of a workload: by control groups, else by its user in a user namespace, else not enforced and reported.
use super::{ORDINARY_USER, assert_all, attempts, hosts, ordinary_host, try_to_run};
use crate::containers::HANDSHAKE;
use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use wharf_sdk::launch::cgroup_name;
use wharf_tests::host::{Host, Said, built, demo_server, eventually};

/// The options of the limits, each with its field.
const LIMITS: [[&str; 3]; 3] =
    [["--memory", "64m", "memory_bytes"], ["--cpus", "0.05", "cpus"], ["--pids-limit", "20", "pids_limit"]];
/// An attempt to use more memory than the limit.
const FILL: [&str; 2] = ["fill", "200000000"];
/// Beside the shell and the program that makes them there is room for so many more processes, of twenty.
const LAST: [&str; 2] = ["fork", "18"];
const ONE_TOO_MANY: [&str; 2] = ["fork", "19"];

fn bare_hosts() -> Vec<Host> {
    hosts().into_iter().map(Host::without_namespaces).collect()
}

/// The control groups of a workload, as its launcher has recorded them.
fn groups(host: &Host, name: &str) -> Vec<PathBuf> {
    let groups = host.state_of(name)["cgroups"].as_array().cloned().unwrap_or_default();
    groups.iter().map(|folder| folder.as_str().unwrap().into()).collect()
}

/// The line about a workload that begins with this word.
fn told(host: &Host, name: &str, word: &str) -> String {
    let status = host.ok(&["status", name]);
    status.lines().find(|line| line.starts_with(word)).unwrap_or_default().to_owned()
}

/// A counter of the kernel for a workload with a limit of processors: `nr_periods` in which it wanted some, and
/// `nr_throttled` in which it was held back.
fn counted(groups: &[PathBuf], what: &str) -> u64 {
    let text = groups.iter().find_map(|folder| fs::read_to_string(folder.join("cpu.stat")).ok()).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    count.trim().parse().unwrap()
}

#[test]
fn limits_hold_or_are_refused_by_name() {
    for host in hosts() {
        let limits = ["--memory", "64m", "--pids-limit", "20", "--cpus", "0.5"];
        let (fork, fill) = (["fork", "40"], ["fill", "200000000"]);
        let said = try_to_run(&host, "limited", &limits, &[fork, fill].concat());
        if said.code == 0 {
            let logs = host.ok(&["logs", "limited"]);
            assert_all(&logs, false, &[fork, fill].concat());
            let cgroups = host.state_of("limited")["cgroups"].as_array().unwrap().clone();
            assert!(!cgroups.is_empty());
            host.ok(&["rm", "limited"]);
            for folder in cgroups {
                assert!(!fs::exists(folder.as_str().unwrap()).unwrap(), "{folder} is left");
            }
        } else {
            assert_eq!(said.code, 6, "{said:?}");
            assert!(said.stderr.contains("'memory_bytes' cannot be enforced on this machine"), "{said:?}");
            assert!(host.row("limited").is_none(), "nothing is left of it");
            let weaker = [&limits[..], &["--allow-weaker"]].concat();
            assert_eq!(try_to_run(&host, "limited", &weaker, &[]).code, 0);
            let status = host.ok(&["status", "limited"]);
            let told = status.lines().find(|line| line.starts_with("Not enforced:")).unwrap();
            assert!(["memory_bytes", "cpus"].iter().all(|limit| told.contains(limit)), "{told}");
        }
        // Without a control group, an ordinary user's processes are counted in a user namespace.
        assert_all(&attempts(&host, &["--pids-limit", "20"], &fork), false, &fork);
        // The same processes without a limit: it is the limit that holds them.
        assert_all(&attempts(&host, &[], &fork), true, &fork);
    }
}

#[test]
fn a_server_that_is_killed_at_its_limit_of_memory_is_told_as_that() {
    for host in hosts().into_iter().chain(bare_hosts()) {
        // It is killed once it is told to go on, which is after it has become ready.
        let server = |end: &str| {
            let waits = "while [ ! -e go ]; do sleep 0.1; done";
            host.script("big", &format!("{HANDSHAKE}{waits}\n{end}"))
        };
        let ends_as = |end: &str| -> Option<serde_json::Value> {
            let options = ["run", "--name", "big", "--memory", "64m", "--restart", "no"];
            let said = host.wharf(&[&options[..], &[&server(end)]].concat());
            if said.code != 0 {
                let refusal = "'memory_bytes' cannot be enforced on this machine";
                assert!(said.stderr.contains(refusal), "{said:?}");
                return None;
            }
            fs::File::create(host.work().join("go")).unwrap();
            eventually("its end is recorded", || host.record("big")["status"] == "error");
            Some(host.record("big")["last_exit"].clone())
        };
        let fill = format!("exec {} touch-memory 200000000", built("wharf-escape").display());
        let Some(last) = ends_as(&fill) else { continue };
        assert_eq!((&last["signal"], &last["reason"]), (&9.into(), &"out of memory".into()), "{last}");
        let row = host.row("big").unwrap();
        assert!(row["status_context"].as_str().unwrap().contains("out of memory"), "{row}");
        assert!(told(&host, "big", "Last exit:").contains("out of memory"));
        host.ok(&["rm", "big"]);
        fs::remove_file(host.work().join("go")).unwrap();
        // The signal alone is no sign of it.
        let last = ends_as("kill -9 $$").unwrap();
        assert!(last["signal"] == 9 && last["reason"].is_null(), "{last}");
        host.ok(&["rm", "big"]);
    }
}

#[test]
fn a_limit_of_processes_is_exact() {
    let stdio = ["--pids-limit", "20"];
    let none = ["--pids-limit", "20", "--permission-profile", "none"];
    // This workload has a port forward, which is served from within its namespaces.
    let forwarded = [&none[..], &["--transport", "streamable-http"]].concat();
    for host in hosts() {
        for options in [&stdio[..], &none, &forwarded] {
            let said = attempts(&host, options, &[LAST, ONE_TOO_MANY].concat());
            assert_all(&said, true, &LAST);
            assert_all(&said, false, &ONE_TOO_MANY);
        }
    }
}

#[test]
fn without_namespaces_each_limit_holds_or_is_refused_by_name() {
    for host in bare_hosts() {
        for [option, value, field] in LIMITS {
            let attempted = [FILL, LAST, ONE_TOO_MANY].concat();
            let said = try_to_run(&host, "limited", &[option, value], &attempted);
            if said.code == 0 {
                assert!(
                    told(&host, "limited", "Enforced:").contains(&format!("{field} (cgroup v")),
                    "{field}"
                );
                assert!(!told(&host, "limited", "Not enforced:").contains(field));
                let logs = host.ok(&["logs", "limited"]);
                assert_all(&logs, field != "memory_bytes", &FILL);
                assert_all(&logs, true, &LAST);
                assert_all(&logs, field != "pids_limit", &ONE_TOO_MANY);
            } else {
                assert_eq!(said.code, 6, "{said:?}");
                let refusal = format!("'{field}' cannot be enforced on this machine");
                assert!(said.stderr.contains(&refusal), "{said:?}");
                assert!(host.row("limited").is_none(), "nothing is left of it");
                host.run(&["--name", "limited", "--allow-weaker", option, value, &demo_server()]);
                assert!(told(&host, "limited", "Not enforced:").contains(field), "{field}");
                assert!(!told(&host, "limited", "Enforced:").contains(field), "{field}");
            }
            host.ok(&["rm", "limited"]);
        }
    }
}

#[test]
fn the_usual_limit_of_processes_is_told_where_it_does_not_hold() {
    for host in bare_hosts() {
        host.run(&["--name", "usual", &demo_server()]);
        let holds = told(&host, "usual", "Enforced:").contains("pids_limit");
        assert_eq!(holds, !groups(&host, "usual").is_empty());
        assert_ne!(holds, told(&host, "usual", "Not enforced:").contains("pids_limit"));
    }
}

/// A workload that wants two processors.
fn burner(host: &Host) -> String {
    let burn = "(while :; do :; done) &";
    host.script("burner", &format!("{burn}\n{burn}\nexec {}", demo_server()))
}

/// The launcher shares folders for the workload and is in none of its control groups. The time that this takes must be
/// limited, or a workload would get past its limit of processors.
#[test]
fn a_flood_of_shared_folders_is_no_way_past_a_limit_of_processors() {
    let host = Host::new();
    // The kernel needs long to look this name up.
    let text = format!(
        "far=$(printf './%.0s' $(seq 1300))\nmkdir deep\nln -s \"${{far}}deep\" l0\ni=1\n\
         while [ $i -lt 39 ]; do ln -s \"${{far}}l$((i - 1))\" l$i; i=$((i + 1)); done\n\
         {} share-for-ever \"${{far}}l38\" &\nexec {}",
        built("wharf-escape").display(),
        demo_server()
    );
    let server = host.script("floods", &text);
    let begun = std::time::Instant::now();
    host.run(&["--name", "floods", &server]);
    let launcher = host.record("floods")["handle"]["data"]["launcher"]["pid"].as_i64().unwrap();
    // In ticks of 10 ms, proc_pid_stat(5).
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{launcher}/stat")).unwrap();
        let fields: Vec<_> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
        fields[12].parse::<u128>().unwrap() + fields[13].parse::<u128>().unwrap()
    };
    let at_first = used();
    eventually("it has gone on for a while", || begun.elapsed() > Duration::from_secs(5));
    let (used, time) = (used(), begun.elapsed());
    assert!(used > at_first, "nothing was asked");
    // A burst of a second, a tenth of the time, and a second for the launcher's other work.
    assert!(used * 10 < 1000 + time.as_millis() / 10 + 1000, "{used} ticks in {time:?}");
    host.ok(&["stop", "floods"]);
    host.assert_nothing_runs();
}

#[test]
fn a_limit_of_processors_holds_back_who_wants_more() {
    for host in hosts().into_iter().chain(bare_hosts()) {
        let options = ["run", "--name", "burns", "--cpus", "0.05"];
        let said = host.wharf(&[&options[..], &[&burner(&host)]].concat());
        if said.code != 0 {
            assert!(said.stderr.contains("'cpus' cannot be enforced on this machine"), "{said:?}");
            continue;
        }
        let held = groups(&host, "burns");
        eventually("it is held back", || counted(&held, "nr_throttled ") > 2);
        host.ok(&["rm", "burns"]);
        // Without the limit it is not held back, so the limit did it.
        host.run(&["--name", "burns", "--cpus", "1000", &burner(&host)]);
        let held = groups(&host, "burns");
        eventually("it has wanted some", || counted(&held, "nr_periods ") > 2);
        assert_eq!(counted(&held, "nr_throttled "), 0);
        host.ok(&["rm", "burns"]);
    }
}

/// Control groups of version 1 that an ordinary user may do with as he likes; removed when dropped.
struct Delegated(Vec<PathBuf>);

impl Delegated {
    /// None if this machine lacks one of these trees.
    #[expect(clippy::print_stderr, reason = "a part that is skipped says so")]
    fn to(user: u32) -> Option<Self> {
        let mut made = Self(Vec::new());
        for controller in ["memory", "cpu", "pids"] {
            let tree = Path::new("/sys/fs/cgroup").join(controller);
            let folder = tree.join(format!("delegated-{}-{controller}", std::process::id()));
            if !tree.join("tasks").exists() || fs::create_dir(&folder).is_err() {
                eprintln!("skipped: no groups of version 1 can be made for {controller}");
                return None;
            }
            made.0.push(folder.clone());
            for name in ["", "tasks", "cgroup.procs"] {
                chown(folder.join(name), Some(user), Some(user)).unwrap();
            }
        }
        Some(made)
    }

    /// Runs a command of the host from within them.
    fn run(&self, host: &Host, args: &[&str]) -> Said {
        let wharf = host.command(args);
        let joins: String =
            self.0.iter().map(|folder| format!("echo $$ > {}/tasks; ", folder.display())).collect();
        let mut shell = Command::new("sh");
        shell.args(["-ec", &format!("{joins} exec setpriv --reuid $0 --regid $0 --clear-groups \"$@\"")]);
        shell.arg(host.user().unwrap().to_string()).arg(wharf.get_program()).args(wharf.get_args());
        let given = wharf.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.env_clear().envs(given).current_dir(host.work());
        Said::of(&shell.output().unwrap())
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Processes that a failed assertion has left in it are ending.
            eventually("the group is empty", || {
                fs::remove_dir(folder).is_ok() || !folder.exists() || std::thread::panicking()
            });
        }
    }
}

#[test]
fn an_ordinary_user_is_limited_by_groups_that_were_given_to_him() {
    let Some(groups_of_his_own) = ordinary_host().and_then(|_| Delegated::to(ORDINARY_USER)) else { return };
    let ordinary = || ordinary_host().unwrap();
    for host in [ordinary(), ordinary().without_namespaces()] {
        let attempted: Vec<String> =
            [FILL, LAST, ONE_TOO_MANY].concat().iter().map(|part| format!("'{part}'")).collect();
        let escape = built("wharf-escape").display().to_string();
        let server =
            host.script("tries", &format!("{escape} {} >&2\nexec {}", attempted.join(" "), demo_server()));
        let limits: Vec<&str> = LIMITS.iter().flat_map(|[option, value, _]| [*option, *value]).collect();
        let command = [&["run", "--name", "limited"][..], &limits, &[&server]].concat();
        let said = groups_of_his_own.run(&host, &command);
        assert_eq!(said.code, 0, "{said:?}");
        let enforced = told(&host, "limited", "Enforced:");
        assert!(
            LIMITS.iter().all(|[.., field]| enforced.contains(&format!("{field} (cgroup v1)"))),
            "{enforced}"
        );
        let made = groups(&host, "limited");
        assert!(made.iter().all(|group| groups_of_his_own.0.iter().any(|given| group.starts_with(given))));
        let logs = host.ok(&["logs", "limited"]);
        assert_all(&logs, false, &[FILL, ONE_TOO_MANY].concat());
        assert_all(&logs, true, &LAST);
        host.ok(&["rm", "limited"]);
        assert!(made.iter().all(|group| !group.exists()), "{made:?}");
    }
}

#[test]
fn control_groups_that_no_record_names_are_removed_with_their_workload() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let made = groups(&host, "demo");
    let uid = host.row("demo").unwrap()["uid"].as_str().unwrap().to_owned();
    assert!(made.iter().all(|group| group.ends_with(cgroup_name(&uid)) && group.exists()));
    host.ok(&["stop", "demo"]);
    if made.is_empty() {
        // Where no group can be made, none is left.
        return;
    }
    // Killed after it has made one, and before it has recorded any.
    let mut start = host.command(&["start", "demo"]);
    let trace = host.path("trace");
    start.env("WHARF_FAILPOINT", "launcher/group-make.after:1=kill").env("WHARF_FAILPOINT_TRACE", &trace);
    let said = Said::of(&start.output().unwrap());
    assert_eq!(said.code, 6, "{said:?}");
    let trace = fs::read_to_string(trace).unwrap();
    assert!(trace.contains("group-make.after") && !trace.contains("state-write.before"), "{trace}");
    assert!(made.iter().all(|group| !group.exists()), "{made:?}");
    // The same where the supervisor died too, which would have cleared up: no process and no record is left.
    for next in [["start", "demo"], ["rm", "demo"]] {
        host.ok(&["stop", "demo"]);
        made.iter().for_each(|group| fs::create_dir(group).unwrap());
        let _: std::io::Result<()> = fs::remove_file(host.path(&format!("data/runtimes/process/{uid}.json")));
        host.ok(&next);
    }
    assert!(made.iter().all(|group| !group.exists()), "{made:?}");
}
