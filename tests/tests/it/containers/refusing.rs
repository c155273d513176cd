//! Commands while their owner cannot be asked: another engine of the same kind answers in its place, or nobody does.
use super::{add, containers, host, is_running_and_fresh, run};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use wharf_tests::engine::records;
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::{Host, demo_server, eventually};

/// Every command that goes to an owner, for a workload that runs and for one that was stopped.
const COMMANDS: [(&str, &str); 9] = [
    ("stop", "up"),
    ("start", "up"),
    ("restart", "up"),
    ("rm", "up"),
    ("logs", "up"),
    ("start", "down"),
    ("restart", "down"),
    ("rm", "down"),
    ("logs", "down"),
];

/// A socket behind which engines can be exchanged.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn of(engine: &Engine) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        symlink(engine.socket(), place.socket()).unwrap();
        place
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    fn takes(&self, engine: &Engine) {
        std::fs::remove_file(self.socket()).unwrap();
        symlink(engine.socket(), self.socket()).unwrap();
    }
}

/// Each command fails because of the owner, with all of these words, and changes nothing; the plain process is not
/// affected.
fn all_refused(host: &Host, kind: Kind, told: &[&str]) {
    let before = records(host);
    for (command, name) in COMMANDS {
        let said = host.wharf(&[command, name]);
        assert_eq!(said.code, 5, "{command} {name}: {said:?}");
        let known = [&format!("'{name}'"), kind.runtime()];
        let missing = known.iter().chain(told).find(|words| !said.stderr.contains(**words));
        assert!(missing.is_none(), "{command} {name} does not say {missing:?}: {said:?}");
        assert_eq!(records(host), before, "{command} {name}");
    }
    let reconciled = host.wharf(&["reconcile"]);
    assert_eq!(reconciled.code, 5, "an owner could not be asked: {reconciled:?}");
    assert_eq!(records(host), before, "nothing is reconciled on no evidence");
    let (up, down) = (host.row("up").unwrap(), host.row("down").unwrap());
    assert!(up["status"] == "running" && up["stale"] == true, "{up}");
    assert!(down["status"] == "stopped", "{down}");
    assert!(is_running_and_fresh(host, "plain"));
}

fn refuses(kind: Kind) {
    let Some(mut first) = Engine::start(kind) else { return };
    let Some(other) = Engine::start(kind) else { return };
    let place = Place::of(&first);
    let host = host(&[(kind, format!("unix://{}", place.socket().display()))]);
    let url = run(&host, kind, "up", &[]);
    run(&host, kind, "down", &[]);
    host.ok(&["stop", "down"]);
    host.run(&["--name", "plain", &demo_server()]);
    let (before, had) = (records(&host), first.objects_of(&host.id()));
    let data = |engine: &Engine| engine.socket().with_file_name("data").display().to_string();
    place.takes(&other);
    all_refused(&host, kind, &[&data(&first), &data(&other), "--rebind", "rm --forget"]);
    assert_eq!(containers(&other), Vec::<String>::new(), "it was told nothing");
    place.takes(&first);
    assert!(is_running_and_fresh(&host, "up"));
    assert_eq!((records(&host), first.objects_of(&host.id())), (before, had), "it was told nothing");
    assert_eq!(add(&url), "5");
    first.stop();
    all_refused(&host, kind, &["cannot be reached"]);
    first.resume();
    eventually("it runs again, with no command", || {
        is_running_and_fresh(&host, "up") && wharf_tests::client::Client::open(&url).is_ok()
    });
    host.ok(&["start", "down"]);
    host.ok(&["rm", "up", "down"]);
    assert_eq!(containers(&first), Vec::<String>::new());
}

#[test]
fn r08_commands_refuse_another_docker_and_a_stopped_one_and_change_nothing() {
    refuses(Kind::Docker);
}

#[test]
fn r08_commands_refuse_another_podman_and_a_stopped_one_and_change_nothing() {
    refuses(Kind::Podman);
}
