//! A table of the state after each kill, and of the effects of the next commands, for people.
use super::check::Outcome;
use super::kill::Scenario;
use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, path::Path};
use wharf_tests::host::built;

/// The variable with the file of the table, if it is wanted.
const REPORT_VARIABLE: &str = "WHARF_TEST_REPORT";

/// The scenarios that were tried.
#[derive(Default)]
pub(super) struct Report {
    outcomes: BTreeMap<Scenario, Outcome>,
}

impl Report {
    pub(super) fn add(&mut self, scenario: Scenario, outcome: Outcome) {
        self.outcomes.insert(scenario, outcome);
    }

    /// The points that exist, and how many processes died at each.
    pub(super) fn points(&self) -> BTreeMap<String, usize> {
        let output = std::process::Command::new(built("wharf")).arg("__failpoints").output().unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        let mut points: BTreeMap<_, _> = names.lines().map(|name| (name.to_owned(), 0)).collect();
        for (scenario, _) in self.outcomes.iter().filter(|(_, outcome)| outcome.reached) {
            *points.get_mut(&scenario.kill.point).expect("a point that has a name") += 1;
        }
        points
    }

    /// Writes the table where the environment says.
    pub(super) fn write(&self, summary: &str) {
        let Some(path) = std::env::var_os(REPORT_VARIABLE) else { return };
        let mut file = std::fs::File::create(Path::new(&path)).unwrap();
        file.write_all(self.text(summary).as_bytes()).unwrap();
    }

    fn text(&self, summary: &str) -> String {
        let mut text = format!("{summary}\n\n| point | kills |\n|---|---|\n");
        for (point, kills) in self.points() {
            let _ = writeln!(text, "| {point} | {kills} |");
        }
        text.push_str(
            "\n| runtime | command | killed at | left | the next commands |\n|---|---|---|---|---|\n",
        );
        for (Scenario { kind, act, kill }, outcome) in &self.outcomes {
            let there = if kill.was_there { " (was there before)" } else { "" };
            let missed = if outcome.reached { "" } else { ", not reached this time" };
            let _ = writeln!(
                text,
                "| {kind:?} | {act:?} | {}/{}:{}{there}{missed} | {} | {} |",
                kill.role, kill.point, kill.nth, outcome.left, outcome.next
            );
        }
        text
    }
}
