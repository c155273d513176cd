//! [`Plan`]: finds out which parts of a [`Sandbox`] can be enforced here, and enforces them.
use crate::sandbox::kernel::Kernel;
use crate::sandbox::namespace_spec::is_alone;
use crate::sandbox::{listener, mounts, privileges, syscalls};
use crate::unlinked;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::FileType;
use std::{os::fd::OwnedFd, path::Path};
use wharf_sdk::{
    Confinement, Measure,
    launch::{NAMESPACES, Network, READ_INSIDE_WRITE, Sandbox},
};

/// The consequences of a missing namespace.
const WITHOUT_NAMESPACES: &str = "other processes and the names of files can be seen, priorities of the user's processes \
                                  and attributes of the user's files be changed, and what leaves no trace of the \
                                  workload outlives a launcher that is killed";

/// A part of a specification that cannot be enforced here, and may not be left out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{field}' cannot be enforced on this machine: {reason}; it runs without where a weaker sandbox is allowed"
)]
pub(crate) struct Refusal {
    /// The field.
    pub(crate) field: &'static str,
    /// The reason.
    pub(crate) reason: String,
}

/// The reason why a part could not be enforced, although the plan had found it possible.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("its files and ports cannot be restricted: {0}")]
    Landlock(#[from] RulesetError),
    #[error("its privileges cannot be dropped: {0}")]
    Privileges(rustix::io::Errno),
    #[error("its system calls cannot be filtered: {0}")]
    SystemCalls(#[from] seccompiler::Error),
}

/// The parts that are enforced.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    sandbox: &'a Sandbox,
    files: BitFlags<AccessFs>,
    ports: bool,
    scopes: bool,
}

impl<'a> Plan<'a> {
    /// Finds out which parts can be enforced here.
    pub(crate) fn of(sandbox: &'a Sandbox) -> Result<(Self, Confinement), Refusal> {
        let kernel = Kernel::here();
        let mut found = Findings { sandbox, told: Confinement::default() };
        let files = kernel.files;
        found.add("files", files.contains(AccessFs::ReadFile), "Landlock", "the kernel has no Landlock")?;
        if !files.is_empty() {
            let reason = "before Linux 6.2 a file outside can be cut to another length";
            found.add("truncation", files.contains(AccessFs::Truncate), "Landlock", reason)?;
        }
        let reason = "before Linux 6.12 signals reach every process of the user";
        found.add("other processes", kernel.scopes, "Landlock", reason)?;
        let ports = match &sandbox.network {
            Network::Open => false,
            Network::Ports { listen, connect } if listen.is_empty() && connect.is_empty() => {
                found.add("network", true, "seccomp: no sockets", "")?;
                false
            }
            Network::Ports { listen, .. } => {
                let reason = "TCP ports cannot be told apart before Linux 6.7";
                found.add("network", kernel.ports, "Landlock: TCP ports; seccomp: TCP alone", reason)?;
                if !listen.is_empty() {
                    let holds = sandbox.shared.is_none() && is_alone(&sandbox.network);
                    let how = "a network of its own, to which its port alone leads";
                    let reason =
                        "it may listen on every address of this machine, and on a port that the kernel picks";
                    found.add("listening address", holds, how, reason)?;
                }
                kernel.ports
            }
        };
        found.namespaces()?;
        if sandbox.read.iter().any(|place| place.kept) {
            let reason =
                "only mounts of the workload's own take rights away inside of a folder that it may write";
            found.add(READ_INSIDE_WRITE, sandbox.shared.is_none(), "mounts, read-only", reason)?;
        }
        found.add("Unix sockets", true, "seccomp", "")?;
        found.add("privileges", true, "no_new_privs, no capabilities", "")?;
        found.add("system calls", true, "seccomp", "")?;
        Ok((Self { sandbox, files, ports, scopes: kernel.scopes }, found.told))
    }

    /// Enforces the plan on this process, for good: the last step before the program is executed.
    ///
    /// `opened` are the opened files of the sandbox, each with true if it is to be written. Returns the listener for the
    /// calls that the launcher is to answer; without one, these calls are refused.
    pub(crate) fn apply(
        &self,
        in_namespaces: bool,
        opened: Vec<(OwnedFd, bool)>,
    ) -> Result<Option<OwnedFd>, SandboxError> {
        privileges::drop_all().map_err(SandboxError::Privileges)?;
        self.restrict_access(in_namespaces, opened)?;
        let filters = syscalls::filters(&self.sandbox.network).map_err(seccompiler::Error::from)?;
        filters.iter().try_for_each(|filter| seccompiler::apply_filter(filter))?;
        if let Ok(listener) = listener::install(&syscalls::told().map_err(seccompiler::Error::from)?) {
            return Ok(Some(listener));
        }
        // The kernel is too old, or a sandbox around this one has a listener already, of which there can be only one.
        let untold = syscalls::untold().map_err(seccompiler::Error::from)?;
        seccompiler::apply_filter(&untold)?;
        Ok(None)
    }

