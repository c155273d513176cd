//! Trials of networks: an object that is there for a while, and faulty variants of that.
use crate::{
    ordered_call::A_WHILE,
    scripted::{Scripted, failed},
};
use std::{collections::BTreeMap, future::Future};
use wharf_sdk::{NetworkVerdict, Probe, Result, document::operation};
use wharf_test_engine::{Act, Engine, Flaw, Object, State};

/// The object of a trial, which goes when this is dropped.
struct Trial {
    engine: Engine,
    id: String,
    stays: bool,
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.stays {
            let _ = self.engine.remove(&self.id);
        }
    }
}

impl Scripted {
    fn trial(&self, instance: &str) -> Object {
        let uid = format!("{:032x}", std::process::id());
        Object {
            id: format!("trial-{uid}"),
            instance: instance.to_owned(),
            uid,
            host_id: self.host_id.clone(),
            name: "trial".to_owned(),
            labels: BTreeMap::new(),
            state: State::Running,
            exit: None,
        }
    }
}

impl Probe for Scripted {
    fn probe_network(&self) -> impl Future<Output = Result<NetworkVerdict>> + Send {
        let order = self.called(operation::PROBE_NETWORK, "");
        async move {
            let order = order.in_future().await?;
            let is = |flaw| order == Some(Act::Flawed(flaw));
            let instance = self.engine.instance().map_err(|error| failed(&error))?;
            let object = self.trial(&instance);
            self.engine.make(&object).map_err(|error| failed(&error))?;
            let (engine, id) = (self.engine.clone(), object.id);
            let mut trial = Trial { engine, id, stays: is(Flaw::LeavesTrialGivenUp) };
            tokio::time::sleep(A_WHILE).await;
            trial.stays = is(Flaw::LeavesTrial);
            drop(trial);
            let instance = if order == Some(Act::OtherInstance) { "a lie".to_owned() } else { instance };
            Ok(NetworkVerdict { instance, enforced: true, at_ms: 1, how: "nothing gets out".to_owned() })
        }
    }
}
