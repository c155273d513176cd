//! Every effect that can fail, failing once: in the place of being performed, or performed and reported failed.
//!
//! The same conditions as after a kill must hold; and a workload whose command reported a failure must not be started
//! later.
use super::act::Act;
use super::enumeration::Trial;
use super::kill::Kill;
use super::lab::{Kind, Lab, pid_in};
use super::random::Choices;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use wharf_tests::host::Said;

const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EMFILE"];
/// After this many seconds only those are begun that stand for a point in a role. The variable gives another number: with
/// ten thousand, all are tried.
const FAULT_SECONDS: u64 = 60;
const FAULT_VARIABLE: &str = "WHARF_TEST_FAULT_SECONDS";

/// One failure in one command on one runtime.
#[derive(Clone, Debug)]
struct Failure {
    kind: Kind,
    act: Act,
    at: Kill,
    error: &'static str,
}

impl Failure {
    /// The fault, in the form of the environment variable.
    fn variable(&self) -> String {
        let Kill { role, point, nth, .. } = &self.at;
        format!("{role}/{point}:{nth}=error={}", self.error)
    }
}

/// All of them, first one for each point in each role: so many are always tried.
#[expect(clippy::print_stderr, reason = "who sees a failure wants the order that led to it")]
fn plan(trial: &Trial) -> (Vec<Failure>, usize) {
    let all = [Kind::Process, Kind::Scripted];
    let wanted: Vec<_> = all.into_iter().flat_map(|kind| Act::of(kind).map(move |act| (kind, act))).collect();
    let found = Mutex::new(BTreeMap::new());
    trial.each(&wanted, |labs, number, &(kind, act)| {
        let lab = labs.entry(kind).or_insert_with(|| Lab::new(kind, &BTreeMap::new()));
        let reached = lab.reached(act).unwrap_or_else(|fault| panic!("{number} {kind:?} {act:?}: {fault}"));
        let can_fail = reached.into_iter().filter(|(_, can_fail)| *can_fail).map(|(at, _)| at);
        // An act that kills its supervisor has its one fault already.
        if act != Act::RunAbandoned {
            found.lock().unwrap().insert((kind, act), can_fail.collect::<Vec<_>>());
        }
    });
    let mut met = BTreeSet::new();
    let (mut must, mut others) = (Vec::new(), Vec::new());
    for ((kind, act), reached) in found.into_inner().unwrap() {
        for at in reached {
            for error in ERRORS {
                // The errors take turns at the first places.
                let is_turn = ERRORS[met.len() % ERRORS.len()] == error;
                let is_first = is_turn && met.insert((at.role.clone(), at.point.clone()));
                let failure = Failure { kind, act, at: at.clone(), error };
                if is_first { must.push(failure) } else { others.push(failure) }
            }
        }
    }
    let seed = Choices::a_seed();
    eprintln!("the order of the failures is that of seed {seed}");
    Choices::from(seed).shuffle(&mut others);
    let always = must.len();
    must.extend(others);
    (must, always)
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn r11_an_effect_that_fails_loses_nothing_and_what_was_reported_failed_does_not_come_to_life() {
    let began = Instant::now();
    let trial = Trial::default();
    let (failures, always) = plan(&trial);
    let points: BTreeSet<_> = failures.iter().map(|it| format!("{}/{}", it.at.role, it.at.point)).collect();
    for effect in
        ["make-folder", "create-file", "write-file", "sync-file", "link", "rename", "unlink", "sync-folder"]
    {
        for side in ["before", "after"] {
            let point = format!("command/{effect}.{side}");
            assert!(points.contains(&point), "{point} is never reached: {points:?}");
        }
    }
    let told = std::env::var(FAULT_VARIABLE).ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(told.unwrap_or(FAULT_SECONDS));
    eprintln!("{} failures were found in {:.1} s", failures.len(), began.elapsed().as_secs_f64());
    let (tried, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    trial.each(&failures, |labs, number, failure| {
        if number >= always && Instant::now() >= until {
            return;
        }
        tried.fetch_add(1, Ordering::Relaxed);
        let then = ["start", "stop", "rm"][number % 3];
        let lab = labs.entry(failure.kind).or_insert_with(|| Lab::new(failure.kind, &BTreeMap::new()));
        if let Err(fault) = lab.failure(failure, then) {
            let Failure { kind, act, .. } = failure;
            let told = format!("{kind:?} {act:?} {} then {then}: {fault}", failure.variable());
            eprintln!("{told}");
            faults.lock().unwrap().push(told);
            // Its leftovers must not be taken for the next one's.
            labs.remove(&failure.kind);
        }
    });
    eprintln!(
        "{} failures of {} in {:.1} s: {always} stand for a point in a role",
        tried.into_inner(),
        failures.len(),
        began.elapsed().as_secs_f64()
    );
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

impl Lab {
    /// One failure; `then` is the next command.
    fn failure(&self, failure: &Failure, then: &str) -> Result<(), String> {
        let Failure { act, at, .. } = failure;
        self.clear_trace();
        let variable = failure.variable();
        let armed = |before| (at.was_there == before).then_some(variable.as_str());
        self.prepare(*act, armed(true))?;
        let supervisor = self.supervisor();
        let said = self.act(*act, armed(false))?;
        if said.code != 0 {
            self.behave();
            self.check_does_not_come_to_life(*act, &said, supervisor)?;
        }
        self.check(*act, &said, then).map(drop)
    }

    fn supervisor(&self) -> Option<i32> {
        pid_in(&self.record()?["process_id"])
    }

    /// After a command that failed reconciliation starts nothing. What goes on under the supervisor that it had was not
    /// ended.
    fn check_does_not_come_to_life(&self, act: Act, said: &Said, before: Option<i32>) -> Result<(), String> {
        match act {
            Act::Run | Act::Import if self.is_known() => {
                return Err(format!("its record is left behind: {}", said.stderr));
            }
            Act::Run
            | Act::RunBroken
            | Act::Stop
            | Act::Start
            | Act::StartFullLogs
            | Act::SetAside
            | Act::Rm
            | Act::Adopt
            | Act::Import => {}
            // A workload that was wanted before stays wanted, or has no record any more.
            _ => return Ok(()),
        }
        self.wharf(&["reconcile"], None)?;
        let shown = self.is_known().then(|| self.shown()).flatten();
        if shown.as_deref() == Some("running") && self.supervisor() != before {
            return Err(format!("it came to life after code {}: {}", said.code, said.stderr));
        }
        Ok(())
    }
}
