//! The processes that a case has started and that nobody ends any more.
//!
//! A library that ends its process can end nothing that it started, and the sweep, which asks the same library, ends
//! with it. So the process that runs cases takes in whatever loses its parent below it, and kills that.
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use std::io;

/// The variable that marks whatever a case has started; its value is the run's own.
pub(super) const MARK_VARIABLE: &str = "WHARF_CONFORMANCE_RUN";

/// Takes in what loses its parent below this process, until it is dropped.
pub(super) struct Leftovers {
    mark: String,
    /// Whatever comes to this process descends from a case: it had no child before, and is not where all of a
    /// machine's orphans go.
    is_alone: bool,
}

impl Leftovers {
    /// From now on, of cases whose processes carry this mark.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn taken_in(mark: String) -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { mark, is_alone: !getpid().is_init() && children().is_empty() })
    }

    /// Kills whatever descends from a case, which has no process that is still waited for; returns how many.
    ///
    /// R12: each is this process' own child and not reaped yet, so that its number is its own; and it descends from a
    /// case, because nothing else could have come here, or because it carries the mark. When a parent is killed its
    /// children come here.
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

/// The children of this process, of whichever of its threads.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid).is_some_and(|parent| parent == own)).filter_map(Pid::from_raw).collect()
}

/// The parent of a process: the second field behind its name, which stands in brackets.
fn parent(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1).map(str::to_owned)
}
