//! Shows what others made: objects without a host's id, found by their labels.
use crate::scripted::{Scripted, failed, state};
use std::future::Future;
use wharf_sdk::document::operation;
use wharf_sdk::{Discover, ForeignListing, ForeignResource, LabelSelector, Result};
use wharf_test_engine::{Act, Object};

impl Discover for Scripted {
    fn discover(&self, selector: &LabelSelector) -> impl Future<Output = Result<ForeignListing>> + Send {
        let order = self.called(operation::DISCOVER, "");
        async move {
            let order = order.in_future().await?;
            let instance = self.engine.instance().map_err(|error| failed(&error))?;
            let objects = self.engine.objects().map_err(|error| failed(&error))?;
            let resources: Vec<_> = objects
                .into_iter()
                .filter(|object| object.host_id.is_empty() && object.instance == instance)
                .filter(|object| selector.matches(&object.labels))
                .map(foreign_resource)
                .collect();
            Ok(ForeignListing { complete: order != Some(Act::Incomplete), instance, resources })
        }
    }
}

fn foreign_resource(object: Object) -> ForeignResource {
    ForeignResource { object: object.id, labels: object.labels, state: state(object.state) }
}
