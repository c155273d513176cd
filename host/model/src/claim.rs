//! [`Claim`]: which runtime a workload without an owner belongs to (R07); a pure function of what all runtimes show.
//! `adopt`, `reconcile` and `list` use it.
use crate::owner::Owner;
use crate::resource::Resource;
use std::fmt;

/// The outcome of the search for the owner of a workload without one.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// Exactly one resource carries its uid, and every runtime that might have another one has answered.
    Proven(Box<Resource>),
    /// Several resources carry its uid: each in words.
    Ambiguous(Vec<String>),
    /// No resource carries its uid.
    Unknown,
    /// These runtimes might have a resource of it, and gave no complete answer.
    Undecided(Vec<String>),
}

/// Assesses the claims on a uid. `resources` are all resources of this host that were seen; `silent` names the runtimes
/// that leave a trace here and gave no complete answer. Two claimants are ambiguous even if some runtimes are silent.
pub fn claim(uid: &str, resources: &[Resource], silent: &[String]) -> Claim {
    claim_among(resources.iter().filter(|resource| resource.seen.uid == uid), silent)
}

/// The same for resources that are known to carry the uid.
pub fn claim_among<'a>(claimants: impl Iterator<Item = &'a Resource>, silent: &[String]) -> Claim {
    let claimants: Vec<&Resource> = claimants.collect();
    match claimants.as_slice() {
        [_, _, ..] => Claim::Ambiguous(claimants.iter().map(|it| in_words(it)).collect()),
        _ if !silent.is_empty() => Claim::Undecided(silent.to_vec()),
        [one] => Claim::Proven(Box::new((*one).clone())),
        [] => Claim::Unknown,
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven(resource) => formatter.write_str(&in_words(resource)),
            Self::Ambiguous(claimants) => write!(formatter, "it is ambiguous: {}", claimants.join(" and ")),
            Self::Unknown => formatter.write_str("no runtime has anything of it"),
            Self::Undecided(silent) => {
                write!(formatter, "it may be of a runtime that cannot be asked: {}", silent.join(", "))
            }
        }
    }
}

fn in_words(resource: &Resource) -> String {
    let Owner { runtime_name, runtime_instance, .. } = &resource.owner;
    format!("'{runtime_name}' at {runtime_instance} has {}", resource.seen.object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::tests::observation;
    use wharf_sdk::{Observation, WorkloadState};

    fn resource(runtime: &str, uid: &str) -> Resource {
        Resource {
            owner: Owner {
                runtime_name: runtime.to_owned(),
                runtime_instance: "here".to_owned(),
                runtime_endpoint: String::new(),
            },
            seen: Observation {
                uid: uid.to_owned(),
                host_id: "host".to_owned(),
                object: format!("{runtime}-{uid}"),
                ..observation(WorkloadState::Stopped)
            },
        }
    }

    #[test]
    fn r07_exactly_one_claimant_is_proof() {
        let seen = [resource("docker", "a"), resource("podman", "b")];
        assert_eq!(claim("a", &seen, &[]), Claim::Proven(Box::new(seen[0].clone())));
        assert_eq!(claim("c", &seen, &[]), Claim::Unknown);
    }

    #[test]
    fn r07_nothing_is_proven_while_another_runtime_might_be_the_owner() {
        let silent = || vec!["'podman' (down)".to_owned()];
        for uid in ["a", "c"] {
            assert_eq!(claim(uid, &[resource("docker", "a")], &silent()), Claim::Undecided(silent()));
        }
    }

    #[test]
    fn r07_two_claimants_are_ambiguous_and_named() {
        let seen = [resource("docker", "a"), resource("podman", "a")];
        let named =
            vec!["'docker' at here has docker-a".to_owned(), "'podman' at here has podman-a".to_owned()];
        for silent in [Vec::new(), vec!["'kubernetes' (down)".to_owned()]] {
            assert_eq!(claim("a", &seen, &silent), Claim::Ambiguous(named.clone()));
        }
    }
}
