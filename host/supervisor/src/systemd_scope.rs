//! A scope of systemd for a supervisor, so that the end of the session or service that it was started from is not its own.
//!
//! `effects.rs` calls [`enter`] once, when the workload is ready and its command has been told. Nothing waits for it, and
//! nothing depends on it. Whatever a restart starts later is in the scope by birth. `busctl.rs` passes the call on. `doctor`
//! asks [`lingers`].
//!
//! Moved is only what is in the supervisor's very own control groups. A process in another one was put there by somebody:
//! by the launcher, for the workload's limits, which a move would lift. It must not know any runtime.
use crate::busctl;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use wharf_model::{Uid, WorkloadName};
use wharf_sdk::process_identity::ProcessStat;

/// There where systemd is the machine's init, sd_booted(3).
const BOOTED: &str = "/run/systemd/system";
/// A file for each user who lingers, of the user's name.
const LINGER: &str = "/var/lib/systemd/linger";
/// How many processes are moved: what the workload's are is not the supervisor's doing.
const MAX_PROCESSES: usize = 1024;
/// How long, and how often, to look whether the supervisor is in its scope: systemd answers first, and moves then.
const LOOKS: u32 = 30;
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long before the processes are listed again: none enters its group as late.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// How many digits of the uid are in a scope's name.
const UID_DIGITS: usize = 8;

/// The manager of units that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    System,
    User,
}

/// A process that is to be moved: its pid and start time.
type Member = (i32, u64);

/// Whether systemd manages the processes of this pid namespace. In a container that has the machine's `/run`, the same pids
/// would be those of other processes.
#[must_use]
pub fn is_booted() -> bool {
    let is_there = fs::symlink_metadata(BOOTED).is_ok_and(|found| found.is_dir());
    is_there && fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim_end() == "systemd")
}

/// Whether this process's user lingers: has a manager of units also while not logged in. None: that cannot be said.
#[must_use]
pub fn lingers() -> Option<bool> {
    let name = || Some(nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??.name);
    lingers_in(Path::new(LINGER), name)
}

fn lingers_in(folder: &Path, name: impl FnOnce() -> Option<String>) -> Option<bool> {
    match fs::read_dir(folder).map(|mut users| users.next().is_some()) {
        Ok(true) => {}
        Ok(false) => return Some(false),
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    }
    // Only now: a name may come from another machine, which may be slow.
    let name = name()?;
    // systemd escapes other names.
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '\\' | '"' | '\'');
    if name.is_empty() || !name.chars().all(is_plain) {
        return None;
    }
    match fs::symlink_metadata(folder.join(name)) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// Moves this supervisor and its descendants to a scope of their own, where that makes them live longer.
pub(crate) async fn enter(name: WorkloadName, uid: Uid) {
    if !is_booted() {
        return;
    }
    let unit = unit(&name, &uid, std::process::id());
    match moved_to(&unit, &name).await {
        Ok(true) => tracing::info!(%unit, "the supervisor is in a scope of its own"),
        Ok(false) => tracing::debug!("a scope of its own would not let the supervisor live longer"),
        Err(why) => {
            tracing::info!(%unit, %why, "no scope of its own: the supervisor may end with its session");
        }
    }
}

/// False if no scope is wanted.
async fn moved_to(unit: &str, name: &WorkloadName) -> Result<bool, String> {
    let user = rustix::process::geteuid().as_raw();
    let asked = blocking(move || manager(user, || lingers() == Some(true), &groups_of(own_pid())));
    let Some(manager) = asked.await? else { return Ok(false) };
    // Situation: what comes and goes may have ended when systemd moves, which then refuses all; and a process that is about to
    // enter the group of its limits is in the supervisor's for a moment. Conclusion: moved is what is listed twice.
    let first = blocking(members).await?;
    tokio::time::sleep(SETTLE_PAUSE).await;
    let stayed = both(&first, &blocking(members).await?);
    if let Err(why) = busctl::call(&arguments(manager, unit, name, &stayed), user).await {
        // One of them has ended all the same: once more, without it.
        let left = both(&stayed, &blocking(members).await?);
        if left == stayed {
            return Err(why);
        }
        busctl::call(&arguments(manager, unit, name, &left), user).await?;
    }
    for _ in 0..LOOKS {
        if is_in(unit, &groups_of(own_pid())) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Err("systemd has accepted it, and has moved nothing".to_owned())
}

/// Those that were there both times.
fn both(first: &[Member], second: &[Member]) -> Vec<Member> {
    first.iter().filter(|member| second.contains(member)).copied().collect()
}

async fn blocking<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())
}

