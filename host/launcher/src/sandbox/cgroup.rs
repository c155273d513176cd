//! Limits of a workload: control groups of its own, version 2 or 1, wherever this user may make them.
//!
//! A group lies beside or below the launcher's own and has the workload's uid in its name, so that the workload of a
//! process in it is known. Only a group can limit a workload as a whole: the limits of setrlimit(2) count for a single
//! process, or for all processes of a user.
use crate::sandbox::plan::Refusal;
use crate::sandbox::processes;
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use wharf_failpoint::{Point, reach};
use wharf_sdk::{
    Confinement, Measure,
    launch::{Limits, cgroup_name, groups_within},
    memory_kills,
};

/// The period over which processor time is counted, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// The smallest share of the period that the kernel accepts.
const MIN_CPU_QUOTA_US: u64 = 1_000;
const UNIFIED: &str = "cgroup2";
const LEGACY: &str = "cgroup";

/// The groups of one workload. Dropping this removes them, unless they are kept.
#[derive(Debug)]
pub(crate) struct Groups {
    folders: BTreeSet<PathBuf>,
    /// The limit of processes where no group has it, to be set by [`crate::sandbox::processes`].
    process_limit: Option<u64>,
}

/// One limit: its name in a specification, the controller, and the files with their values in each version. The first file
/// must exist; the kernel may have been built without the others.
struct Limit {
    field: &'static str,
    controller: &'static str,
    /// The user asked for it: where it cannot be enforced, the workload is refused. If not, it is the usual limit, which is
    /// left out there.
    is_asked: bool,
    unified: Vec<(&'static str, String)>,
    legacy: Vec<(&'static str, String)>,
}

impl Groups {
    /// Makes empty groups with these limits, and adds to `confinement` which limits are enforced, and which are not.
    pub(crate) fn make(
        limits: &Limits,
        uid: &str,
        has_namespaces: bool,
        confinement: &mut Confinement,
    ) -> Result<Self, Refusal> {
        let mut groups = Self { folders: BTreeSet::new(), process_limit: None };
        let hierarchies = Hierarchies::read();
        for limit in wanted(limits, has_namespaces) {
            let what = limit.field.to_owned();
            match hierarchies.apply(&limit, uid) {
                Ok((folder, version)) => {
                    groups.folders.insert(folder);
                    confinement.enforced.push(Measure { what, how: format!("cgroup {version}") });
                }
                Err(_) if limit.controller == "pids" && has_namespaces && processes::are_counted() => {
                    groups.process_limit = limits.pids.or(limits.usual_pids);
                    let how = "RLIMIT_NPROC in a user namespace".to_owned();
                    confinement.enforced.push(Measure { what, how });
                }
                Err(reason) if limit.is_asked && !limits.allow_weaker => {
                    return Err(Refusal { field: limit.field, reason });
                }
                Err(how) => confinement.weaker.push(Measure { what, how }),
            }
        }
        Ok(groups)
    }

    /// Their folders.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.folders.iter()
    }

    /// The limit of processes that is to be set for the workload's user.
    pub(crate) fn process_limit(&self) -> Option<u64> {
        self.process_limit
    }

    /// Their folders; the groups are not removed.
    pub(crate) fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.folders).into_iter().collect()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        remove(&self.folders);
    }
}

/// Puts this process, which has one thread, into these groups.
///
/// In version 1, moving a thread does not take the lock that moving a process takes. For that lock, the kernel waits until
/// all processors have switched tasks: several to a hundred milliseconds (`cgroup_procs_write_start` of Linux).
pub(crate) fn join(folders: &[PathBuf]) -> io::Result<()> {
    const MYSELF: &str = "0";
    folders.iter().try_for_each(|folder| {
        reach(Point::GroupJoinBefore);
        let joined = match write(&folder.join("tasks"), MYSELF) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write(&folder.join("cgroup.procs"), MYSELF)
            }
            joined => joined,
        };
        reach(Point::GroupJoinAfter);
        joined
    })
}

/// Whether the kernel has killed a process of these groups for want of memory. The count goes with the groups.
pub(crate) fn had_memory_kills<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> bool {
    // Of version 2, and of version 1.
    const COUNTED_IN: [&str; 2] = ["memory.events", "memory.oom_control"];
    folders.into_iter().any(|folder| {
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        COUNTED_IN.into_iter().any(|file| memory_kills(&read(file)) > 0)
    })
}

/// Removes groups without processes, with those that the workload has made below them.
pub(crate) fn remove<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) {
    for folder in folders {
        reach(Point::GroupRemoveBefore);
        for folder in groups_within(folder) {
            let _ = fs::remove_dir(folder);
        }
        reach(Point::GroupRemoveAfter);
    }
}

