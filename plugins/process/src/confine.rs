//! From a permission profile to what the launcher enforces.
//!
//! Without a profile a workload has the network, may read the folder of its program and those of the files that its
//! arguments name, and may write the folder that it runs in, as far as none of these holds keys or the host's own
//! files ([`Guard`]). With one it has what the profile says. Either way come the tables of [`crate::reach`], a folder
//! of its own for temporary files, and for packages the folders in which wharf has their tools keep them.
use crate::{
    environment::has_credentials,
    package::Tool,
    reach::{self, Guard},
    runtime::ProcessRuntime,
};
use rustix::fs::{Mode, OFlags, open};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};
use wharf_sdk::{
    Error, Measure, Outbound, PermissionProfile, Result, Source, Transport, WorkloadSpec,
    launch::{Job, Limits, NAMESPACES, Network, PROTOCOL, Sandbox},
};

/// How many processes and threads a workload has where nothing is said: far more than servers need, far fewer than
/// would slow the machine down.
const USUAL_PIDS: u64 = 1024;
/// A port and an amount of memory that a trial asks for; neither is used.
const TRIED_PORT: u16 = 443;
const TRIED_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// The largest file of settings that is searched for credentials.
const MAX_SETTINGS_BYTES: u64 = 1024 * 1024;

/// What of a job is confinement.
#[derive(Debug)]
pub(crate) struct Confined {
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) limits: Limits,
    /// What was asked for and is left out.
    pub(crate) weaker: Vec<Measure>,
}

impl Confined {
    /// Whether it can connect to nobody.
    pub(crate) fn has_no_way_out(&self) -> bool {
        let network = self.sandbox.as_ref().map(|sandbox| &sandbox.network);
        matches!(network, Some(Network::Ports { connect, .. }) if connect.is_empty())
    }
}

/// What a workload runs, as far as that matters here.
pub(crate) struct Running<'a> {
    pub(crate) spec: &'a WorkloadSpec,
    pub(crate) program: &'a Path,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) current_dir: &'a Path,
    /// The folder of its own.
    pub(crate) own: &'a Path,
    /// Where the package is kept, if it is one.
    pub(crate) packages: &'a Path,
    pub(crate) guard: &'a Guard,
}

