//! The test: the world, the hundred, and what is demanded of them in the end.
use super::commands::{Tally, command};
use super::quiet;
use super::updates::Updates;
use std::time::{Duration, Instant};
use wharf_tests::engine::ScriptedEngine;
use wharf_tests::host::{Host, demo_server, eventually};

const PROCESSES: u64 = 100;
/// So many adopt the same workload.
const ADOPTERS: usize = 4;
/// How long new commands are begun, unless the variable gives another number. Those that wait for another one end later.
const CONTENTION_SECONDS: u64 = 60;
const CONTENTION_VARIABLE: &str = "WHARF_TEST_CONTENTION_SECONDS";
/// The runtimes. A name is created on any of them, whichever it was on before.
pub(super) const RUNTIMES: [&str; 3] = ["process", "scripted-one", "scripted-two"];
/// Three names begin as workloads that run, one on each runtime, and have lost their owners.
pub(super) const NAMES: [&str; 6] = ["ant", "bee", "cat", "dog", "elk", "fox"];

/// What a workload of this runtime runs.
pub(super) fn server(runtime: &str) -> String {
    if runtime == "process" { demo_server() } else { "sh".to_owned() }
}

/// The engines before the host: they behave when it clears up.
pub(super) struct World {
    pub(super) engines: [ScriptedEngine; 2],
    pub(super) host: Host,
}

impl World {
    fn new() -> Self {
        let host = Host::new();
        let engines = [ScriptedEngine::new(&host, RUNTIMES[1]), ScriptedEngine::new(&host, RUNTIMES[2])];
        for (name, runtime) in NAMES.into_iter().zip(RUNTIMES) {
            host.run(&["--runtime", runtime, "--name", name, &server(runtime)]);
            quiet::strip_owner(&host, name);
        }
        Self { engines, host }
    }
}

/// Of several that adopt the same workload at the same time one does it, and the others are told so.
fn adopt_at_once(host: &Host) {
    let said = std::thread::scope(|scope| {
        let names = NAMES[..RUNTIMES.len()].iter().flat_map(|name| [name; ADOPTERS]);
        let begun: Vec<_> =
            names.map(|name| scope.spawn(move || (name, host.wharf(&["adopt", name])))).collect();
        begun.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for name in &NAMES[..RUNTIMES.len()] {
        let of_name = said.iter().filter(|(of, _)| of == &name);
        assert_eq!(of_name.filter(|(_, said)| said.code == 0).count(), 1, "{name}: {said:?}");
    }
    assert!(said.iter().all(|(_, said)| said.code == 0 || said.code == 4), "{said:?}");
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn r11_a_hundred_processes_on_the_same_names_leave_records_that_are_true() {
    let world = World::new();
    adopt_at_once(&world.host);
    let told = std::env::var(CONTENTION_VARIABLE).ok().and_then(|text| text.parse().ok());
    let contention_time = Duration::from_secs(told.unwrap_or(CONTENTION_SECONDS));
    let began = Instant::now();
    let (tally, updates) = (Tally::default(), Updates::default());
    std::thread::scope(|scope| {
        let (host, tally, updates) = (&world.host, &tally, &updates);
        let workers: Vec<_> = (0..PROCESSES)
            .map(|number| {
                scope.spawn(move || {
                    let mut round = 0;
                    while began.elapsed() < contention_time {
                        tally.add(&command(host, number, round));
                        round += 1;
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            while workers.iter().any(|worker| !worker.is_finished()) {
                updates.look(host);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    });
    eprintln!("{} record versions were seen; commands and their codes: {tally}", updates.count());
    tally.check();
    updates.check();
    eventually("all is quiet", || quiet::is_quiet(&world.host));
    quiet::adopt_the_rest(&world.host);
    quiet::let_all_be_asked(&world.host);
    quiet::check(&world);
    quiet::remove_everything(&world);
}
