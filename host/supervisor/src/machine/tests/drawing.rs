//! Compares the table in docs/supervisor.md with the machine: the table is made of every step that can be taken.
//! `WHARF_UPDATE_TABLE=1` writes it anew.
use super::course::reached;
use crate::machine::effect::words;
use crate::machine::{At, Effect, Event, State};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::{env, fs, path::Path};

const BEGIN: &str = "<!-- the table of the machine; a test writes it with WHARF_UPDATE_TABLE=1 -->\n";
const END: &str = "<!-- the end of the table -->\n";
const GIVE_UP: &str = "**give up**";
const AN_END: &str = "**an end**";

/// A state's name: `Clearing(Interrupted(Request))` is "clearing (interrupted (request))".
fn place(state: &State) -> String {
    match state.at {
        At::CheckingFailure(_) => "checking failure".to_owned(),
        at @ (At::Deploying | At::ProvingMade | At::RecordingHandle | At::Starting) if state.restarting => {
            format!("{} again", words(&format!("{at:?}")))
        }
        at => words(&format!("{at:?}")),
    }
}

/// The states in the order in which they are met; and for each state and event everything that may follow.
#[derive(Default)]
struct Table {
    places: Vec<String>,
    /// For the names of groups: the states that are left by a client that goes, and by a request to leave.
    starting: BTreeSet<usize>,
    requests: BTreeSet<usize>,
    steps: BTreeMap<(usize, &'static str), BTreeSet<String>>,
}

impl Table {
    fn of_the_machine() -> Self {
        let mut table = Self::default();
        let (give_up, an_end) = (table.number(GIVE_UP), table.number(AN_END));
        for (from, event, effects, to) in &reached().steps {
            let number = table.number(&place(from));
            if from.hears().client {
                table.starting.insert(number);
            }
            if from.hears().requests {
                table.requests.insert(number);
            }
            let is = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted);
            let outcome = if let Some(at) = is(|effect| matches!(effect, Effect::GiveUp(_))) {
                table.add(give_up, "", outcome(&effects[at + 1..], None, to));
                GIVE_UP.to_owned()
            } else if let Some(at) = is(|effect| *effect == Effect::HearExit) {
                table.add(an_end, "", outcome(&effects[at + 1..], None, to));
                AN_END.to_owned()
            } else {
                outcome(effects, Some(from), to)
            };
            table.add(number, event.name(), outcome);
        }
        table
    }

    fn number(&mut self, place: &str) -> usize {
        self.places.iter().position(|known| known == place).unwrap_or_else(|| {
            self.places.push(place.to_owned());
            self.places.len() - 1
        })
    }

    fn add(&mut self, from: usize, event: &'static str, outcome: String) {
        self.steps.entry((from, event)).or_default().insert(outcome);
    }

    /// One row for all states and events with the same outcome.
    fn rows(&self) -> String {
        let mut by_outcome: BTreeMap<(&str, &BTreeSet<String>), Vec<usize>> = BTreeMap::new();
        for ((from, event), outcomes) in &self.steps {
            by_outcome.entry((event, outcomes)).or_default().push(*from);
        }
        let mut rows: BTreeMap<(Vec<usize>, &BTreeSet<String>), Vec<&str>> = BTreeMap::new();
        for ((event, outcomes), from) in by_outcome {
            rows.entry((from, outcomes)).or_default().push(event);
        }
        let mut text = "| in | on | does, and goes to |\n|---|---|---|\n".to_owned();
        for ((from, outcomes), events) in rows {
            let outcomes: Vec<_> = outcomes.iter().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                self.names(&from),
                events.join(", "),
                outcomes.join("; or ")
            );
        }
        text
    }

    fn names(&self, from: &[usize]) -> String {
        let set: BTreeSet<_> = from.iter().copied().collect();
        if set == self.starting {
            return "*every state of a start*".to_owned();
        }
        if set == self.requests {
            return "*every state that hears requests*".to_owned();
        }
        from.iter().map(|from| self.places[*from].as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn outcome(effects: &[Effect], from: Option<&State>, to: &State) -> String {
    let names: Vec<_> = effects.iter().map(Effect::name).collect();
    let stays = from.is_some_and(|from| place(from) == place(to));
    let arrow = if stays { String::new() } else { format!(" → {}", place(to)) };
    format!("{}{arrow}", names.join(", "))
}

#[test]
fn the_table_in_the_documentation_is_what_the_machine_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/supervisor.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (drawn, after) = rest.split_once(END).unwrap();
    let table = Table::of_the_machine().rows();
    if env::var_os("WHARF_UPDATE_TABLE").is_some() {
        let page = format!("{before}{BEGIN}{table}{END}{after}");
        fs::File::create(&path).unwrap().write_all(page.as_bytes()).unwrap();
        return;
    }
    for (number, (drawn, is)) in drawn.lines().zip(table.lines()).enumerate() {
        assert_eq!(
            drawn, is,
            "row {number} of docs/supervisor.md; WHARF_UPDATE_TABLE=1 writes the table anew"
        );
    }
    assert_eq!(drawn, table, "WHARF_UPDATE_TABLE=1 writes the table anew");
}

/// No event of the table is one that nobody sends.
#[test]
fn every_kind_of_event_is_in_the_table() {
    let table = Table::of_the_machine();
    let named: BTreeSet<_> = table.steps.keys().map(|(_, event)| *event).collect();
    for event in
        [Event::Begin, Event::ClientGone, Event::ConfigRemoved, Event::StdoutClosed, Event::Signalled]
    {
        assert!(named.contains(event.name()), "{event:?}");
    }
}
