//! [`Connection`]: the connection of a runtime to its cluster, made anew once it cannot be used any more: the files that describe it
//! were written, its certificate has ended, or the API server refuses its credentials. All that need it have it from here, so that a
//! program which hands out credentials is run once for all of them.
use crate::{cluster::Cluster, endpoint::Endpoint, proxy::Proxies, renewal::Renewal};
use std::time::Duration;
use wharf_sdk::{Error, Result};

/// The shortest and the longest time between two makings, where the API server refuses the credentials of each.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The connection. Clones are the same.
#[derive(Clone)]
pub(crate) struct Connection {
    endpoint: Endpoint,
    proxies: Proxies,
    made: Renewal<Made, Error>,
}

/// A connection that was made.
#[derive(Clone)]
struct Made {
    cluster: Cluster,
    /// How many before it were refused in a row without a single accepted request.
    refused: u32,
}

impl Connection {
    /// To the cluster behind an endpoint, which counts as unusable where these proxies are meant for it. Nothing is made yet.
    pub(crate) fn to(endpoint: Endpoint, proxies: Proxies) -> Self {
        let lost = || Error::unavailable("the connection to the cluster was not made to its end");
        Self { endpoint, proxies, made: Renewal::of(None, lost) }
    }

    /// The connection that counts now, which may not answer.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        let make = |before: Option<Made>| {
            let (endpoint, proxies) = (self.endpoint.clone(), self.proxies.clone());
            async move {
                let refused = before.filter(Made::was_of_no_use).map_or(0, |before| before.refused + 1);
                Ok(Made { cluster: Cluster::of(endpoint, &proxies).await?, refused })
            }
        };
        self.made.get(Made::serves, make).await.map(|made| made.cluster)
    }
}

impl Made {
    /// Situation: the API server refuses whatever credentials the program has, or they have ended when they are handed out.
    /// Conclusion: they are not asked for anew with each request; between, the refusal is the answer.
    fn serves(&self, since: Duration) -> bool {
        self.cluster.is_current() || (self.cluster.is_of_these_files() && since < pause(self.refused))
    }

    /// Whether it was refused before anything was accepted.
    fn was_of_no_use(&self) -> bool {
        self.cluster.is_of_these_files() && !self.cluster.was_accepted()
    }
}

fn pause(refused: u32) -> Duration {
    PAUSES[0].saturating_mul(2_u32.saturating_pow(refused)).min(PAUSES[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_connections_that_are_refused_grow() {
        let seconds: Vec<u64> = (0..7).map(|refused| pause(refused).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause(u32::MAX), PAUSES[1]);
    }
}
