//! Starts that are given up while the engine makes their container: whatever it makes has a record, or is removed.
use super::{containers, host};
use std::fs::{self, File};
use std::process::{Child, Stdio};
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, eventually, kill};
use wharf_tests::tap::Tap;

const CREATE: &str = "/containers/create";

/// A host whose engine makes no container before it is told to.
fn slow(kind: Kind) -> Option<(Engine, Tap, Host)> {
    let engine = Engine::start(kind)?;
    let tap = Tap::holding(&engine.socket(), CREATE);
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    Some((engine, tap, host))
}

/// A command that runs, and the file with what it says.
fn begin(host: &Host, args: &[&str]) -> (Child, std::path::PathBuf) {
    let said = host.work().join(format!("said-{}", args[0]));
    let mut command = host.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::from(File::create(&said).unwrap()));
    (command.spawn().unwrap(), said)
}

fn assert_nothing_is_left(engine: &Engine, host: &Host) {
    assert_eq!(containers(engine), Vec::<String>::new());
    assert_eq!(host.leftovers(), Vec::<String>::new());
    assert!(host.list().is_empty());
}

fn is_interrupted(kind: Kind) {
    let Some((engine, tap, host)) = slow(kind) else { return };
    let (mut run, said) = begin(&host, &["run", "--runtime", kind.runtime(), "--name", "one", DEMO_IMAGE]);
    eventually("its container is asked for", || tap.was_asked(CREATE));
    kill(run.id().cast_signed(), "INT");
    eventually("it says what it waits for", || {
        fs::read_to_string(&said)
            .unwrap()
            .contains("waiting until what the start of 'one' had begun is cleared up")
    });
    assert_eq!(host.row("one").unwrap()["status"], "starting", "it is on record as long as it may come");
    tap.let_go();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert_nothing_is_left(&engine, &host);
}

#[test]
fn r01_a_run_that_is_interrupted_waits_for_the_container_that_docker_makes() {
    is_interrupted(Kind::Docker);
}

#[test]
fn r01_a_run_that_is_interrupted_waits_for_the_container_that_podman_makes() {
    is_interrupted(Kind::Podman);
}

#[test]
fn r08_rm_waits_for_the_container_that_a_start_has_begun() {
    let Some((engine, tap, host)) = slow(Kind::Docker) else { return };
    host.ok(&["run", "--runtime", "docker", "--name", "one", "--no-wait", DEMO_IMAGE]);
    eventually("its container is asked for", || tap.was_asked(CREATE));
    let (mut rm, said) = begin(&host, &["rm", "one"]);
    eventually("it is waited for", || {
        host.ok(&["logs", "--proxy", "one"])
            .contains("resources of a deployment that was given up are not removed yet")
    });
    assert!(rm.try_wait().unwrap().is_none(), "{}", fs::read_to_string(&said).unwrap());
    tap.let_go();
    assert!(rm.wait().unwrap().success(), "{}", fs::read_to_string(&said).unwrap());
    assert_nothing_is_left(&engine, &host);
}

#[test]
fn r08_rm_fails_and_keeps_the_record_if_a_container_may_still_come() {
    let Some((engine, tap, host)) = slow(Kind::Docker) else { return };
    host.ok(&["run", "--runtime", "docker", "--name", "one", "--no-wait", DEMO_IMAGE]);
    eventually("its container is asked for", || tap.was_asked(CREATE));
    let said = host.wharf(&["rm", "one"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.stderr.contains("may still bring something"), "{said:?}");
    assert_eq!(host.row("one").unwrap()["status"], "error");
    tap.let_go();
    eventually("it came", || !containers(&engine).is_empty());
    host.ok(&["rm", "one"]);
    assert_nothing_is_left(&engine, &host);
}
