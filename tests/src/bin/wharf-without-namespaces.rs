//! Runs a program that may make no namespaces, nor may what it starts: `wharf-without-namespaces PROGRAM ARG...`.
//!
//! The kernel answers `unshare` as it does in a container of Docker's: not permitted.
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::{error::Error, os::unix::process::CommandExt, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().ok_or("no program")?;
    let not_permitted = SeccompAction::Errno(nix::errno::Errno::EPERM as u32);
    let unshare = [(nix::libc::SYS_unshare, Vec::new())].into();
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(unshare, SeccompAction::Allow, not_permitted, architecture)?;
    let filter: BpfProgram = filter.try_into()?;
    apply_filter(&filter)?;
    Err(Command::new(program).args(args).exec().into())
}