fn wanted(limits: &Limits, has_namespaces: bool) -> Vec<Limit> {
    let mut wanted = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        let bytes = bytes.to_string();
        wanted.push(Limit {
            field: "memory_bytes",
            controller: "memory",
            is_asked: true,
            unified: vec![
                ("memory.max", bytes.clone()),
                ("memory.swap.max", "0".to_owned()),
                // The kernel kills the whole group: a server without one of its processes does not work.
                ("memory.oom.group", "1".to_owned()),
            ],
            legacy: vec![("memory.limit_in_bytes", bytes.clone()), ("memory.memsw.limit_in_bytes", bytes)],
        });
    }
    if let Some(cpus) = limits.cpus {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a cast of a float saturates, and what is too much for the kernel is refused by it"
        )]
        let quota = ((cpus * CPU_PERIOD_US as f64) as u64).max(MIN_CPU_QUOTA_US);
        wanted.push(Limit {
            field: "cpus",
            controller: "cpu",
            is_asked: true,
            unified: vec![("cpu.max", format!("{quota} {CPU_PERIOD_US}"))],
            legacy: vec![
                ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ],
        });
    }
    if let Some(pids) = limits.pids.or(limits.usual_pids) {
        // With namespaces, the relay (the program's parent in its pid namespace) is in the group and is none of the workload's
        // processes.
        let pids = pids.saturating_add(u64::from(has_namespaces));
        wanted.push(Limit {
            field: "pids_limit",
            controller: "pids",
            is_asked: limits.pids.is_some(),
            unified: vec![("pids.max", pids.to_string())],
            legacy: vec![("pids.max", pids.to_string())],
        });
    }
    wanted
}

/// The place of this process in the trees of control groups.
struct Hierarchies {
    /// The mounted ones that this process is in.
    trees: Vec<Tree>,
}

/// One mounted tree of control groups.
struct Tree {
    /// It is of version 2.
    is_unified: bool,
    /// The options of the mount: in version 1, the controllers of the tree are among them.
    controllers: Vec<String>,
    /// The topmost folder of it that can be seen here.
    mount_point: PathBuf,
    /// The folder of this process's own group; the mount point if that folder cannot be seen here.
    own: PathBuf,
}

impl Hierarchies {
    fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    /// Parses the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`, proc(5) and cgroups(7).
    fn parse(mounts: &str, memberships: &str) -> Self {
        let trees = mounts.lines().filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mut place = place.split(' ').skip(3);
            let (root, mount_point) = (place.next()?, PathBuf::from(place.next()?));
            let mut kind = kind.split(' ');
            let is_unified = match kind.next()? {
                UNIFIED => true,
                LEGACY => false,
                _ => return None,
            };
            let options = kind.nth(1).unwrap_or_default();
            let controllers: Vec<String> = options.split(',').map(str::to_owned).collect();
            let path = memberships.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (listed_controllers, path) = (fields.next()?, fields.next()?);
                let is_this_tree = match is_unified {
                    true => listed_controllers.is_empty(),
                    false => {
                        listed_controllers.split(',').any(|name| controllers.iter().any(|it| it == name))
                    }
                };
                is_this_tree.then_some(path)
            })?;
            // If only a part of the tree is mounted, the path within that part is used.
            let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
            let own = mount_point.join(below);
            // Situation: in a container, the path may be one that the machine sees, and no folder of that path is in the part that
            // is mounted here. Conclusion: the top of that part stands for this process's own group.
            let own = if own.is_dir() { own } else { mount_point.clone() };
            Some(Tree { is_unified, controllers, mount_point, own })
        });
        Self { trees: trees.collect() }
    }

    /// Makes the group for a limit; returns its folder, and the version.
    fn apply(&self, limit: &Limit, uid: &str) -> Result<(PathBuf, &'static str), String> {
        let mut reasons = Vec::new();
        for tree in &self.trees {
            let (made, files, version) = match tree.is_unified {
                true => (tree.make_unified(limit.controller, uid), &limit.unified, "v2"),
                false if tree.controllers.iter().any(|it| it == limit.controller) => {
                    (make(&tree.own, uid), &limit.legacy, "v1")
                }
                false => continue,
            };
            match made.and_then(|folder| set(&folder, files).map(|()| folder)) {
                Ok(folder) => return Ok((folder, version)),
                Err(error) => reasons.push(format!("{version}: {error}")),
            }
        }
        let why = if reasons.is_empty() { "none is mounted".to_owned() } else { reasons.join("; ") };
        Err(format!("no control group for {} can be made ({why})", limit.controller))
    }
}