    pub(crate) fn restricts_files(&self) -> bool {
        !self.files.is_empty()
    }

    pub(crate) fn restricts_processes(&self) -> bool {
        self.restricts_files() && self.scopes
    }

    pub(crate) fn restricts_ports(&self) -> bool {
        self.restricts_files() && self.ports
    }

    fn restrict_access(&self, in_namespaces: bool, opened: Vec<(OwnedFd, bool)>) -> Result<(), SandboxError> {
        if self.files.is_empty() {
            return Ok(());
        }
        let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let mut ruleset = strict.handle_access(self.files)?;
        if self.ports {
            ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
        }
        if self.scopes {
            ruleset = ruleset.scope(Scope::from_all(ABI::V6))?;
        }
        let mut ruleset = ruleset.create()?;
        for (place, is_written) in opened {
            ruleset = self.allow(
                ruleset,
                place,
                if is_written { self.files } else { AccessFs::from_read(ABI::V1) },
            )?;
        }
        if in_namespaces {
            ruleset = self.allow_own_mounts(ruleset)?;
        }
        if let (true, Network::Ports { listen, connect }) = (self.ports, &self.sandbox.network) {
            let listening = listen.iter().map(|&port| NetPort::new(port, AccessNet::BindTcp));
            let connecting = connect.iter().map(|&port| NetPort::new(port, AccessNet::ConnectTcp));
            for rule in listening.chain(connecting) {
                ruleset = ruleset.add_rule(rule)?;
            }
        }
        ruleset.restrict_self()?;
        Ok(())
    }

    /// Allows the folders that init has mounted for the workload alone; the descriptors that were opened outside lead to
    /// other folders.
    fn allow_own_mounts(&self, mut ruleset: RulesetCreated) -> Result<RulesetCreated, SandboxError> {
        // If one of these names is a link, the system's owner made it, so it may be followed.
        for path in mounts::PRIVATE.iter().filter_map(|path| Path::new(path).canonicalize().ok()) {
            if let Ok(opened) = unlinked::open(&path) {
                ruleset = self.allow(ruleset, opened, self.files)?;
            }
        }
        if self.sandbox.read.iter().any(|place| place.path == Path::new("/proc"))
            && let Ok(opened) = unlinked::open(Path::new("/proc"))
        {
            ruleset = self.allow(ruleset, opened, AccessFs::from_read(ABI::V1))?;
        }
        // Visible there is only what the workload may read anyway.
        for folder in self.sandbox.listed.iter().filter(|folder| self.sandbox.hidden.contains(folder)) {
            if let Ok(opened) = unlinked::open(folder) {
                ruleset = self.allow(ruleset, opened, AccessFs::ReadDir.into())?;
            }
        }
        Ok(ruleset)
    }

    /// Allows an opened file, or a folder with everything below it.
    fn allow(
        &self,
        ruleset: RulesetCreated,
        opened: OwnedFd,
        access: BitFlags<AccessFs>,
    ) -> Result<RulesetCreated, SandboxError> {
        let kind = rustix::fs::fstat(&opened).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let possible = match kind {
            Ok(FileType::Directory) => access,
            // For a device there are no other rights than reading and writing.
            Ok(FileType::CharacterDevice) => access & (AccessFs::ReadFile | AccessFs::WriteFile),
            _ => access & AccessFs::from_file(ABI::V5),
        };
        Ok(ruleset.add_rule(PathBeneath::new(opened, possible & self.files))?)
    }
}

struct Findings<'a> {
    sandbox: &'a Sandbox,
    told: Confinement,
}

impl Findings<'_> {
    /// Reports the parts that only namespaces enforce. Whether namespaces can be made is found out by making them.
    fn namespaces(&mut self) -> Result<(), Refusal> {
        let how = "processes, mounts, IPC of its own; private /tmp";
        let why_not = self.sandbox.shared.as_ref().map(|why| format!("{why}; {WITHOUT_NAMESPACES}"));
        self.add(NAMESPACES, why_not.is_none(), how, &why_not.unwrap_or_default())
    }

    fn add(&mut self, what: &'static str, holds: bool, how: &str, why_not: &str) -> Result<(), Refusal> {
        if !holds && !self.sandbox.allow_weaker && self.sandbox.asked.iter().any(|asked| asked == what) {
            return Err(Refusal { field: what, reason: why_not.to_owned() });
        }
        let (list, how) =
            if holds { (&mut self.told.enforced, how) } else { (&mut self.told.weaker, why_not) };
        list.push(Measure { what: what.to_owned(), how: how.to_owned() });
        Ok(())
    }
}
