//! Kills processes that a case has started and that nobody else would end.
//!
//! A library that ends its process cannot end processes that it started, and the sweep uses the same library and may end as
//! well. So the process that runs cases becomes the parent of such orphaned processes (child
//! subreaper), and kills them.
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use std::io;

/// The variable that marks all processes of a run; its value is the run's own.
pub(super) const MARK_VARIABLE: &str = "WHARF_CONFORMANCE_RUN";

/// Makes this process the parent of the orphaned ones below it, until this is dropped.
pub(super) struct Leftovers {
    mark: String,
    /// True if every orphaned process must be from a case: this process had no child before, and is not the init of the machine.
    is_alone: bool,
}

impl Leftovers {
    /// Begins; `mark` is the value of the variable in the processes of cases.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn taken_in(mark: String) -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { mark, is_alone: !getpid().is_init() && children().is_empty() })
    }

    /// Kills all processes of a case that are children of this process now; returns their number. To be called when no
    /// process of the case is waited for any more.
    ///
    /// R12: each is this process's own child that was not reaped yet, so its pid is not used again; and it is from a case,
    /// either because every child must be, or because it carries the mark. When a process is killed, its own children
    /// become children of this process.
    pub(super) fn kill(&self) -> usize {
        let mut killed = 0;
        loop {
            let mut found = children();
            found.retain(|child| self.is_alone || has_mark(*child, &self.mark));
            if found.is_empty() {
                return killed;
            }
            for child in found {
                let _ = kill_process(child, Signal::KILL);
                if waitpid(Some(child), WaitOptions::empty()).is_err() {
                    return killed;
                }
                killed += 1;
            }
        }
    }
}

fn has_mark(pid: Pid, mark: &str) -> bool {
    let marked = format!("{MARK_VARIABLE}={mark}");
    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == marked.as_bytes())
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let _ = set_child_subreaper(None);
    }
}

/// The children of this process, of all its threads.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid).is_some_and(|parent| parent == own)).filter_map(Pid::from_raw).collect()
}

/// The parent of a process: the second field after its name, which is in parentheses.
fn parent(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1).map(str::to_owned)
}
