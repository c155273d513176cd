//! Objects that another product made: without a host's id, found by their labels.
use crate::runtime::{Scripted, failed, state};
use std::future::Future;
use wharf_sdk::document::operation;
use wharf_sdk::{
    Error, Exit, Handle, Listing, Observation, Result, Sought, Stranger, Strangers, TakenOver, Takeover,
};
use wharf_test_engine::{Act, Object};

/// The version of the handles of objects that were taken over.
const VERSION: u32 = 2;

/// The id of the object of a handle, if it was taken over.
pub(crate) fn id_of(handle: &Handle) -> Option<&str> {
    handle.data.as_str().filter(|_| handle.version == VERSION)
}

/// An object that was taken over, as if it carried the labels that its handle stands for.
pub(crate) fn of_handle(runtime: &Scripted, handle: &Handle, id: &str) -> Result<Object> {
    let found = runtime.engine.object(id).map_err(|error| failed(&error))?;
    found
        .filter(|object| object.host_id.is_empty())
        .map(|object| Object { uid: handle.uid.clone(), host_id: runtime.host_id.clone(), ..object })
        .ok_or_else(|| Error::not_found(format!("the engine has no {id} that was taken over")))
}

fn stranger(object: Object) -> Stranger {
    Stranger {
        handle: Handle { uid: String::new(), version: VERSION, data: object.id.clone().into() },
        object: object.id,
        labels: object.labels,
        image: "example/scripted:1".to_owned(),
        state: state(object.state),
        address: None,
    }
}

fn observation(handle: &Handle, object: Object) -> Observation {
    Observation {
        uid: object.uid,
        host_id: object.host_id,
        handle: Some(handle.clone()),
        parent: None,
        object: object.id,
        state: state(object.state),
        exit: object.exit.map(|code| Exit { code: Some(code), ..Exit::default() }),
        started_at_ms: None,
        address: None,
        confinement: None,
    }
}

impl Takeover for Scripted {
    fn strangers(&self, sought: &Sought) -> impl Future<Output = Result<Strangers>> + Send {
        let told = self.called(operation::STRANGERS, "");
        async move {
            let told = told.in_future().await?;
            let instance = self.engine.instance().map_err(|error| failed(&error))?;
            let objects = self.engine.objects().map_err(|error| failed(&error))?;
            let is_sought = |object: &Object| {
                sought.labels.iter().all(|(name, value)| object.labels.get(name) == Some(value))
            };
            let found: Vec<_> = objects
                .into_iter()
                .filter(|object| object.host_id.is_empty() && object.instance == instance)
                .filter(|object| is_sought(object))
                .map(stranger)
                .collect();
            Ok(Strangers { complete: told != Some(Act::Incomplete), instance, found })
        }
    }

    fn taken(&self, taken: &TakenOver) -> impl Future<Output = Result<Listing>> + Send {
        let told = self.called(operation::TAKEN, "");
        async move {
            let told = told.in_future().await?;
            let instance = self.engine.instance().map_err(|error| failed(&error))?;
            let seen = taken.handles.iter().filter_map(|handle| {
                let object = of_handle(self, handle, id_of(handle)?).ok()?;
                Some(observation(handle, object))
            });
            let mut workloads: Vec<Observation> = seen.collect();
            match told {
                Some(Act::Incomplete) => workloads.clear(),
                Some(Act::Twice) => workloads.extend(workloads.clone()),
                Some(Act::OtherUid) => workloads.iter_mut().for_each(|seen| seen.uid = "0".repeat(32)),
                _ => {}
            }
            let instance = if told == Some(Act::OtherInstance) { "a lie".to_owned() } else { instance };
            Ok(Listing { complete: told != Some(Act::Incomplete), instance, workloads })
        }
    }
}