/// The manager whose scope lives longer than the session that the supervisor is in, if there is one.
///
/// Situation: a user who does not linger has a manager only while logged in, and all of its units end with it. A session's
/// processes may outlive a logout (`KillUserProcesses=no`, as many systems have it). Conclusion: a supervisor goes from a
/// session to its user's manager only if that one stays.
fn manager(user: u32, lingers: impl FnOnce() -> bool, groups: &str) -> Option<Manager> {
    if user == 0 {
        return Some(Manager::System);
    }
    let is_there_already = is_in(&format!("user@{user}.service"), groups);
    (is_there_already || lingers()).then_some(Manager::User)
}

/// Whether one of these control groups, in the form of cgroups(7), is that of this unit or lies below it.
fn is_in(unit: &str, groups: &str) -> bool {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/')).any(|part| part == unit)
}

/// A scope's name. A name and a uid have nothing that systemd would want escaped. The pid tells it from the scope of an
/// earlier supervisor, in which a server may still run that this one has resumed.
fn unit(name: &WorkloadName, uid: &Uid, pid: u32) -> String {
    let digits: String = uid.as_str().chars().take(UID_DIGITS).collect();
    format!("wharf-{name}-{digits}-{pid}.scope")
}

/// The call of `StartTransientUnit`, org.freedesktop.systemd1(5), as busctl(1) wants it.
fn arguments(manager: Manager, unit: &str, name: &WorkloadName, members: &[Member]) -> Vec<String> {
    let bus = match manager {
        Manager::System => "--system",
        Manager::User => "--user",
    };
    let (description, count) = (format!("wharf: {name}"), members.len().to_string());
    let head: [&[&str]; 6] = [
        &[bus, "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"],
        &["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "4"],
        &["Description", "s", description.as_str()],
        // A scope that has failed does not stay.
        &["CollectMode", "s", "inactive-or-failed"],
        // Without it, a workload that the kernel kills for want of memory ends the whole scope (`OOMPolicy`).
        &["Delegate", "b", "true"],
        &["PIDs", "au", count.as_str()],
    ];
    let head = head.concat().into_iter().map(str::to_owned);
    let pids = members.iter().map(|(pid, _)| pid.to_string());
    // Last comes the number of further units.
    head.chain(pids).chain(["0".to_owned()]).collect()
}

/// This process, and those of its descendants that are to be moved.
fn members() -> Vec<Member> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let processes = pids.filter_map(|pid: i32| Some((pid, ProcessStat::of(pid).ok()?))).collect();
    chosen(own_pid(), &processes, groups_of)
}