impl Running<'_> {
    /// What holds it back, with everything checked and nothing done.
    pub(crate) fn confined(&self) -> Result<Confined> {
        let spec = self.spec;
        let limits = Limits {
            cpus: spec.cpus,
            memory_bytes: spec.memory_bytes,
            pids: spec.pids_limit,
            usual_pids: Some(USUAL_PIDS),
            allow_weaker: spec.allow_weaker,
        };
        let mut weaker = Vec::new();
        let sandbox = match &spec.permission_profile {
            Some(profile) if profile.privileged => {
                let how = "the profile says privileged: whatever its user may";
                weaker.push(Measure { what: "files, network, privileges".to_owned(), how: how.to_owned() });
                None
            }
            Some(profile) => Some(self.of_profile(profile, &mut weaker)?),
            None => Some(self.without_profile()),
        };
        Ok(Confined { sandbox, limits, weaker })
    }

    fn without_profile(&self) -> Sandbox {
        let mut sandbox = self.of_everybody();
        sandbox.asked = vec!["files".to_owned()];
        if self.guard.lets(self.current_dir) {
            sandbox.write.push(self.current_dir.to_owned());
        }
        // What lies where the workload writes it can read anyway, and may have made a link to something else.
        let writable: Vec<PathBuf> =
            sandbox.write.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let is_writable = |folder: &Path| {
            let folder = folder.canonicalize();
            folder.is_ok_and(|folder| writable.iter().any(|writable| folder.starts_with(writable)))
        };
        let is_its_own = |file: &Path| file.ancestors().skip(1).any(is_writable);
        let named = self.spec.args.iter().map(Path::new).filter(|path| path.is_absolute() && path.is_file());
        let named = named.filter(|file| !is_its_own(file));
        sandbox.read.extend(named.flat_map(|file| reach::of_named(file, self.guard)));
        sandbox
    }

    fn of_profile(&self, profile: &PermissionProfile, weaker: &mut Vec<Measure>) -> Result<Sandbox> {
        let mut sandbox = self.of_everybody();
        sandbox.asked = ["files", "truncation", "network", NAMESPACES].map(str::to_owned).to_vec();
        let asked = |field: &str, given: &[String]| -> Result<Vec<PathBuf>> {
            given.iter().map(|given| self.asked(field, given)).collect()
        };
        let read = asked("permission_profile.read", &profile.read)?;
        let write = asked("permission_profile.write", &profile.write)?;
        // Of what was asked for by name nothing is hidden.
        let named: Vec<PathBuf> =
            read.iter().chain(&write).filter_map(|path| path.canonicalize().ok()).collect();
        sandbox.hidden.retain(|hidden| !named.iter().any(|named| hidden.starts_with(named)));
        sandbox.read.extend(read);
        sandbox.write.extend(write);
        sandbox.network = self.network(profile, weaker)?;
        Ok(sandbox)
    }

    fn of_everybody(&self) -> Sandbox {
        let (mut read, mut write) = reach::of_everybody(self.env, self.guard);
        read.extend(reach::of_program(self.program, self.guard));
        write.push(self.own.to_owned());
        if let Source::Package { tool, .. } = &self.spec.source
            && let Ok(tool) = Tool::named(tool)
        {
            write.extend(tool.folders().iter().map(|(_, name)| self.packages.join(name)));
            read.extend(self.settings(tool));
        }
        let hidden = self.guard.private().cloned().collect();
        Sandbox { read, write, hidden, allow_weaker: self.spec.allow_weaker, ..Sandbox::default() }
    }

    /// A path of a profile.
    fn asked(&self, field: &str, given: &str) -> Result<PathBuf> {
        let path = match given.split_once(':') {
            Some((here, there)) if here != there => {
                let message = format!(
                    "'{given}' of {field} cannot be honoured: a plain process sees files where they are; write '{here}'"
                );
                return Err(Error::unsupported(field, message));
            }
            Some((here, _)) => PathBuf::from(here),
            None => PathBuf::from(given),
        };
        let wrong = |why: &str| Err(Error::invalid(format!("'{given}' of {field} {why}")));
        if !path.is_absolute() {
            return wrong("is no absolute path");
        }
        if !path.exists() {
            return wrong("does not exist");
        }
        match self.guard.of_host(&path) {
            Some(_) => {
                wrong("holds files of wharf's own, which no workload may have; name folders beside them")
            }
            None => Ok(path),
        }
    }

    fn network(&self, profile: &PermissionProfile, weaker: &mut Vec<Measure>) -> Result<Network> {
        let mode = profile.network.as_ref().map_or("", |network| network.mode.as_str());
        if !matches!(mode, "" | "none" | "host") {
            let (field, why) = ("permission_profile.network.mode", "a plain process has the host's or none");
            self.left_out(field, why, weaker)?;
        }
        if profile.limits_inbound() {
            let field = "permission_profile.network.inbound.allow_host";
            self.left_out(field, "a plain process listens on loopback, to whoever is there", weaker)?;
        }
        let listen = match self.spec.transport {
            Transport::Stdio => Vec::new(),
            Transport::Http { target_port } => vec![target_port],
        };
        Ok(match profile.outbound() {
            Outbound::Everywhere => Network::Open,
            Outbound::Nowhere => Network::Ports { listen, connect: Vec::new() },
            Outbound::Listed { hosts, ports } => {
                if !hosts.is_empty() {
                    let field = "permission_profile.network.outbound.allow_host";
                    self.left_out(field, "the kernel knows addresses, not names of hosts", weaker)?;
                }
                match ports {
                    [] => Network::Open,
                    ports => Network::Ports { listen, connect: ports.to_vec() },
                }
            }
        })
    }

    /// What cannot be enforced on any machine: refused, or told.
    fn left_out(&self, field: &str, why: &str, weaker: &mut Vec<Measure>) -> Result<()> {
        if !self.spec.allow_weaker {
            let message = format!("'{field}' cannot be enforced by the runtime 'process': {why}");
            return Err(Error::unsupported(field, message));
        }
        weaker.push(Measure { what: field.to_owned(), how: why.to_owned() });
        Ok(())
    }

    /// A tool's settings, unless there are credentials in them.
    fn settings(&self, tool: Tool) -> Option<PathBuf> {
        let name = match tool {
            Tool::Npx => ".npmrc",
            Tool::Uvx => ".config/uv/uv.toml",
        };
        let path = self.guard.home.as_ref()?.join(name);
        // For a FIFO's writer nobody waits, and what is too large may have credentials anywhere.
        let file = open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = String::new();
        let read = fs::File::from(file).take(MAX_SETTINGS_BYTES + 1).read_to_string(&mut text).ok()?;
        if read as u64 > MAX_SETTINGS_BYTES {
            return None;
        }
        let tells = |line: &str| ["_auth", "_password", "password"].iter().any(|part| line.contains(part));
        (!has_credentials(&text) && !text.lines().any(tells)).then_some(path)
    }
}

impl ProcessRuntime {
    /// A job that runs nothing and asks for everything that can be enforced, so that it is tried.
    pub(crate) fn trial(&self) -> Job {
        let uid = format!("{:032x}", std::process::id());
        let network = Network::Ports { listen: Vec::new(), connect: vec![TRIED_PORT] };
        let sandbox = Sandbox { network, allow_weaker: true, ..Sandbox::default() };
        let limits = Limits {
            cpus: Some(1.0),
            memory_bytes: Some(TRIED_MEMORY_BYTES),
            pids: Some(USUAL_PIDS),
            usual_pids: None,
            allow_weaker: true,
        };
        Job {
            protocol: PROTOCOL,
            try_only: true,
            host_id: self.host_id.clone(),
            name: "trial".to_owned(),
            program: PathBuf::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            current_dir: PathBuf::from("/"),
            survives: false,
            log_stdout: true,
            grace_ms: 0,
            log_path: PathBuf::new(),
            state_path: self.states.path(&uid),
            own_dir: self.states.work_dir(&uid),
            sandbox: Some(sandbox),
            limits,
            weaker: Vec::new(),
            target_port: None,
            uid,
        }
    }
}

/// Whether a launcher could not give the workload namespaces of its own; then another one is not to try it.
pub(crate) fn shares_instead(job: &mut Job, error: &Error) -> bool {
    let field = error.details.as_ref().and_then(|details| details["field"].as_str());
    match &mut job.sandbox {
        Some(sandbox) if field == Some(NAMESPACES) && sandbox.shared.is_none() => {
            sandbox.shared = Some(error.message.clone());
            true
        }
        _ => false,
    }
}

/// Makes the folders beside its own that a workload writes and that do not exist yet: what does not exist cannot be
/// opened to it.
pub(crate) fn make_folders(sandbox: &Sandbox, own: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    for folder in sandbox.write.iter().filter(|path| *path != own && !path.exists()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| Error::io(&format!("'{}' cannot be made", folder.display()), &error))?;
    }
    Ok(())
}
