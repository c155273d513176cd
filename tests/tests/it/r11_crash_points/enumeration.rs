//! Every point, of every process, in every command.
use super::act::Act;
use super::kill::Scenario;
use super::lab::{Engines, Kind, Lab};
use super::random::Choices;
use super::report::Report;
use super::selection::Selection;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use wharf_tests::engines::{self, Engine};

/// The number of hosts at a time: they wait for disks and processes more than they compute.
const HOSTS: usize = 8;
/// After this many seconds only those kills are begun that stand for a point nobody was killed at. The variable gives
/// another number: with ten thousand, all are tried.
const ENUMERATION_SECONDS: u64 = 120;
const ENUMERATION_VARIABLE: &str = "WHARF_TEST_KILL_SECONDS";
/// With a real engine, all scenarios are begun within this share of the time, and as many at a time as its kind can bear.
const SHARE_WITH_ENGINE: f64 = 0.25;
const HOSTS_WITH_DOCKER: usize = 4;
/// Points that only a runtime with images meets: somebody is always killed at them on Docker, and elsewhere nobody is.
const OF_IMAGES: [&str; 2] = ["fetch.recorded", "fetch.cleared"];
/// A request to Podman for its instance makes it ask the package manager, which is slow.
const HOSTS_WITH_PODMAN: usize = 2;

/// All scenarios: first one for each point in each role, then the first occurrence of each in each command and
/// runtime, then the others.
struct Plan {
    scenarios: Vec<Scenario>,
    /// The number of scenarios that are always tried.
    must: usize,
    /// The number of first occurrences.
    first: usize,
}

impl Plan {
    fn of(trial: &Trial, selection: &Selection) -> Self {
        // If there is no time for all, the choice must not always be the same.
        let mut choices = Choices::from(selection.seed);
        let scenarios = selection.of(trial.enumerate());
        let mut met = BTreeSet::new();
        let (mut must, mut first, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for scenario in scenarios {
            let kill = &scenario.kill;
            let place = (kill.role.clone(), kill.point.clone());
            let here = (scenario.kind, scenario.act, place.clone(), kill.was_there);
            let is_first = met.insert((None, place));
            let is_first_here = met.insert((Some((here.0, here.1, here.3)), here.2));
            match (is_first, is_first_here) {
                (true, _) if trial.demands(&scenario.kill.point) => must.push(scenario),
                (true, _) | (false, true) => first.push(scenario),
                (false, false) => later.push(scenario),
            }
        }
        let musts = must.len();
        let firsts = must.len() + first.len();
        choices.shuffle(&mut first);
        choices.shuffle(&mut later);
        must.extend(first.into_iter().chain(later));
        Self { scenarios: must, must: musts, first: firsts }
    }
}

#[test]
fn releases_have_no_failpoints() {
    // Releases must not have failpoints, and so no debug assertions: that is cargo's default, unless the manifest says
    // otherwise.
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    assert!(manifest.contains("[profile.release]") && !manifest.contains("debug-assertions"), "{manifest}");
}

/// The place of the trials, and their findings.
#[derive(Default)]
pub(super) struct Trial {
    /// The real engines; without any it is tried on the others.
    engines: Engines,
    /// The only act that is tried; without one, all of the engine's.
    only: Option<Act>,
    faults: Mutex<Vec<String>>,
    report: Mutex<Report>,
    tried: AtomicUsize,
}

impl Trial {
    /// Every kill of every command, found by running each of them once.
    fn enumerate(&self) -> Vec<Scenario> {
        let all = [Kind::Process, Kind::Scripted];
        let kinds = self.engines.keys().copied().chain(all.into_iter().filter(|_| self.engines.is_empty()));
        let acts = |kind| match self.only {
            Some(act) => vec![(kind, act)],
            None => Act::of(kind).map(|act| (kind, act)).collect(),
        };
        let wanted: Vec<_> = kinds.flat_map(acts).collect();
        let found = Mutex::new(BTreeSet::new());
        self.each(&wanted, |labs, number, &(kind, act)| {
            let lab = labs.entry(kind).or_insert_with(|| Lab::new(kind, &self.engines));
            let kills = lab.reached(act).unwrap_or_else(|fault| panic!("{number} {kind:?} {act:?}: {fault}"));
            found.lock().unwrap().extend(kills.into_keys().map(|kill| Scenario { kind, act, kill }));
        });
        found.into_inner().unwrap().into_iter().collect()
    }

    /// True of a point at which somebody must be killed. Engines are slow, so they show only what nobody else does.
    fn demands(&self, point: &str) -> bool {
        match self.engines.keys().next() {
            None => !OF_IMAGES.contains(&point),
            Some(Kind::Docker) => self.only.is_none() && OF_IMAGES.contains(&point),
            Some(_) => false,
        }
    }

