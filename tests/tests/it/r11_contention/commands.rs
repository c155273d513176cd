//! The commands of the hundred processes, and the answers that they may get.
use super::setup::{NAMES, Setup, server};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::Mutex};
use wharf_tests::host::{Host, Said};

/// The answers, by command and exit code, and those that nobody should have got.
#[derive(Default)]
pub(super) struct Tally {
    told: Mutex<BTreeMap<(String, i32), u32>>,
    surprises: Mutex<Vec<String>>,
}

/// A command that has ended.
pub(super) struct Done {
    what: &'static str,
    args: Vec<String>,
    said: Said,
}

/// The commands of one process, from its number: each process has another sequence.
pub(super) fn command(setup: &Setup, number: u64, round: u64) -> Done {
    let (host, runtimes) = (&setup.host, setup.runtimes);
    let mixed = (number * 0x9E37_79B9 + round * 0x85EB_CA6B) >> 7;
    let chosen = |divisor: u64, many: usize| usize::try_from(mixed / divisor % many as u64).unwrap();
    let (name, runtime) = (NAMES[chosen(1, NAMES.len())], runtimes[chosen(7, runtimes.len())]);
    let server = server(runtime);
    let (what, args): (_, Vec<&str>) = match chosen(31, 15) {
        0 => ("list", vec!["list", "--all", "--format", "json"]),
        1 => ("status", vec!["status", name]),
        2 => ("start", vec!["start", name]),
        3 => ("stop", vec!["stop", name]),
        4 => ("rm", vec!["rm", name]),
        5 => ("restart", vec!["restart", name]),
        6 => ("reconcile", vec!["reconcile"]),
        7 => ("adopt", vec!["adopt", name]),
        8 => ("rebind", vec!["adopt", name, "--runtime", runtime, "--rebind"]),
        9 => ("forget", vec!["rm", "--forget", name]),
        10 => return orphan(host, mixed),
        _ => ("run", vec!["run", "--runtime", runtime, "--name", name, &server]),
    };
    let said = host.wharf(&args);
    Done { what, args: args.into_iter().map(str::to_owned).collect(), said }
}

/// A listing, and the removal of one of the orphans in it.
fn orphan(host: &Host, mixed: u64) -> Done {
    let said = host.wharf(&["list", "--all", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&said.stdout).unwrap_or_default();
    let orphans: Vec<_> = rows.iter().filter(|row| row["orphan"] == true).collect();
    let Some(row) = orphans.get(usize::try_from(mixed).unwrap() % orphans.len().max(1)) else {
        return Done { what: "list", args: vec!["list".to_owned()], said };
    };
    let args = ["rm", "--orphan", row["name"].as_str().unwrap()];
    let said = host.wharf(&args);
    Done { what: "orphan", args: args.map(str::to_owned).to_vec(), said }
}

impl Done {
    /// Whether a command may get this answer while others work on the same workload: done, not found, or in conflict. A
    /// start that another command gives up fails, and names that command. A workload without an owner cannot be asked for,
    /// and a proven claimant may have lost it.
    fn is_expected(&self, may_be_late: bool) -> bool {
        match self.said.code {
            0 | 4 => true,
            // An engine that has too much to do says nothing in time, which is no evidence of anything.
            5 | 7 if may_be_late && self.says("took longer than") => true,
            3 => !["list", "run", "reconcile"].contains(&self.what),
            1 => self.said.stderr.contains("while it was starting"),
            5 => ["has no owner", "any more"].iter().any(|why| self.said.stderr.contains(why)),
            _ => false,
        }
    }

    /// A reconciliation tells on stdout what it left alone, and why.
    fn says(&self, why: &str) -> bool {
        self.said.stderr.contains(why) || self.what == "reconcile" && self.said.stdout.contains(why)
    }
}

impl Tally {
    pub(super) fn add(&self, done: &Done, may_be_late: bool) {
        if !done.is_expected(may_be_late) {
            self.surprises.lock().unwrap().push(format!("{:?}: {:?}", done.args, done.said));
        }
        *self.told.lock().unwrap().entry((done.what.to_owned(), done.said.code)).or_insert(0) += 1;
    }

    /// Each of these has succeeded at least once, and none got a wrong answer.
    pub(super) fn check(&self, must_succeed: &[&str]) {
        let told = self.told.lock().unwrap();
        for what in must_succeed {
            assert!(told.contains_key(&((*what).to_owned(), 0)), "no {what} ever succeeded: {told:?}");
        }
        let surprises = self.surprises.lock().unwrap();
        assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.told.lock().unwrap())
    }
}
