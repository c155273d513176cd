//! All cases. A new group of cases is entered here.
use super::case::Case;
use super::{
    attach, core, dial, exit, hostile, limits, list, logs, network, permissions, pin, ports, probe, recover,
    restarts,
};

/// All cases, by profile.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let all: [&[Case]; 15] = [
        core::CASES,
        list::CASES,
        hostile::CASES,
        exit::CASES,
        logs::CASES,
        attach::CASES,
        recover::CASES,
        ports::CASES,
        dial::CASES,
        limits::CASES,
        permissions::CASES,
        pin::CASES,
        network::CASES,
        restarts::CASES,
        probe::CASES,
    ];
    all.into_iter().flatten()
}

/// The case with this id.
pub fn case(id: &str) -> Option<&'static Case> {
    cases().find(|case| case.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_there_once_and_begins_with_its_profile() {
        let mut ids: Vec<&str> = cases().map(|case| case.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for case in cases() {
            assert_eq!(case.id.split_once('.').unwrap().0, case.profile.as_str());
            assert!(!case.sentence.is_empty() && case.steps() > 0, "{case:?}");
        }
    }
}
