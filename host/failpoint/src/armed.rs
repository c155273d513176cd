//! The failpoints of a process that its environment has armed: counts the points that it passes, and kills it or lets an
//! effect fail at the one that was named. Exists only in builds with debug assertions; `main` calls [`crate::arm`] once,
//! first thing.
use crate::{KILL_VARIABLE, Point, TRACE_VARIABLE};
use rustix::io::Errno;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
    sync::OnceLock,
    sync::atomic::{AtomicU32, Ordering},
};

static ARMED: OnceLock<Armed> = OnceLock::new();

struct Armed {
    role: &'static str,
    targets: Vec<Target>,
    trace: Option<PathBuf>,
    reached: Vec<AtomicU32>,
}

struct Target {
    name: String,
    nth: u32,
    /// A file that the first process to meet the fault makes; then only that one meets it. Without a file, every process
    /// does.
    mark: Option<PathBuf>,
    fault: Fault,
}

/// The fault at a point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Error(Errno),
    /// Waits as long as somebody else has locked the file, from the NTH time on.
    Wait,
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "kill" => Self::Kill,
            "wait" => Self::Wait,
            "error=EIO" => Self::Error(Errno::IO),
            "error=ENOSPC" => Self::Error(Errno::NOSPC),
            "error=EMFILE" => Self::Error(Errno::MFILE),
            _ => return None,
        })
    }
}

impl Target {
    /// None: the fault is for another role. A fault that cannot be parsed ends the process; otherwise a test with a
    /// misspelt fault would pass.
    fn parse(text: &str, role: &str) -> Option<Self> {
        let Some((place, deed)) = text.split_once('=') else { misspelt() };
        let (fault, mark) = match deed.split_once(':') {
            None => (deed, None),
            Some((fault, mark)) => (fault, Some(PathBuf::from(mark))),
        };
        let Some(fault) = Fault::parse(fault) else { misspelt() };
        let place = match place.split_once('/') {
            Some((wanted, _)) if wanted != role => return None,
            Some((_, place)) => place,
            None => place,
        };
        let (name, nth) = place.split_once(':').unwrap_or((place, "1"));
        let Ok(nth) = nth.parse() else { misspelt() };
        if !crate::names().any(|known| known == name) {
            misspelt();
        }
        Some(Self { name: name.to_owned(), nth, fault, mark })
    }

    /// True if the process dies here. A command that restarts a dead process arms the new one the same way; so a mark, if
    /// there is one, decides that only the first dies.
    fn is_met(&self, point: Point, nth: u32) -> bool {
        if self.fault == Fault::Wait {
            return self.name == point.name() && nth >= self.nth;
        }
        let is_first = || {
            let made =
                self.mark.as_ref().map(|mark| OpenOptions::new().write(true).create_new(true).open(mark));
            !matches!(made, Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists)
        };
        self.name == point.name() && self.nth == nth && is_first()
    }
}

pub(crate) fn arm(role: &'static str) {
    let told = std::env::var(KILL_VARIABLE).ok();
    let trace = std::env::var_os(TRACE_VARIABLE).map(PathBuf::from);
    if told.is_none() && trace.is_none() {
        return;
    }
    let armed = Armed {
        role,
        targets: told
            .iter()
            .flat_map(|text| text.split(','))
            .filter_map(|kill| Target::parse(kill, role))
            .collect(),
        trace,
        reached: Point::ALL.iter().map(|_| AtomicU32::new(0)).collect(),
    };
    let _ = ARMED.set(armed);
}

/// Notes that a point was reached. Does not return if the process is to die there.
pub fn reach(point: Point) {
    // At a point where nothing can fail, a kill is the only fault. A test that asks for an error here ends with a message.
    if passed(point, "").is_some() {
        misspelt();
    }
}

/// Notes that a point was reached beside an effect that can fail. Returns the error, if the process is armed for one there.
pub fn may_fail(point: Point) -> io::Result<()> {
    passed(point, " can-fail").map_or(Ok(()), |errno| Err(errno.into()))
}

/// The error that the process is armed for here.
fn passed(point: Point, mark: &str) -> Option<Errno> {
    let armed = ARMED.get()?;
    let nth = armed.reached[point as usize].fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(trace) = &armed.trace {
        // A short line in one write: lines of several processes do not mix.
        let line = format!("{} {} {} {nth}{mark}\n", armed.role, std::process::id(), point.name());
        let file = OpenOptions::new().append(true).create(true).open(trace);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
    let is_here = |target: &&Target| target.is_met(point, nth);
    let target = armed.targets.iter().find(is_here)?;
    match target.fault {
        Fault::Error(errno) => Some(errno),
        Fault::Wait => {
            let Some(file) = &target.mark else { misspelt() };
            if let Ok(file) = OpenOptions::new().read(true).open(file) {
                let _ = file.lock_shared();
            }
            None
        }
        Fault::Kill => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::process::abort();
        }
    }
}

fn misspelt() -> ! {
    let _ = writeln!(
        io::stderr(),
        "{KILL_VARIABLE} names no point: [ROLE/]NAME[:NTH]=kill|wait|error=EIO|ENOSPC|EMFILE[:FILE]"
    );
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_armed_processes_only_the_one_that_makes_the_named_file_dies() {
        let folder = tempfile::tempdir().unwrap();
        let told = |deed: &str| format!("launcher/{}:2={deed}", Point::StartedReported.name());
        let armed = |deed: &str| Target::parse(&told(deed), "launcher").unwrap();
        let once = format!("kill:{}", folder.path().join("died").display());
        let (first, second) = (armed(&once), armed(&once));
        assert!(!first.is_met(Point::StartedReported, 1) && !first.is_met(Point::LauncherBegun, 2));
        assert!(first.is_met(Point::StartedReported, 2) && !second.is_met(Point::StartedReported, 2));
        let (first, second) = (armed("kill"), armed("kill"));
        assert!(first.is_met(Point::StartedReported, 2) && second.is_met(Point::StartedReported, 2));
        assert!(Target::parse(&told("kill"), "supervisor").is_none());
    }
}
