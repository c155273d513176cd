//! An engine that has much to do at once, and what is told of it then.
use super::{containers, host};
use std::process::Stdio;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};

/// Runs that are begun at the same time.
const RUNS: usize = 40;

/// Each is ready in its turn: a busy engine is no dead one. One that it has no answer for within the deadline is refused as
/// that, with nothing changed, and is ready when it is tried again.
fn starts_many(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let begin = |number: usize| {
        let name = format!("many-{number}");
        let mut run = host.command(&["run", "--runtime", kind.runtime(), "--name", &name, DEMO_IMAGE]);
        run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let begun: Vec<_> = (0..RUNS).map(begin).collect();
    let mut refused = Vec::new();
    for (number, run) in begun.into_iter().enumerate() {
        let said = run.wait_with_output().unwrap();
        if !said.status.success() {
            let error = String::from_utf8_lossy(&said.stderr).into_owned();
            let is_told =
                error.contains("it may be busy: try again") && error.contains("nothing was changed");
            assert!(said.status.code() == Some(5) && is_told, "{error}");
            refused.push(number);
        }
    }
    assert!(refused.len() < RUNS / 4, "{refused:?}");
    for number in refused {
        let said = begin(number).wait_with_output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    let rows = host.list();
    assert_eq!(rows.iter().filter(|row| row["status"] == "running").count(), RUNS, "{rows:?}");
    host.ok(&["rm", "--all", "--timeout", "0"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn forty_runs_at_once_on_docker_are_all_ready() {
    starts_many(Kind::Docker);
}

#[test]
fn forty_runs_at_once_on_podman_are_all_ready() {
    starts_many(Kind::Podman);
}
