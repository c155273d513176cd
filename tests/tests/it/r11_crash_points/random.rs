//! Kills at random moments, of any process that is there.
use super::act::Act;
use super::lab::{Engines, Kind, Lab};
use std::{
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const RANDOM_TIME: Duration = Duration::from_secs(10);
/// The hosts that are tried at the same time.
const HOSTS: [Kind; 4] = [Kind::Process, Kind::Process, Kind::Process, Kind::Scripted];

/// A source of choices that need not be good ones; its seed is shown where a test fails.
pub(super) struct Choices {
    state: u64,
}

impl Choices {
    /// Another one each time.
    pub(super) fn a_seed() -> u64 {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        u64::from(std::process::id()) << 20 | u64::from(time) | 1
    }

    pub(super) fn from(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Shuffles (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap();
            all.swap(last, other);
        }
    }

    /// A random number below `limit` (xorshift64).
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

#[test]
fn r11_kills_at_random_moments_lose_nothing_and_leave_nothing() {
    let began = Instant::now();
    let seed = Choices::a_seed();
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (number, kind) in (0_u64..).zip(HOSTS) {
            let faults = &faults;
            scope.spawn(move || {
                let acts: Vec<_> = Act::of(kind).collect();
                let mut lab = Lab::new(kind, &Engines::new());
                let mut choices = Choices::from(seed.wrapping_mul(number * 2 + 1));
                while began.elapsed() < RANDOM_TIME {
                    let (act, then) = (choices.one_of(&acts), choices.one_of(&["start", "stop", "rm"]));
                    if let Err(fault) = random_kill(&lab, act, then, &mut choices) {
                        let told = format!("seed {seed}: {kind:?} {act:?} then {then}: {fault}");
                        faults.lock().unwrap().push(told);
                        lab = Lab::new(kind, &Engines::new());
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
    let said = std::thread::scope(|scope| {
        let acting = scope.spawn(|| lab.act(act, None));
        std::thread::sleep(pause);
        let ours = lab.processes();
        if !ours.is_empty() {
            lab.host.kill_own(ours[usize::try_from(chosen).unwrap() % ours.len()]);
        }
        acting.join().unwrap()
    })?;
    lab.check(act, &said, then).map(drop)
}
