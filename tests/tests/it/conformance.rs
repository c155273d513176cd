//! The conformance suite: our runtimes pass it, and each of its cases finds the fault that it tests for.
use serde_json::json;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};
use wharf_sdk::document::operation;
use wharf_tests::cluster::Cluster;
use wharf_tests::conformance::{TOO_BUSY, conforms, conforms_on, passed, tested, with_result};
use wharf_tests::engine::{Act, Flaw, PLUGIN, ScriptedEngine, State};
use wharf_tests::engines::{Engine, Kind, SHELL_IMAGE};
use wharf_tests::host::{Host, Said, eventually, kill};

const RUNTIME: &str = "scripted-full";
/// How long a step of a case may take on a machine that other tests keep busy, in seconds.
const PATIENCE: &str = "60";

#[test]
fn the_process_runtime_passes_what_it_claims() {
    let passed = conforms("wharf-plugin-process", "process", &["--timeout", PATIENCE]);
    assert!(
        ["core", "exit", "logs", "attach", "recover", "ports", "permissions", "sessions"]
            .iter()
            .all(|name| passed.iter().any(|p| p == name)),
        "{passed:?}"
    );
}

/// A runtime of containers, on a real engine, in all profiles: it claims them all.
fn containers_pass(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let host = Host::new();
    let endpoint = json!({ "endpoint": engine.endpoint() });
    host.configure(&json!({ "runtimes": { kind.runtime(): endpoint } }));
    let connector = "nc -w 1 {host} {port} </dev/null";
    let listener = "nc -ll -p {port} -e cat";
    let args = ["--image", SHELL_IMAGE, "--listener", listener, "--connector", connector, "--timeout", "90"];
    let passed = conforms_on(&host, "wharf-plugin-docker", kind.runtime(), &args);
    let all = ["core", "exit", "logs", "attach", "recover", "ports", "limits", "permissions", "sessions"];
    assert_eq!(passed, all);
}

#[test]
fn docker_passes_what_it_claims() {
    containers_pass(Kind::Docker);
}

#[test]
fn podman_passes_what_it_claims() {
    containers_pass(Kind::Podman);
}

#[test]
fn kubernetes_passes_what_it_claims() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(image) = cluster.shell_image() else { return };
    let namespace = cluster.namespace("conformance");
    let host = crate::kubernetes::host(&cluster, &namespace);
    host.configure(&json!({ "runtimes": { "kubernetes": { "probe_image": image } } }));
    let args = ["--image", image, "--listener", "nc -ll -p {port} -e cat", "--timeout", "90"];
    let (report, said) = tested(&host, "wharf-plugin-kubernetes", "kubernetes", &args);
    assert_eq!(said.code, 0, "{report:#}");
    let passed = with_result(&report, "passed");
    for profile in
        ["core", "exit", "logs", "attach", "recover", "ports", "dial", "limits", "restarts", "probe"]
    {
        assert!(passed.iter().any(|id| id.starts_with(profile)), "{profile}: {report:#}");
    }
    let skipped = with_result(&report, "skipped");
    for id in ["dial.half-close", "probe.verdict-counts"] {
        assert!(skipped.iter().any(|skipped| skipped == id), "{id}: {report:#}");
    }
    assert_eq!(crate::kubernetes::objects(&namespace), Vec::<String>::new());
}

#[test]
fn what_cannot_be_enforced_for_an_ordinary_user_is_skipped_and_the_rest_passes() {
    /// `nobody` of most systems: without control groups of its own.
    const USER: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::of_user(USER);
    let args =
        ["--timeout", PATIENCE, "--filter", "limits.", "--filter", "permissions.", "--filter", "core.stop"];
    let (report, said) = tested(&host, "wharf-plugin-process", "process", &args);
    assert_eq!(said.code, 0, "{report:#}");
    assert_eq!(with_result(&report, "failed"), Vec::<String>::new(), "{report:#}");
    assert!(with_result(&report, "passed").iter().any(|id| id == "permissions.no-reading"), "{report:#}");
    for case in report["cases"].as_array().unwrap().iter().filter(|case| case["result"] == "skipped") {
        let reason = case["reason"].as_str().unwrap();
        assert!(reason.contains("refused here") || reason.starts_with(TOO_BUSY), "{case}");
    }
}

/// A control group with next to nothing of a processor; removed when dropped.
struct Slow(PathBuf);