    fn hosts(&self) -> usize {
        match self.engines.keys().next() {
            Some(Kind::Docker) => HOSTS_WITH_DOCKER,
            Some(_) => HOSTS_WITH_PODMAN,
            None => HOSTS,
        }
    }

    /// Does something with each of these, on several hosts at a time.
    pub(super) fn each<T: Sync>(&self, all: &[T], work: impl Fn(&mut BTreeMap<Kind, Lab>, usize, &T) + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.hosts() {
                scope.spawn(|| {
                    let mut labs = BTreeMap::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(one) = all.get(number) else { return };
                        work(&mut labs, number, one);
                    }
                });
            }
        });
    }

    #[expect(
        clippy::print_stderr,
        reason = "all of them take their time, and a fault is not to wait for the last"
    )]
    fn of(&self, labs: &mut BTreeMap<Kind, Lab>, number: usize, scenario: &Scenario) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        let then = ["start", "stop", "rm"][number % 3];
        let lab = labs.entry(scenario.kind).or_insert_with(|| Lab::new(scenario.kind, &self.engines));
        match lab.scenario(scenario, then) {
            Ok(outcome) => self.report.lock().unwrap().add(scenario.clone(), outcome),
            Err(fault) => {
                let told = format!("{scenario} then {then}: {fault}");
                eprintln!("{told}");
                self.faults.lock().unwrap().push(told);
                // Its leftovers must not be taken for the next scenario's.
                labs.remove(&scenario.kind);
            }
        }
    }

    /// The points at which somebody must be killed, and nobody was.
    fn missed(&self) -> BTreeSet<String> {
        let points = self.report.lock().unwrap().points();
        let missed = points.into_iter().filter(|(name, kills)| *kills == 0 && self.demands(name));
        missed.map(|(name, _)| name).collect()
    }
}

/// Kills the process at each point, for about this share of the time.
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn kill_at_each_point(trial: &Trial, share: f64) {
    let began = Instant::now();
    let told = std::env::var(ENUMERATION_VARIABLE).ok().and_then(|text| text.parse().ok());
    let enumeration_time = Duration::from_secs(told.unwrap_or(ENUMERATION_SECONDS)).mul_f64(share);
    let selection = Selection::new();
    let plan = Plan::of(trial, &selection);
    let until = if trial.engines.is_empty() { began } else { Instant::now() } + enumeration_time;
    let found = began.elapsed().as_secs_f64();
    eprintln!(
        "{} kills are wanted, found in {found:.1} s with the seed {}",
        plan.scenarios.len(),
        selection.seed
    );
    trial.each(&plan.scenarios, |labs, number, scenario| {
        if number < plan.must || Instant::now() < until {
            trial.of(labs, number, scenario);
        }
    });
    // Some points are not met every time: which process kills another is a race.
    let demands_all = selection.is_all();
    let missed = if demands_all { trial.missed() } else { BTreeSet::new() };
    let again: Vec<_> = plan.scenarios.iter().filter(|it| missed.contains(&it.kill.point)).collect();
    trial.each(&again, |labs, number, scenario| {
        if trial.missed().contains(&scenario.kill.point) {
            trial.of(labs, number, scenario);
        }
    });
    let summary = format!(
        "{} kills of {} in {:.1} s: {} stand for a point in a role, {} are first occurrences in a command",
        trial.tried.load(Ordering::Relaxed),
        plan.scenarios.len(),
        began.elapsed().as_secs_f64(),
        plan.must,
        plan.first,
    );
    eprintln!("{summary}");
    trial.report.lock().unwrap().write(&summary);
    let faults = trial.faults.lock().unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    if demands_all {
        assert_eq!(trial.missed(), BTreeSet::new(), "nobody was killed at these points");
    }
}

#[test]
fn r11_a_kill_at_any_named_point_loses_nothing_and_leaves_nothing() {
    kill_at_each_point(&Trial::default(), 1.0);
}

fn on(kind: Kind, engine: engines::Kind, only: Option<Act>) {
    let Some(engine) = Engine::start(engine) else { return };
    let trial = Trial { engines: [(kind, engine.into())].into(), only, ..Trial::default() };
    kill_at_each_point(&trial, SHARE_WITH_ENGINE);
}

#[test]
fn r11_a_kill_at_a_point_of_a_command_on_docker_loses_nothing_and_leaves_nothing() {
    on(Kind::Docker, engines::Kind::Docker, None);
}

#[test]
fn r11_a_kill_at_a_point_of_a_command_on_podman_loses_nothing_and_leaves_nothing() {
    on(Kind::Podman, engines::Kind::Podman, None);
}

#[test]
fn r11_a_kill_while_a_session_has_a_container_of_docker_loses_nothing_and_leaves_nothing() {
    on(Kind::Docker, engines::Kind::Docker, Some(Act::Session));
}

#[test]
fn r11_a_kill_while_a_session_has_a_container_of_podman_loses_nothing_and_leaves_nothing() {
    on(Kind::Podman, engines::Kind::Podman, Some(Act::Session));
}
