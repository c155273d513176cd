//! [`Hindrances`]: the reasons why a pod does not run yet that may pass, one of a kind, and until when each is waited for. Kept
//! by a start; it must not know where the reasons come from.
use std::time::Duration;
use tokio::time::Instant;

/// A kind of hindrance. Each is met and passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The cluster could not make the pod, and tries again.
    Unmade,
    /// The pod fits on no node.
    Unscheduled,
    /// A claim of the pod has no volume.
    Unbound,
    /// The node could not make the container, and tries again.
    Retried,
    /// The cluster has warned of something else, such as a volume that cannot be mounted.
    Warned,
}

/// A hindrance, and the moment until which a start waits for its end.
#[derive(Debug)]
struct Hindrance {
    kind: Kind,
    until: Instant,
    why: String,
}

/// The hindrances that have not passed.
#[derive(Debug, Default)]
pub(crate) struct Hindrances(Vec<Hindrance>);

impl Hindrances {
    /// A hindrance that is met now, for this reason, or goes on: then the time since it was met first counts. Without a
    /// reason it has passed.
    pub(crate) fn set(&mut self, kind: Kind, patience: Duration, why: Option<&str>) {
        let at = self.0.iter().position(|known| known.kind == kind);
        match (at, why) {
            (Some(at), Some(why)) => why.clone_into(&mut self.0[at].why),
            (None, Some(why)) => {
                self.0.push(Hindrance { kind, until: Instant::now() + patience, why: why.to_owned() });
            }
            (Some(at), None) => drop(self.0.swap_remove(at)),
            (None, None) => {}
        }
    }

    /// The one whose time is over first.
    fn first(&self) -> Option<&Hindrance> {
        self.0.iter().min_by_key(|hindrance| hindrance.until)
    }

    /// Waits until the time of one of them is over; returns its reason. Without any, it never resolves.
    pub(crate) async fn outlasted(&self) -> String {
        match self.first() {
            Some(hindrance) => {
                tokio::time::sleep_until(hindrance.until).await;
                hindrance.why.clone()
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LATER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn the_first_hindrance_whose_time_is_over_is_told_with_its_latest_reason() {
        let mut hindrances = Hindrances::default();
        hindrances.set(Kind::Unscheduled, LATER, Some("no node"));
        hindrances.set(Kind::Retried, SOON, Some("no secret"));
        hindrances.set(Kind::Retried, LATER, Some("still no secret"));
        assert_eq!(hindrances.outlasted().await, "still no secret", "its time began when it was met first");
    }

    #[tokio::test]
    async fn a_hindrance_that_has_passed_is_not_waited_for_and_begins_anew_when_it_is_met_again() {
        let mut hindrances = Hindrances::default();
        hindrances.set(Kind::Warned, SOON, Some("no volume"));
        hindrances.set(Kind::Warned, SOON, None);
        assert!(hindrances.first().is_none());
        let before = Instant::now();
        hindrances.set(Kind::Warned, LATER, Some("no volume"));
        assert!(hindrances.first().is_some_and(|first| first.until >= before + LATER));
    }
}
