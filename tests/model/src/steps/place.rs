//! Files, locks and engines: the operations that the participants' steps consist of.

use crate::mutations::{Mutation, Rules};
use crate::state::{Config, Engine, Holder, Lock, Place, Record, Resource, State};

/// Unlinked files are told apart by so many generations; more would only be renumbered.
const GENERATIONS: u8 = 3;

impl Lock {
    /// True if anybody holds the file that has the name now: a probe sees that.
    pub(crate) fn is_held(&self) -> bool {
        self.holders.iter().any(|holder| holder.generation == self.generation)
    }

    /// Takes the lock for a process, on the file that it opened. The holder is handed on with its copies.
    pub(crate) fn take(&mut self, opened: Option<u8>, mut holder: Holder) -> Option<()> {
        holder.generation = opened.unwrap_or(self.generation);
        if self.holders.iter().any(|other| other.generation == holder.generation) {
            return None;
        }
        self.holders.push(holder);
        self.holders.sort_unstable_by_key(|holder| (holder.generation, holder.process, holder.supervisor));
        Some(())
    }

    /// Releases a participant's hold, for all copies: an unlock, not a close.
    pub(crate) fn unlock(&mut self, rules: &Rules, is_mine: impl Fn(&Holder) -> bool) {
        let before = self.holders.len();
        self.holders.retain(|holder| !is_mine(holder));
        // The process that releases it unlinks the name, whatever file it is of by now: the mistake of the mutation.
        if self.holders.len() < before && rules.has(Mutation::LockFileUnlinked) {
            self.generation = (self.generation + 1) % GENERATIONS;
        }
    }

    /// Closes the copies of one participant; a lock without copies is free.
    pub(crate) fn close(&mut self, close: impl Fn(&mut Holder)) {
        self.holders.iter_mut().for_each(close);
        self.holders.retain(|holder| holder.process.is_some() || holder.supervisor.is_some());
    }
}

impl Place {
    /// The resources that carry a uid in a runtime.
    pub(crate) fn labelled(&self, config: Config) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(move |it| it.uid == config.uid && it.runtime == config.owner)
    }

    /// The object of a handle.
    pub(crate) fn object(&self, handle: Option<u8>) -> Option<&Resource> {
        self.resources.iter().find(|resource| Some(resource.object) == handle)
    }

    /// True if something of a creation runs in its owner.
    pub(crate) fn runs(&self, config: Config) -> bool {
        self.labelled(config).any(|resource| resource.running)
    }

    /// Makes a resource.
    pub(crate) fn make(&mut self, runtime: usize, uid: u8) -> u8 {
        self.objects += 1;
        self.resources.push(Resource { runtime, uid, object: self.objects, running: false });
        self.objects
    }

    /// True if its engine has finished earlier requests: until then a question about it is not answered.
    pub(crate) fn is_settled(&self, rules: &Rules) -> bool {
        self.late.is_none() || rules.has(Mutation::EngineOutlivesItsClients)
    }

    /// Stops all that a command knows of a creation: by uid, or by handle alone where that is the mutation.
    pub(crate) fn stop_all(&mut self, config: Config, handle: Option<u8>, rules: &Rules) {
        let by_handle = rules.has(Mutation::HandleAlone);
        for resource in &mut self.resources {
            if is_known(resource, config, handle, by_handle) {
                resource.running = false;
            }
        }
    }

    /// Removes all that a command knows of a creation.
    pub(crate) fn remove_all(&mut self, config: Config, handle: Option<u8>, rules: &Rules) {
        let by_handle = rules.has(Mutation::HandleAlone);
        self.resources.retain(|resource| !is_known(resource, config, handle, by_handle));
    }
}

fn is_known(resource: &Resource, config: Config, handle: Option<u8>, by_handle: bool) -> bool {
    if by_handle {
        Some(resource.object) == handle
    } else {
        resource.uid == config.uid && resource.runtime == config.owner
    }
}

impl State {
    /// True if the owner can be asked, and is the recorded instance.
    pub(crate) fn answers(&self, owner: usize) -> bool {
        self.engines[owner] == Engine::Recorded
    }

    /// One list after an effect, with its instance. True if the instance is the recorded one, and nothing of the creation
    /// is left but `allowed`.
    pub(crate) fn proves(
        &self,
        config: Config,
        name: usize,
        rules: &Rules,
        allowed: impl Fn(&Resource) -> bool,
    ) -> Option<bool> {
        if !self.answers(config.owner) {
            return Some(false);
        }
        let place = &self.places[name];
        place.is_settled(rules).then_some(())?;
        let unseen =
            [Mutation::ProofApartFromTheLook, Mutation::HandleAlone].into_iter().any(|it| rules.has(it));
        Some(unseen || place.labelled(config).all(allowed))
    }

    /// The second half of a read-modify-write: replaces the record. Notes if it was made from another record than the one
    /// it replaces.
    pub(crate) fn replace(&mut self, name: usize, base: Option<Record>, mut record: Record) {
        let place = &mut self.places[name];
        if place.status.map(version) != base.map(version) {
            self.ghost.lost_update = true;
        }
        record.revision = base.map_or(0, |base| base.revision) + 1;
        place.status = Some(record);
    }
}

/// The part of a record that compare-and-set compares.
pub(crate) fn version(record: Record) -> (u8, u8) {
    (record.uid, record.revision)
}