/// A process and its descendants, nearest first, as far as they are in the same control groups as it.
fn chosen(
    own: i32,
    processes: &BTreeMap<i32, ProcessStat>,
    groups_of: impl Fn(i32) -> String,
) -> Vec<Member> {
    let Some(stat) = processes.get(&own) else { return Vec::new() };
    let mut children = BTreeMap::<i32, Vec<Member>>::new();
    for (pid, stat) in processes.iter().filter(|(pid, stat)| **pid != own && !stat.is_dead()) {
        children.entry(stat.parent).or_default().push((*pid, stat.start_time));
    }
    let mut found = vec![(own, stat.start_time)];
    let mut at = 0;
    while let Some((pid, _)) = found.get(at).filter(|_| found.len() < MAX_PROCESSES) {
        let next = children.remove(pid).unwrap_or_default();
        found.extend(next);
        at += 1;
    }
    found.truncate(MAX_PROCESSES);
    let groups = groups_of(own);
    found.retain(|(pid, _)| *pid == own || groups_of(*pid) == groups);
    found
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

/// The control groups of a process, as cgroups(7) has them.
fn groups_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "0::/user.slice/user-1000.slice/session-3.scope\n";
    const TERMINAL: &str = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope\n";

    fn name(text: &str) -> WorkloadName {
        WorkloadName::new(text).unwrap()
    }

    #[test]
    fn a_supervisor_goes_only_to_a_manager_that_outlives_its_session() {
        let asked = |user, lingers, groups| manager(user, || lingers, groups);
        assert_eq!(asked(0, false, "0::/user.slice/user-0.slice/session-1.scope\n"), Some(Manager::System));
        assert_eq!(asked(1000, true, SESSION), Some(Manager::User));
        assert_eq!(
            asked(1000, false, SESSION),
            None,
            "the session may outlive the logout, the manager does not"
        );
        assert_eq!(
            asked(1000, false, TERMINAL),
            Some(Manager::User),
            "it is in that manager's hands already"
        );
        assert_eq!(asked(1000, true, "0::/system.slice/wharf.service\n"), Some(Manager::User));
        assert_eq!(asked(100, false, TERMINAL), None, "another user's manager");
    }

    #[test]
    fn a_control_group_is_a_scopes_by_its_whole_name() {
        let unit = "wharf-a-0-1.scope";
        assert!(is_in(unit, "3:cpu:/\n0::/system.slice/wharf-a-0-1.scope/below\n"));
        for other in ["", "0::/\n", "0::/system.slice/wharf-a-0-1.scope2\n", "0:/wharf-a-0-1.scope\n"] {
            assert!(!is_in(unit, other), "{other}");
        }
    }

    #[test]
    fn the_name_of_a_scope_needs_no_escapes_and_is_another_supervisors_at_no_time() {
        let uid = Uid::random().unwrap();
        let longest = name(&"x-1".repeat(17));
        let unit = [unit(&longest, &uid, 7), unit(&longest, &uid, u32::MAX)];
        assert_ne!(unit[0], unit[1]);
        for unit in unit {
            assert!(
                unit.len() < 256 && unit.starts_with("wharf-x-1x-1") && unit.ends_with(".scope"),
                "{unit}"
            );
            assert!(unit.contains(&uid.as_str()[..8]), "{unit}");
            assert!(unit.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')), "{unit}");
        }
    }

    #[test]
    fn the_call_names_the_bus_the_scope_and_each_process() {
        let words =
            |manager| arguments(manager, "wharf-a-0-7.scope", &name("a"), &[(7, 1), (9, 2)]).join(" ");
        let call = "call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
                    StartTransientUnit ssa(sv)a(sa(sv)) wharf-a-0-7.scope fail 4 Description s wharf: a \
                    CollectMode s inactive-or-failed Delegate b true PIDs au 2 7 9 0";
        assert_eq!(words(Manager::System), format!("--system {call}"));
        assert_eq!(words(Manager::User), format!("--user {call}"));
        let alone = arguments(Manager::User, "wharf-a-0-7.scope", &name("a"), &[(7, 1)]);
        assert!(alone.contains(&"wharf: a".to_owned()), "one word: {alone:?}");
    }

    /// The processes of a supervisor, 10: its launcher 20, whose init is 30 and whose relay 31 with the program 40 is in a
    /// group with limits. 50 has ended, 60 is somebody else's.
    #[test]
    fn descendants_are_moved_unless_they_are_in_control_groups_of_their_own() {
        let stat = |state, parent, start_time| ProcessStat { state, parent, start_time };
        let mut processes = BTreeMap::from([
            (10, stat('S', 1, 100)),
            (20, stat('S', 10, 200)),
            (30, stat('S', 20, 300)),
            (31, stat('S', 20, 310)),
            (40, stat('R', 31, 400)),
            (50, stat('Z', 20, 500)),
            (60, stat('S', 1, 600)),
        ]);
        let groups = |pid| match pid {
            31 | 40 => "0::/user.slice/wharf-0123\n".to_owned(),
            _ => SESSION.to_owned(),
        };
        let moved = |processes: &BTreeMap<i32, ProcessStat>| chosen(10, processes, groups);
        assert_eq!(moved(&processes), [(10, 100), (20, 200), (30, 300)]);
        let all = chosen(10, &processes, |_| SESSION.to_owned());
        assert_eq!(all, [(10, 100), (20, 200), (30, 300), (31, 310), (40, 400)]);
        // As a pid that is used again meanwhile would make it.
        processes.insert(10, stat('S', 40, 100));
        assert_eq!(moved(&processes).len(), 3, "a circle ends");
        for pid in 1000..4000 {
            processes.insert(pid, stat('S', 40, 1));
        }
        let most = chosen(10, &processes, |_| String::new());
        assert_eq!((most.len(), most[0]), (MAX_PROCESSES, (10, 100)), "however many there are");
        assert!(chosen(11, &processes, groups).is_empty());
    }

    #[test]
    fn this_process_is_among_those_that_are_moved() {
        assert!(members().iter().any(|(pid, _)| *pid == own_pid()));
    }

    #[test]
    fn a_user_lingers_who_has_a_file_of_that_name() {
        let folder = tempfile::tempdir().unwrap();
        let asked = |user: &str| lingers_in(folder.path(), || Some(user.to_owned()));
        assert_eq!(lingers_in(folder.path(), || panic!("nobody lingers")), Some(false));
        fs::File::create(folder.path().join("ada")).unwrap();
        assert_eq!([asked("ada"), asked("bob")], [Some(true), Some(false)]);
        let elsewhere = |path: &str| lingers_in(&folder.path().join(path), || Some("ada".to_owned()));
        assert_eq!(elsewhere("none"), Some(false));
        assert_eq!(elsewhere("ada"), None, "no folder is no answer");
        assert_eq!(lingers_in(folder.path(), || None), None);
        for unknown in ["", "../ada", "DOMAIN\\ada", "ada\u{e9}"] {
            assert_eq!(asked(unknown), None, "{unknown}");
        }
    }
}
