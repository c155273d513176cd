//! An edit of a workload that is not settled: its RunConfig is the new one, and has the one before in
//! [`RunConfig::previous`] until the workload was ready once.
//!
//! A command, reconciliation or the supervisor that finds it so settles it before anything else. It is a pure
//! function of the two records, so that it does not matter who died, and where.
use crate::phase::Phase;
use crate::run_config::RunConfig;

/// The end of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditEnd {
    /// The edited workload was ready: it stays as it is.
    Kept,
    /// It was not ready: it becomes what it was before.
    Undone,
}

impl RunConfig {
    /// The end of an edit that is not settled, by the recorded phase; none where there is none. An edit stops the
    /// workload before it writes its RunConfig, so `running` can only be recorded of the new one.
    #[must_use]
    pub fn edit_end(&self, phase: Option<Phase>) -> Option<EditEnd> {
        self.previous.as_ref()?;
        Some(if phase == Some(Phase::Running) { EditEnd::Kept } else { EditEnd::Undone })
    }

    /// The workload after its edit was settled: with its owner and its access as they are now, which are no part of an edit.
    #[must_use]
    pub fn settled(&self, end: EditEnd) -> Self {
        let mut settled = match (end, &self.previous) {
            (EditEnd::Undone, Some(previous)) => (**previous).clone(),
            (EditEnd::Kept, _) | (EditEnd::Undone, None) => self.clone(),
        };
        settled.previous = None;
        settled.proxy_auth = self.proxy_auth;
        if let Some(owner) = self.owner() {
            settled.set_owner(owner);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Owner;
    use crate::proxy_auth::ProxyAuth;
    use crate::run_config::RunConfigError;
    use crate::uid::Uid;

    fn edited() -> RunConfig {
        let before = RunConfig::new(Uid::random().unwrap(), "demo".parse().unwrap(), "old");
        RunConfig { server: "new".to_owned(), previous: Some(Box::new(before.clone())), ..before }
    }

    #[test]
    fn an_edit_is_kept_if_its_workload_was_ready_and_else_undone() {
        let edited = edited();
        for phase in Phase::ALL.into_iter().map(Some).chain([None]) {
            let end = edited.edit_end(phase).unwrap();
            let is_kept = phase == Some(Phase::Running);
            assert_eq!(end, if is_kept { EditEnd::Kept } else { EditEnd::Undone }, "{phase:?}");
            let settled = edited.settled(end);
            assert_eq!(settled.server, if is_kept { "new" } else { "old" }, "{phase:?}");
            assert_eq!(settled.edit_end(phase), None, "{phase:?}");
        }
    }

    #[test]
    fn owner_and_access_are_those_of_now() {
        let mut edited = edited();
        let owner = Owner {
            runtime_name: "docker".to_owned(),
            runtime_instance: "another".to_owned(),
            runtime_endpoint: "there".to_owned(),
        };
        edited.set_owner(owner.clone());
        edited.proxy_auth = Some(ProxyAuth::Bearer);
        let undone = edited.settled(EditEnd::Undone);
        assert_eq!((undone.owner(), undone.auth()), (Some(owner), ProxyAuth::Bearer));
    }

    #[test]
    fn the_one_before_is_the_same_workload_and_has_none_before_it() {
        assert_eq!(edited().validate(), Ok(()));
        let wrong: [fn(&mut RunConfig); 3] = [
            |previous| previous.uid = Uid::random().unwrap(),
            |previous| previous.name = "other".parse().unwrap(),
            |previous| previous.previous = Some(Box::new(previous.clone())),
        ];
        for change in wrong {
            let mut edited = edited();
            change(edited.previous.as_mut().unwrap());
            assert_eq!(edited.validate(), Err(RunConfigError::OtherBefore));
        }
        let mut nothing = edited();
        nothing.previous.as_mut().unwrap().server.clear();
        assert_eq!(nothing.validate(), Err(RunConfigError::NothingToRun));
    }
}
