//! Refuses to start a workload from inside of another one: the new supervisor and all its children would be descendants of
//! the other workload, and be killed with it. No process can leave its launcher, which is a subreaper, or its namespaces.
//!
//! Called before anything is written. Any of these proves it: an ancestor of this process is a launcher; process 1 is the
//! init of a workload's namespaces; this process is in a workload's control group; its environment carries a workload's
//! marks. A workload can remove the marks, and can leave the control group where it may change groups, but it cannot change
//! the first two. A process that forges one of the proofs only keeps itself from starting workloads. Must not know which
//! workload it is.
use crate::commands::context::Context;
use std::{fs, os::unix::ffi::OsStrExt, path::Path};
use wharf_launcher::{INIT_ARGUMENT, LAUNCHER_ARGUMENT};
use wharf_model::Uid;
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::{launch::cgroup_name, process_identity::ProcessStat};

/// No process has more ancestors. The limit ends the search if a pid is used again meanwhile and makes a circle.
const MAX_ANCESTORS: usize = 4096;

/// True inside a workload.
fn is_inside_workload(context: &Context) -> bool {
    context.config().is_marked || is_enclosed(Path::new("/proc"))
}

/// Fails if there seem to be no records only because the workload around this process hides them. Called where no record
/// was found.
///
/// # Errors
/// The records are hidden.
pub fn refuse_blindness(context: &Context) -> Result<()> {
    // An unconfined workload sees the records, and there may really be none.
    let sees_records = fs::read_dir(context.store().state().run_configs()).is_ok();
    if sees_records || !is_inside_workload(context) {
        return Ok(());
    }
    let message = "this command runs inside a workload, from where the records of wharf cannot be seen";
    let hint = "it works outside: in a terminal, or a service, that no workload has started";
    Err(Error::new(ErrorKind::Conflict, message).hint(hint))
}

/// Fails inside a workload.
pub(crate) fn refuse_nesting(context: &Context) -> Result<()> {
    if !is_inside_workload(context) {
        return Ok(());
    }
    let message = "this command runs inside a workload, and what it starts would be killed together with that one; \
                   nothing was changed";
    let hint = "it works outside: in a terminal, or a service, that no workload has started";
    Err(Error::new(ErrorKind::Conflict, message).hint(hint))
}

/// Whether a workload encloses this process, according to this /proc.
fn is_enclosed(proc: &Path) -> bool {
    let memberships = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    is_in_group(&memberships) || has_role(proc, 1, INIT_ARGUMENT) || descends_from_launcher(proc)
}

/// Whether one of the control groups, in the form of cgroups(7), is a workload's or lies below one.
fn is_in_group(memberships: &str) -> bool {
    let is_workloads = |part: &str| {
        let uid = part.strip_prefix("wharf-").and_then(|uid| Uid::try_from(uid.to_owned()).ok());
        uid.is_some_and(|uid| cgroup_name(uid.as_str()) == part)
    };
    let paths = memberships.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/')).any(is_workloads)
}

fn descends_from_launcher(proc: &Path) -> bool {
    let mut pid = rustix::process::getpid().as_raw_pid();
    for _ in 0..MAX_ANCESTORS {
        // 0 means that the parent is outside of this pid namespace, or that there is none.
        match ProcessStat::of(pid) {
            Ok(stat) if stat.parent > 0 => pid = stat.parent,
            _ => return false,
        }
        if has_role(proc, pid, LAUNCHER_ARGUMENT) {
            return true;
        }
    }
    false
}

/// Whether a process is this binary, started with this first argument.
fn has_role(proc: &Path, pid: i32, role: &str) -> bool {
    let arguments = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|&byte| byte == 0);
    let (program, first) = (arguments.next(), arguments.next());
    let name = program.map(|program| Path::new(std::ffi::OsStr::from_bytes(program)).file_name());
    name.flatten().is_some() && first == Some(role.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workloads_control_group_is_known_by_its_whole_name() {
        let uid = Uid::random().unwrap();
        for inside in
            [format!("0::/user.slice/wharf-{uid}"), format!("2:cpu:/\n7:pids:/a/wharf-{uid}/wharf-x\n")]
        {
            assert!(is_in_group(&inside), "{inside}");
        }
        for outside in ["", "0::/", "0::/system.slice/wharf-serve.service", &format!("0::/wharf-{uid}.scope")]
        {
            assert!(!is_in_group(outside), "{outside}");
        }
    }

    #[test]
    fn a_launcher_is_known_by_its_first_argument() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: i32, cmdline: &str| {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            let mut file = fs::File::create(folder.join("cmdline")).unwrap();
            std::io::Write::write_all(&mut file, cmdline.replace(' ', "\0").as_bytes()).unwrap();
        };
        process(1, "wharf-init __launch-init");
        process(2, "/usr/bin/wharf __launch");
        process(3, "/usr/bin/wharf run __launch");
        process(4, "");
        assert!(has_role(proc.path(), 1, INIT_ARGUMENT) && has_role(proc.path(), 2, LAUNCHER_ARGUMENT));
        for other in [1, 3, 4, 5] {
            assert!(!has_role(proc.path(), other, LAUNCHER_ARGUMENT), "{other}");
        }
        assert!(!is_enclosed(Path::new("/proc")) || fs::read("/proc/1/cmdline").is_ok());
    }
}
