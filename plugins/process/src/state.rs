//! The launchers' state files in this runtime's folder: read here, written by launchers alone.
use crate::{clear, groups, handle::check_uid, package::Tool};
use rustix::fs::{Mode, OFlags, openat};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};
use wharf_sdk::{
    Error, Result,
    launch::{State, cgroup_name, groups_within},
};

/// A state file is a few hundred bytes; what is much larger is none.
const MAX_STATE_BYTES: u64 = 1024 * 1024;

/// The folder of state files.
#[derive(Clone, Debug)]
pub(crate) struct StateFiles {
    folder: PathBuf,
    host_id: String,
}

/// All states that could be read.
#[derive(Debug)]
pub(crate) struct AllStates {
    /// They, in the order of their uids.
    pub(crate) states: Vec<State>,
    /// True if none was left out because it could not be read.
    pub(crate) complete: bool,
}

impl StateFiles {
    pub(crate) const fn new(folder: PathBuf, host_id: String) -> Self {
        Self { folder, host_id }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the state of a workload is kept.
    pub(crate) fn path(&self, uid: &str) -> PathBuf {
        self.folder.join(format!("{uid}.json"))
    }

    /// The folder of a workload's own.
    pub(crate) fn work_dir(&self, uid: &str) -> PathBuf {
        self.folder.join(format!("{uid}.work"))
    }

    /// Where the tool that fetches a package keeps it, shared by the workloads that run that package and no others. Not
    /// the user's own: what a package has written there, the user would run without a sandbox.
    pub(crate) fn package_dir(&self, tool: Tool, package: &str) -> PathBuf {
        self.folder.join("packages").join(tool.folder_of(package))
    }

    /// The state of a workload of this host. None: there is none, which is evidence; an error is none.
    pub(crate) fn read(&self, uid: &str) -> Result<Option<State>> {
        check_uid(uid)?;
        match self.read_path(&self.path(uid)) {
            Ok(state) if state.uid == uid && state.host_id == self.host_id => Ok(Some(state)),
            Ok(_) => Err(Error::internal(format!(
                "the state file '{}' is of another workload or host",
                self.path(uid).display()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                // Unreadable is not missing, whatever the kind says: the code must not be `not_found`.
                Err(Error::internal(format!(
                    "the state file '{}' cannot be read: {error}",
                    self.path(uid).display()
                )))
            }
        }
    }

    /// All states of this host.
    pub(crate) fn read_all(&self) -> io::Result<AllStates> {
        let mut all = AllStates { states: Vec::new(), complete: true };
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Some(uid) = uid_of(&path) {
                // One that is not found was removed since the folder was read.
                self.add(&mut all, uid, self.read_path(&path));
            }
        }
        all.states.sort_by(|a, b| a.uid.cmp(&b.uid));
        Ok(all)
    }

    /// The states of these workloads, as far as they are this host's.
    ///
    /// # Errors
    /// Where the folder itself cannot be opened: then no file in it says that it is not there.
    pub(crate) fn read_these(&self, uids: &BTreeSet<String>) -> io::Result<AllStates> {
        let folder = File::open(&self.folder)?;
        let mut all = AllStates { states: Vec::new(), complete: true };
        // A uid that is none names no file.
        for uid in uids.iter().filter(|uid| check_uid(uid).is_ok()) {
            let opened =
                openat(&folder, format!("{uid}.json"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            self.add(&mut all, uid, opened.map_err(Into::into).and_then(|file| read_file(file.into())));
        }
        Ok(all)
    }

    /// Adds what was read of a workload's file, if it is this host's.
    fn add(&self, all: &mut AllStates, uid: &str, read: io::Result<State>) {
        match read {
            Ok(state) if state.host_id != self.host_id => {}
            Ok(state) if state.uid == uid => all.states.push(state),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => {
                tracing::warn!(path = %self.path(uid).display(), "a state file cannot be read");
                all.complete = false;
            }
        }
    }

    /// Removes the control groups of a workload, which a launcher that was killed could not: those that are recorded, and
    /// those that it had not come to record. Only such as carry its name: a record is no licence to remove anything else.
    pub(crate) fn clear_groups(&self, uid: &str) {
        if check_uid(uid).is_err() {
            return;
        }
        let name = cgroup_name(uid);
        let recorded = self.read(uid).ok().flatten().map(|state| state.cgroups).unwrap_or_default();
        let recorded = recorded.into_iter().filter(|folder| folder.ends_with(&name));
        let recorded = recorded.flat_map(|folder| groups_within(&folder));
        for folder in groups::of(uid).into_iter().chain(recorded) {
            match fs::remove_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %folder.display(), "a control group cannot be removed");
                }
                _ => {}
            }
        }
    }

    /// Removes the state of a workload, its control groups and its folder, durably. Missing is success. What of the folder
    /// cannot be removed keeps nobody from anything: it is told in the log.
    pub(crate) fn remove(&self, uid: &str) -> Result<()> {
        check_uid(uid)?;
        self.clear_groups(uid);
        self.clear_folder(uid);
        let path = self.path(uid);
        for path in [path.with_extension("json.tmp"), path] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&format!("'{}' cannot be removed", path.display()), &error));
                }
                _ => {}
            }
        }
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Error::io("the removal of a state file cannot be made durable", &error))
    }

    /// Removes the folder of a workload's own. What cannot be removed is put aside, so that it is in the way of no later
    /// deployment, and tried again with the next one.
    fn clear_folder(&self, uid: &str) {
        let (folder, aside) = (self.work_dir(uid), self.folder.join(format!("{uid}.left")));
        if let Err(error) = clear::remove_all(&aside) {
            tracing::warn!(%error, path = %aside.display(), "what an earlier deployment left cannot be removed");
        }
        let Err(error) = clear::remove_all(&folder) else { return };
        tracing::warn!(%error, path = %folder.display(), "not all that the workload wrote can be removed; the rest stays");
        let put_aside = fs::create_dir(&aside).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        });
        let moved = put_aside.and_then(|()| {
            // Numbers alone are there, and what was put there first is looked at last.
            let mut names = (0_u32..).map(|number| aside.join(number.to_string()));
            let free = names.find(|path| !path.exists()).unwrap_or_else(|| aside.clone());
            fs::rename(&folder, free)
        });
        if let Err(error) = moved {
            // Nothing came into it, unless something did before.
            let _ = fs::remove_dir(&aside);
            tracing::warn!(%error, path = %folder.display(), "it cannot be put aside");
        }
    }

    fn read_path(&self, path: &Path) -> io::Result<State> {
        read_file(File::open(path)?)
    }
}

fn read_file(file: File) -> io::Result<State> {
    let mut text = Vec::new();
    file.take(MAX_STATE_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn uid_of(path: &Path) -> Option<&str> {
    let uid = path.file_name()?.to_str()?.strip_suffix(".json")?;
    check_uid(uid).is_ok().then_some(uid)
}
