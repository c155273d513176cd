//! [`StateFiles`]: the launchers' state files in this runtime's folder. This module reads and removes them; only launchers
//! write them.
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

/// A state file is a few hundred bytes; a much larger one is a fault.
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
    /// The states, in the order of their uids.
    pub(crate) states: Vec<State>,
    /// True if no state was left out because it could not be read.
    pub(crate) complete: bool,
}

impl StateFiles {
    pub(crate) const fn new(folder: PathBuf, host_id: String) -> Self {
        Self { folder, host_id }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a workload's state file.
    pub(crate) fn path(&self, uid: &str) -> PathBuf {
        self.folder.join(format!("{uid}.json"))
    }

    /// The workload's own folder.
    pub(crate) fn work_dir(&self, uid: &str) -> PathBuf {
        self.folder.join(format!("{uid}.work"))
    }

    /// The folder in which a tool keeps a package. Only workloads that run this package share it. It is not the user's own
    /// cache: a package could write into that, and the user would later run it without a sandbox.
    pub(crate) fn package_dir(&self, tool: Tool, package: &str) -> PathBuf {
        self.folder.join("packages").join(tool.folder_of(package))
    }

    /// The state of a workload of this host. None is evidence that there is no state; an error is not.
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
                // An unreadable file is not a missing one: the error must not be `not_found`, whatever kind the system
                // gave.
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
                // If the file is not found, it was removed since the folder was read.
                self.add(&mut all, uid, self.read_path(&path));
            }
        }
        all.states.sort_by(|a, b| a.uid.cmp(&b.uid));
        Ok(all)
    }

    /// The states of these workloads, if they are this host's.
    ///
    /// # Errors
    /// The folder cannot be opened: then a missing file in it is no evidence.
    pub(crate) fn read_these(&self, uids: &BTreeSet<String>) -> io::Result<AllStates> {
        let folder = File::open(&self.folder)?;
        let mut all = AllStates { states: Vec::new(), complete: true };
        // An invalid uid cannot be the name of a file.
        for uid in uids.iter().filter(|uid| check_uid(uid).is_ok()) {
            let opened =
                openat(&folder, format!("{uid}.json"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            self.add(&mut all, uid, opened.map_err(Into::into).and_then(|file| read_file(file.into())));
        }
        Ok(all)
    }

    /// Adds the state that was read from a workload's file, if it is this host's.
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

    /// Removes the control groups of a workload, which a killed launcher could not remove: those on record, and those that
    /// it had not recorded yet. Only groups with the workload's name are removed, whatever a record says.
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

    /// Removes the state of a workload, its control groups and its folder, durably. A missing state is a success. If a part
    /// of the folder cannot be removed, that is logged and is no error.
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

    /// Removes the workload's own folder. If it cannot be removed, it is put aside, so that later deployments can make
    /// theirs; the next removal tries again.
    fn clear_folder(&self, uid: &str) {
        let (folder, aside) = (self.work_dir(uid), self.folder.join(format!("{uid}.left")));
        if let Err(error) = clear::remove_all(&aside) {
            tracing::warn!(%error, path = %aside.display(), "files of an earlier deployment cannot be removed");
        }
        let Err(error) = clear::remove_all(&folder) else { return };
        tracing::warn!(%error, path = %folder.display(), "not all that the workload wrote can be removed; the rest stays");
        let put_aside = fs::create_dir(&aside).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        });
        let moved = put_aside.and_then(|()| {
            // The names there are only numbers, counted up.
            let mut names = (0_u32..).map(|number| aside.join(number.to_string()));
            let free = names.find(|path| !path.exists()).unwrap_or_else(|| aside.clone());
            fs::rename(&folder, free)
        });
        if let Err(error) = moved {
            // Succeeds if the folder is empty, because nothing had to be put aside.
            let _ = fs::remove_dir(&aside);
            tracing::warn!(%error, path = %folder.display(), "it cannot be put aside");
        }
    }

    fn read_path(&self, path: &Path) -> io::Result<State> {
        read_file(File::open(path)?)
    }
}

/// Whether a launcher has recorded the end of its workload in this state file, or the file is gone.
///
/// A file that cannot be read tells neither.
pub(crate) fn has_ended(path: &Path) -> bool {
    match File::open(path).and_then(read_file) {
        Ok(state) => state.exit.is_some(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
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
