//! Says where the names in a specification lead: nowhere else, since its workloads open no files.
use crate::{network, scripted::Scripted};
use std::future::Future;
use wharf_sdk::document::operation;
use wharf_sdk::{Pin, Pins, Result, WorkloadSpec};
use wharf_test_engine::{Act, Flaw};

impl Pin for Scripted {
    fn pin(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Pins>> + Send {
        let order = self.called(operation::PIN, &spec.uid);
        async move {
            let order = order.in_future().await?;
            if order != Some(Act::Flawed(Flaw::PinsAll)) {
                self.check_source(spec)?;
                network::check(spec)?;
            }
            let closed = match order {
                Some(Act::Flawed(Flaw::CallsClosed)) => spec.args.last().cloned().into_iter().collect(),
                _ => Vec::new(),
            };
            Ok(Pins { closed, ..Pins::default() })
        }
    }
}
