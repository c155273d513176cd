//! The properties that must hold, in every state or in the end.

use stateright::Property;

use crate::actions::Protocol;
use crate::state::{NAMES, Place, State};
use crate::steps::environment::is_quiet;
use wharf_model::Phase;

/// Each write replaces the record that it was made from: compare-and-set on uid and revision.
pub const NO_LOST_UPDATE: &str = "no lost update";
/// A row is shown worse than recorded only if the workload really was, at a moment when its records stood (R04).
pub const NO_VERDICT_WITHOUT_EVIDENCE: &str = "no verdict without evidence";
/// Everything that an engine made is named by a RunConfig with its uid and its runtime (R01, R09), unless somebody
/// removed that by hand.
pub const NO_UNKNOWN_RESOURCE: &str = "no resource unknown to every record";
/// Reading writes nothing (R05).
pub const READING_WRITES_NOTHING: &str = "reading writes nothing";
/// One operation at a time: at most one command and its heir hold the operation lock.
pub const ONE_OPERATION: &str = "one operation at a time";
/// A stop is recorded and reported only when nothing runs any more (R08).
pub const NO_EMPTY_SUCCESS: &str = "no success without effect";
/// Nothing runs whose handle is not on record (R12).
pub const ON_RECORD: &str = "a handle is on record before its workload runs";
/// Records that were removed by hand are not made again: a supervisor ends without them (R01).
pub const NO_RECORD_COMES_BACK: &str = "no record comes to life again";
/// At most one resource carries a uid.
pub const ONE_RESOURCE: &str = "one resource for each uid";
/// Once all is quiet and has been reconciled, records and runtimes agree (R06).
pub const AGREEMENT: &str = "records and runtimes agree in the end";
/// It comes to an end in any case: nobody waits for ever.
pub const NO_DEADLOCK: &str = "everything comes to an end";
/// The model does reach its end, so that agreement is not asserted of nothing.
pub const SETTLES: &str = "all is quiet at last";

/// All of them.
#[must_use]
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(NO_LOST_UPDATE, |_, state: &State| !state.ghost.lost_update),
        Property::always(NO_VERDICT_WITHOUT_EVIDENCE, |_, state: &State| !state.ghost.false_verdict),
        Property::always(NO_UNKNOWN_RESOURCE, |_, state: &State| {
            state.places.iter().zip(state.ghost.lost).all(|(place, lost)| knows_its_resources(place, lost))
        }),
        Property::always(ON_RECORD, |_, state: &State| !state.ghost.ran_unrecorded),
        Property::always(NO_RECORD_COMES_BACK, |_, state: &State| {
            state.places.iter().zip(state.ghost.lost).all(|(place, lost)| {
                let uids = [place.config.map(|it| it.uid), place.status.map(|it| it.uid)];
                uids.into_iter().flatten().all(|uid| lost != Some(uid))
            })
        }),
        Property::always(READING_WRITES_NOTHING, |_, state: &State| !state.ghost.reader_wrote),
        Property::always(NO_EMPTY_SUCCESS, |_, state: &State| !state.ghost.empty_success),
        Property::always(ONE_OPERATION, |_, state: &State| {
            state.places.iter().all(|place| place.operation.holders.len() <= 1)
        }),
        Property::always(ONE_RESOURCE, |_, state: &State| state.places.iter().all(has_no_twins)),
        Property::always(AGREEMENT, |_, state: &State| {
            !has_settled(state) || (0..NAMES).all(|name| agrees(state, name))
        }),
        Property::sometimes(SETTLES, |_, state: &State| has_settled(state)),
        Property::eventually(NO_DEADLOCK, |_, state: &State| has_settled(state)),
    ]
}

fn has_settled(state: &State) -> bool {
    state.settling == Some(NAMES) && is_quiet(state)
}

fn knows_its_resources(place: &Place, lost: Option<u8>) -> bool {
    let is_known = |uid, runtime| place.config.is_some_and(|it| it.uid == uid && it.owner == runtime);
    let mut resources = place.resources.iter();
    resources.all(|resource| is_known(resource.uid, resource.runtime) || lost == Some(resource.uid))
}

fn has_no_twins(place: &Place) -> bool {
    let mut uids: Vec<_> = place.resources.iter().map(|resource| resource.uid).collect();
    uids.sort_unstable();
    uids.windows(2).all(|pair| pair[0] != pair[1])
}

/// For one name: records and runtime agree.
fn agrees(state: &State, name: usize) -> bool {
    let place = &state.places[name];
    let free = place.operation.holders.is_empty() && place.record.holders.is_empty();
    let Some(config) = place.config else {
        let lost = state.ghost.lost[name];
        let nothing = place.resources.iter().all(|resource| lost == Some(resource.uid));
        return free && place.status.is_none() && nothing && place.life.is_none();
    };
    let (runs, lives) = (place.runs(config), place.life.is_some());
    // Left of a creation or a removal that was interrupted, for a command to start or to remove.
    let Some(status) = place.status else { return free && !runs && !lives };
    let Some(record) = Some(status).filter(|status| status.uid == config.uid) else { return false };
    free && match record.phase {
        Phase::Running => runs && lives && record.wanted,
        Phase::Stopped => !runs && !lives && !record.wanted,
        Phase::Error => !runs && !lives,
        Phase::Starting | Phase::Stopping | Phase::Removing => false,
    }
}
