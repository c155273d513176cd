//! The tests: the many processes, and the demands in the end.
use super::commands::{Tally, command};
use super::quiet;
use super::setup::{LOST, Setup};
use super::updates::Updates;
use std::time::{Duration, Instant};
use wharf_tests::host::{Host, eventually};

const PROCESSES: u64 = 100;
/// With containers: Podman uses a good part of a processor for each answer.
const PROCESSES_WITH_CONTAINERS: u64 = 10;
/// The number of processes that adopt the same workload.
const ADOPTERS: usize = 4;
/// How long new commands are begun, unless the variable has another number. Commands that wait for another one end later.
const CONTENTION_SECONDS: u64 = 60;
const CONTENTION_SECONDS_WITH_CONTAINERS: u64 = 20;
const CONTENTION_VARIABLE: &str = "WHARF_TEST_CONTENTION_SECONDS";
/// Of several that adopt the same workload at the same time, one does it, and the others report so.
fn adopt_at_once(host: &Host) {
    let said = std::thread::scope(|scope| {
        let names = LOST.iter().flat_map(|name| [name; ADOPTERS]);
        let begun: Vec<_> =
            names.map(|name| scope.spawn(move || (name, host.wharf(&["adopt", name])))).collect();
        begun.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for name in LOST {
        let of_name = said.iter().filter(|(of, _)| **of == name);
        assert_eq!(of_name.filter(|(_, said)| said.code == 0).count(), 1, "{name}: {said:?}");
    }
    assert!(said.iter().all(|(_, said)| said.code == 0 || said.code == 4), "{said:?}");
}

/// Lets so many processes run commands for this long; then checks everything.
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn contend(setup: &Setup, processes: u64, seconds: u64, must_succeed: &[&str]) {
    let told = std::env::var(CONTENTION_VARIABLE).ok().and_then(|text| text.parse().ok());
    let contention_time = Duration::from_secs(told.unwrap_or(seconds));
    let began = Instant::now();
    let (tally, updates) = (Tally::default(), Updates::default());
    std::thread::scope(|scope| {
        let (tally, updates) = (&tally, &updates);
        let workers: Vec<_> = (0..processes)
            .map(|number| {
                scope.spawn(move || {
                    let mut round = 0;
                    while began.elapsed() < contention_time {
                        tally.add(&command(setup, number, round), setup.may_be_late);
                        round += 1;
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            while workers.iter().any(|worker| !worker.is_finished()) {
                updates.look(&setup.host);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    });
    eprintln!("{} record versions were seen; commands and their codes: {tally}", updates.count());
    tally.check(must_succeed);
    updates.check();
    eventually("all is quiet", || quiet::is_quiet(&setup.host));
    quiet::adopt_the_rest(&setup.host);
    quiet::let_all_be_asked(setup);
    quiet::check(setup);
    quiet::remove_everything(setup);
}

#[test]
fn r11_a_hundred_processes_on_the_same_names_leave_records_that_are_true() {
    let all = ["list", "status", "start", "stop", "rm", "restart", "reconcile", "forget", "orphan", "run"];
    let setup = Setup::scripted();
    adopt_at_once(&setup.host);
    contend(&setup, PROCESSES, CONTENTION_SECONDS, &all);
}

#[test]
fn r11_processes_on_the_same_names_in_docker_and_podman_leave_records_that_are_true() {
    let Some(setup) = Setup::real() else { return };
    // A slow machine comes to few of the others; and each workload is started and removed in the end.
    let many = ["list", "reconcile", "run"];
    contend(&setup, PROCESSES_WITH_CONTAINERS, CONTENTION_SECONDS_WITH_CONTAINERS, &many);
}