impl Tree {
    /// In version 2, a group may have limits for groups below it, or members, but not both; only the root may have both. So
    /// the group is made below this process's own group if that is the root, and otherwise below the nearest group above
    /// that has no members.
    ///
    /// Situation: the kernel itself refuses that for memory alone. It accepts `pids` and `cpu` beside members, for groups of
    /// threads, and then lets no process enter the group below (`EOPNOTSUPP`, "domain invalid" in `cgroup.type`).
    /// Conclusion: whether there are members is asked first.
    fn make_unified(&self, controller: &str, uid: &str) -> io::Result<PathBuf> {
        let mut failed = io::Error::other(format!("it has no controller '{controller}'"));
        for parent in self.own.ancestors().take_while(|folder| folder.starts_with(&self.mount_point)) {
            let has = |file: &str| {
                let listed = fs::read_to_string(parent.join(file)).unwrap_or_default();
                listed.split_whitespace().any(|it| it == controller)
            };
            if !has("cgroup.controllers") {
                continue;
            }
            if has_members(parent) {
                failed = io::Error::other(format!("{} has processes of its own", parent.display()));
                continue;
            }
            if !has("cgroup.subtree_control")
                && let Err(error) = write(&parent.join("cgroup.subtree_control"), &format!("+{controller}"))
            {
                failed = error;
                continue;
            }
            match make(parent, uid) {
                Ok(folder) => return Ok(folder),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// Whether a group of version 2 has processes and is not the root, which has no type. In a group of threads they cannot be
/// read.
fn has_members(folder: &Path) -> bool {
    let is_empty = || fs::read(folder.join("cgroup.procs")).is_ok_and(|members| members.is_empty());
    folder.join("cgroup.type").exists() && !is_empty()
}

/// Makes the workload's group. One that exists is from an earlier deployment of the same workload: it is used again, and the
/// caller writes the limits of this deployment over the old ones.
fn make(parent: &Path, uid: &str) -> io::Result<PathBuf> {
    let folder = parent.join(cgroup_name(uid));
    reach(Point::GroupMakeBefore);
    let made = fs::create_dir(&folder);
    reach(Point::GroupMakeAfter);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

fn set(folder: &Path, files: &[(&'static str, String)]) -> io::Result<()> {
    for (at, (file, value)) in files.iter().enumerate() {
        match write(&folder.join(file), value) {
            Err(error) if at > 0 && error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_of_version_1_and_2_are_told_apart() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 30 0:28 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::parse(mounts, "4:memory:/a/b\n2:cpu,cpuacct:/\n0::/user.slice\n");
        let kinds: Vec<bool> = found.trees.iter().map(|tree| tree.is_unified).collect();
        assert_eq!(kinds, [false, false, true]);
        assert!(found.trees[0].controllers.iter().any(|it| it == "cpu"));
    }

    /// As systemd has them: a slice without processes, and in it the scope of a session with this process.
    #[test]
    fn a_group_is_made_beside_a_group_with_processes_and_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let slice = root.path().join("a.slice");
        let scope = slice.join("b.scope");
        fs::create_dir_all(&scope).unwrap();
        let has = |folder: &Path, file: &str, text: &str| {
            let mut made = fs::File::create(folder.join(file)).unwrap();
            made.write_all(text.as_bytes()).unwrap();
        };
        for folder in [root.path(), &slice, &scope] {
            has(folder, "cgroup.controllers", "cpu memory pids\n");
            has(folder, "cgroup.procs", "17\n");
            has(folder, "cgroup.subtree_control", if folder == scope { "" } else { "memory pids\n" });
        }
        has(&slice, "cgroup.procs", "");
        has(&slice, "cgroup.type", "domain\n");
        has(&scope, "cgroup.type", "domain\n");
        let made_from = |own: &Path| {
            let (mount_point, own) = (root.path().to_owned(), own.to_owned());
            Tree { is_unified: true, controllers: Vec::new(), mount_point, own }
                .make_unified("pids", "7")
                .unwrap()
        };
        assert_eq!(made_from(&scope), slice.join("wharf-7"));
        assert_eq!(fs::read(scope.join("cgroup.subtree_control")).unwrap(), b"", "the scope stays as it is");
        assert_eq!(made_from(&slice), slice.join("wharf-7"));
        has(&slice, "cgroup.procs", "18\n");
        assert_eq!(made_from(&scope), root.path().join("wharf-7"), "the root may have processes");
    }

    #[test]
    fn kills_for_want_of_memory_are_counted_in_either_version() {
        let version_2 = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n";
        let version_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        assert_eq!([version_2, version_1, "max 7\noom_kill 0\n", ""].map(memory_kills), [2, 1, 0, 0]);
        assert!(!had_memory_kills(&[PathBuf::from("/no/such/group")]));
    }

    #[test]
    fn only_the_requested_limits_are_written_to_the_control_group() {
        assert!(wanted(&Limits::default(), true).is_empty());
        let limits = Limits { cpus: Some(0.001), usual_pids: Some(7), ..Limits::default() };
        let with_relay = wanted(&limits, true);
        assert_eq!(with_relay[1].unified, [("pids.max", "8".to_owned())]);
        let wanted = wanted(&limits, false);
        assert_eq!(wanted[1].unified, [("pids.max", "7".to_owned())]);
        assert_eq!(wanted[0].unified, [("cpu.max", "1000 100000".to_owned())]);
        assert_eq!((wanted[1].field, wanted[1].is_asked), ("pids_limit", false));
    }
}
