//! [`Owner`]: the one runtime that a workload belongs to, where in it the workload is, and both in words.
//!
//! Made of a RunConfig or of a runtime's answer. It must not know any particular runtime.
use crate::advice::Advice;
use std::collections::BTreeMap;
use wharf_sdk::endpoint_options;

/// The one runtime that a workload belongs to (R01, R02). Opaque to the host, but for the place that
/// its endpoint names ([`endpoint_options`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The runtime's name, such as `process`.
    pub runtime_name: String,
    /// The engine; empty if the runtime has just one.
    pub runtime_instance: String,
    /// The way to the engine; empty if there is just one.
    pub runtime_endpoint: String,
}

impl Owner {
    /// The options of the runtime that lead to where the workload is, such as the context and the namespace of a cluster; none
    /// where there is only one place.
    #[must_use]
    pub fn place(&self) -> BTreeMap<String, String> {
        endpoint_options(&self.runtime_endpoint)
    }

    /// The runtime in words, with the place in it.
    #[must_use]
    pub fn words(&self) -> String {
        let runtime = format!("the runtime '{}'", self.runtime_name);
        match self.place_words().as_str() {
            "" => runtime,
            place => format!("{runtime} ({place})"),
        }
    }

    /// A fault of the runtime, behind the place in which it was met.
    #[must_use]
    pub fn located(&self, what: &str) -> String {
        match self.place_words().as_str() {
            "" => what.to_owned(),
            place => format!("{place}: {what}"),
        }
    }

    fn place_words(&self) -> String {
        let place = self.place().into_iter().map(|(name, value)| format!("{name} '{value}'"));
        place.collect::<Vec<_>>().join(", ")
    }

    /// The step that asks it whether it works there.
    #[must_use]
    pub fn check(&self) -> Advice {
        Advice::check(&self.runtime_name, self.place())
    }

    /// The same where there are several places. Of one alone, its own error says as much as a check would.
    #[must_use]
    pub fn check_in_place(&self) -> Option<Advice> {
        (!self.place().is_empty()).then(|| self.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> Owner {
        Owner {
            runtime_name: "kubernetes".to_owned(),
            runtime_instance: "i".to_owned(),
            runtime_endpoint: endpoint.to_owned(),
        }
    }

    #[test]
    fn an_owner_is_told_with_its_place_and_asked_there() {
        let owner = at("kubeconfig:/k?context=dev&namespace=team-a");
        assert_eq!(owner.words(), "the runtime 'kubernetes' (context 'dev', namespace 'team-a')");
        assert_eq!(owner.located("it is silent"), "context 'dev', namespace 'team-a': it is silent");
        let options = owner.place();
        assert_eq!(options["context"], "dev");
        assert_eq!(owner.check(), Advice::CheckRuntime { name: "kubernetes".to_owned(), options });
        let plain = at("unix:///run/docker.sock");
        assert_eq!(plain.words(), "the runtime 'kubernetes'");
        assert_eq!(plain.located("it is silent"), "it is silent");
        assert_eq!(plain.check(), Advice::CheckRuntimes);
    }
}