impl Slow {
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn make() -> Option<Self> {
        let tree = Path::new("/sys/fs/cgroup/cpu");
        let folder = tree.join(format!("slow-{}", std::process::id()));
        if !tree.join("cpu.cfs_quota_us").exists() || fs::create_dir(&folder).is_err() {
            eprintln!("skipped: no group of version 1 can be made for processors");
            return None;
        }
        let slow = Self(folder);
        slow.write("cpu.cfs_quota_us", "10000");
        Some(slow)
    }

    fn write(&self, file: &str, text: &str) {
        fs::File::options().write(true).open(self.0.join(file)).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // The processes in it are ending.
        eventually("the group is empty", || fs::remove_dir(&self.0).is_ok() || std::thread::panicking());
    }
}

#[test]
fn a_machine_that_is_too_busy_is_told_and_is_no_failure() {
    let Some(slow) = Slow::make() else { return };
    let host = Host::new();
    let library = host.add_library("wharf-plugin-process").display().to_string();
    let args = ["runtime", "test", &library, "--filter", "limits.", "--format", "json", "--timeout", "20"];
    let wharf = host.command(&args);
    let mut shell = Command::new("sh");
    shell.args(["-ec", "echo $$ > \"$0\"; exec \"$@\""]).arg(slow.0.join("tasks"));
    shell.arg(wharf.get_program()).args(wharf.get_args()).env_clear();
    shell.envs(wharf.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(host.work());
    let said = Said::of(&shell.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(with_result(&report, "skipped"), ["limits.cpus"], "{report:#}");
    assert_eq!(with_result(&report, "failed"), Vec::<String>::new(), "{report:#}");
    assert!(said.stdout.contains(TOO_BUSY), "{report:#}");
    assert_eq!(passed(&report), ["limits"]);
}

#[test]
fn the_runtime_of_the_readme_passes_what_it_claims() {
    let passed =
        conforms("wharf-test-plugin-echo", "echo", &["--command", "echo", "--plain", "--timeout", PATIENCE]);
    assert_eq!(passed, ["core", "attach"]);
}

/// A broken behaviour for each case: the order that makes it, and it alone, fail.
fn breakages() -> Vec<(&'static str, &'static str, Act)> {
    use Act::Flawed;
    use operation::*;
    vec![
        ("core.instance-is-stable", INSTANCE, Act::OtherInstance),
        ("core.healthy", HEALTH, Act::Fail("unavailable".to_owned())),
        ("core.remedy", HEALTH, Flawed(Flaw::RemedyInMessage)),
        ("core.validate-accepts", VALIDATE, Flawed(Flaw::Deploys)),
        ("core.validate-refuses", VALIDATE, Flawed(Flaw::AcceptsAll)),
        ("pin.refuses", PIN, Flawed(Flaw::PinsAll)),
        ("pin.closed", PIN, Flawed(Flaw::CallsClosed)),
        ("core.deploy-runs-nothing", DEPLOY, Flawed(Flaw::Starts)),
        ("core.deploy-again", REMOVE, Flawed(Flaw::KeepsName)),
        ("core.list-labels", LIST, Act::OtherHost),
        ("core.list-handle", LIST, Flawed(Flaw::OtherHandles)),
        ("sessions.list-parent", LIST, Flawed(Flaw::NoParent)),
        ("core.list-instance", LIST, Act::OtherInstance),
        ("core.list-presumed", LIST, Flawed(Flaw::BelievesPresumed)),
        ("core.list-asked", LIST, Flawed(Flaw::ListsAll)),
        ("core.list-complete", LIST, Flawed(Flaw::NeverComplete)),
        ("core.start-twice", START, Flawed(Flaw::RefusesRunning)),
        ("core.not-paused", INSPECT, Flawed(Flaw::AllPaused)),
        ("core.stop-ends", INSPECT, Flawed(Flaw::IdleForEver)),
        ("core.stop-twice", STOP, Flawed(Flaw::TwiceAtMost)),
        ("core.stop-missing", STOP, Flawed(Flaw::MissingFails)),
        ("core.remove-kills", REMOVE, Flawed(Flaw::KillsNothing)),
        ("core.remove-missing", REMOVE, Flawed(Flaw::MissingFails)),
        ("core.inspect-missing", INSPECT, Flawed(Flaw::MissingUnavailable)),
        ("core.wait-stopped", WAIT, Flawed(Flaw::EndedHangs)),
        ("core.handle-version", RECOVER, Flawed(Flaw::AnyVersion)),
        ("core.deploy-cancelled", DEPLOY, Act::SpoiltIfGivenUp),
        ("core.list-cancelled", DEPLOY, Flawed(Flaw::MadeLate)),
        ("core.stop-cancelled", STOP, Act::SpoiltIfGivenUp),
        ("core.wait-cancelled", WAIT, Act::SpoiltIfGivenUp),
        ("core.questions-at-once", INSPECT, Act::OneAtATime),
        ("core.start-missing", START, Flawed(Flaw::MissingSucceeds)),
        ("core.wait-missing", WAIT, Flawed(Flaw::MissingHangs)),
        ("core.recover-missing", RECOVER, Flawed(Flaw::MissingSucceeds)),
        ("core.list-own-alone", LIST, Flawed(Flaw::AllHosts)),
        ("core.foreign-untouched", REMOVE, Flawed(Flaw::ByName)),
        ("exit.wait-code", WAIT, Flawed(Flaw::NoCode)),
        ("exit.inspect-code", INSPECT, Flawed(Flaw::NoCode)),
        ("exit.stop-asks", STOP, Flawed(Flaw::KillsAtOnce)),
        ("exit.stop-kills", STOP, Flawed(Flaw::AsksOnly)),
        ("logs.oldest-first", LOGS, Flawed(Flaw::NewestFirst)),
        ("logs.tail", LOGS, Flawed(Flaw::AllLines)),
        ("logs.follow", LOGS, Flawed(Flaw::NeverFollows)),
        ("logs.timestamps", LOGS, Flawed(Flaw::NoTimes)),
        ("attach.both-ways", ATTACH, Flawed(Flaw::Garbles)),
        ("attach.slow-reader", ATTACH, Flawed(Flaw::Truncates)),
        ("attach.half-close", ATTACH, Flawed(Flaw::NeverCloses)),
        ("attach.missing", ATTACH, Flawed(Flaw::AttachesToNone)),
        ("recover.goes-on", RECOVER, Act::Claim(State::Stopped)),
        ("recover.stop", INSPECT, Flawed(Flaw::OthersForEver)),
        ("recover.wait", WAIT, Flawed(Flaw::OthersHang)),
        ("recover.by-labels", LIST, Flawed(Flaw::OwnProcessAlone)),
        ("ports.address", INSPECT, Flawed(Flaw::Everywhere)),
        ("ports.closed", STOP, Flawed(Flaw::LeavesPort)),
        ("dial.both-ways", DIAL, Flawed(Flaw::Garbles)),
        ("dial.slow-reader", DIAL, Flawed(Flaw::Truncates)),
        ("dial.half-close", DIAL, Flawed(Flaw::NeverCloses)),
        ("dial.several", DIAL, Flawed(Flaw::DialsOnce)),
        ("dial.end", DIAL, Flawed(Flaw::OutlastsWorkload)),
        ("dial.nobody", DIAL, Flawed(Flaw::DialsAnyPort)),
        ("dial.missing", DIAL, Flawed(Flaw::AttachesToNone)),
        ("limits.cpus", DEPLOY, Flawed(Flaw::NoCpuLimit)),
        ("limits.memory", DEPLOY, Flawed(Flaw::NoMemoryLimit)),
        ("limits.pids", DEPLOY, Flawed(Flaw::NoPidsLimit)),
        ("permissions.no-reading", DEPLOY, Flawed(Flaw::ReadsAll)),
        ("permissions.no-writing", DEPLOY, Flawed(Flaw::WritesAll)),
        ("permissions.granted", DEPLOY, Flawed(Flaw::GrantsNothing)),
        ("mounts.parts", DEPLOY, Flawed(Flaw::MountsAll)),
        ("permissions.no-network", DEPLOY, Flawed(Flaw::ConnectsAnyway)),
        ("permissions.no-network-with-port", DEPLOY, Flawed(Flaw::ConnectsWithPort)),
        ("permissions.no-network-reached", DEPLOY, Flawed(Flaw::HidesPort)),
        ("permissions.network", DEPLOY, Flawed(Flaw::NeverConnects)),
        ("permissions.outbound-ports", DEPLOY, Flawed(Flaw::AnyPort)),
        ("permissions.outbound-hosts", DEPLOY, Flawed(Flaw::AnyHost)),
        ("permissions.refused-by-name", VALIDATE, Flawed(Flaw::AnyNetwork)),
        ("restarts.wait-says", WAIT, Flawed(Flaw::NeverGoesOn)),
        ("restarts.start-waits", START, Flawed(Flaw::FollowsNothing)),
        ("restarts.stop-lasts", WAIT, Act::GoesOn),
        ("probe.instance", PROBE_NETWORK, Act::OtherInstance),
        ("probe.leaves-nothing", PROBE_NETWORK, Flawed(Flaw::LeavesTrial)),
        ("probe.given-up", PROBE_NETWORK, Flawed(Flaw::LeavesTrialGivenUp)),
        ("probe.verdict-counts", VALIDATE, Flawed(Flaw::IgnoresVerdict)),
    ]
}

#[test]
fn every_case_has_a_breakage() {
    let host = Host::new();
    let text = host.ok(&["runtime", "test", "--list", "--format", "json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut ids: Vec<&str> = listed.iter().filter_map(|case| case["id"].as_str()).collect();
    let mut rows: Vec<&str> = breakages().into_iter().map(|(id, ..)| id).collect();
    ids.sort_unstable();
    rows.sort_unstable();
    assert_eq!(ids, rows);
}

#[test]
fn a_runtime_that_claims_all_and_does_it_passes_all() {
    let host = Host::new();
    let _engine = ScriptedEngine::new(&host, RUNTIME);
    let (report, said) = tested(&host, PLUGIN, RUNTIME, &["--timeout", PATIENCE]);
    assert_eq!(said.code, 0, "{report:#}");
    assert_eq!(with_result(&report, "passed").len(), breakages().len(), "{report:#}");
}

#[test]
fn the_verdicts_are_on_what_was_chosen_and_all_is_counted() {
    let host = Host::new();
    let _engine = ScriptedEngine::new(&host, RUNTIME);
    let library = host.add_library(PLUGIN).display().to_string();
    let filter = ["--runtime", RUNTIME, "--filter", "core.stop-twice", "--filter", "limits."];
    let said = host.ok(&[&["runtime", "test", &library][..], &filter].concat());
    let (_, verdicts) = said.split_once("\n\n").unwrap();
    let expected = "PROFILE   VERDICT   WHY\n\
                    core      in part   32 of its 33 cases were not chosen\n\
                    limits    passed    -\n\n\
                    4 passed, 0 failed, 0 skipped\n";
    assert_eq!(verdicts, expected);
}

#[test]
fn a_suite_that_is_interrupted_leaves_no_workload_behind() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RUNTIME);
    engine.order_once(operation::START, Act::Hang);
    let library = host.add_library(PLUGIN).display().to_string();
    let mut test =
        host.command(&["runtime", "test", &library, "--runtime", RUNTIME, "--filter", "core.stop-ends"]);
    let running = test.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the workload is deployed, and its start hangs", || engine.count(operation::START) == 1);
    assert_eq!(engine.objects().len(), 1);
    kill(running.id().cast_signed(), "INT");
    let said = Said::of(&running.wait_with_output().unwrap());
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{said:?}");
    assert!(said.stderr.contains("given up in the case core.stop-ends"), "{said:?}");
    assert!(engine.objects().is_empty());
    assert_eq!(fs::read_dir(host.path("data/conformance")).unwrap().count(), 0);
}

/// Runs the core and the profile of a case with the fault that the case tests for; exactly this case must fail. All other
/// profiles, too, would be twice the work.
fn breaks_only(id: &str, operation: &str, act: Act) {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RUNTIME);
    // An answer that must be the same twice is broken by one wrong answer; two wrong ones would be equal.
    match act {
        Act::OtherInstance if operation == operation::INSTANCE => engine.order_once(operation, act),
        act => engine.order(operation, act),
    }
    let profile = id.split_inclusive('.').next().unwrap();
    let args = ["--timeout", "12", "--filter", "core.", "--filter", profile];
    let (report, said) = tested(&host, PLUGIN, RUNTIME, &args);
    assert_eq!(with_result(&report, "failed"), [id], "{report:#}");
    assert_eq!(said.code, 1, "{id}");
}

#[test]
fn a_breakage_fails_its_case_and_no_other() {
    /// The cases wait more than they work.
    const AT_ONCE: usize = 6;
    let rows = Mutex::new(breakages());
    let next = || rows.lock().unwrap_or_else(PoisonError::into_inner).pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((id, operation, act)) = next() {
                    breaks_only(id, operation, act);
                }
            });
        }
    });
}

#[test]
fn a_plugin_that_aborts_or_hangs_fails_the_case_and_the_next_ones_run() {
    for (act, why) in [(Act::Abort, "signal 6"), (Act::Block, "not done within 3 s")] {
        let host = Host::new();
        let engine = ScriptedEngine::new(&host, RUNTIME);
        engine.order_once(operation::HEALTH, act);
        let args = ["--timeout", "3", "--filter", "core.healthy", "--filter", "core.stop"];
        let (report, _) = tested(&host, PLUGIN, RUNTIME, &args);
        assert_eq!(with_result(&report, "failed"), ["core.healthy"], "{report:#}");
        assert_eq!(with_result(&report, "passed").len(), 4, "{report:#}");
        assert!(report.to_string().contains(why), "{report:#}");
    }
}
