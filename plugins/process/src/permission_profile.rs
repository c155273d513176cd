//! Turns a permission profile into the part of the job that the launcher enforces.
//!
//! Without a profile, a workload has the network, may read its program and the files that its arguments name (of a script,
//! its neighbours too), and may write its working directory, as far as none of these holds keys or the host's own files
//! ([`Guard`]). With a profile, it has the files and the network of the profile. In both cases it also gets what is mounted,
//! the tables of [`crate::default_access`], a folder of its own for temporary files, and, if it is a package, the folders in
//! which the package's tool keeps packages.
use crate::{
    default_access, environment::of_this_process, guard::Guard, mounts, package::Tool, places::Places,
    registries, runtime::ProcessRuntime, trail::Led,
};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};
use wharf_sdk::{
    Error, Measure, Outbound, PermissionProfile, Pins, Result, Source, WorkloadSpec,
    files::{self, Links},
    launch::{Job, Limits, NAMESPACES, Network, PROTOCOL, READ_INSIDE_WRITE, Sandbox},
};

/// The place in errors about parts of a profile that cannot be enforced.
const PLACE: &str = "by the runtime 'process'";
/// The default limit of processes and threads: far more than servers need, far fewer than would slow the machine down.
const USUAL_PIDS: u64 = 1024;
/// A port and an amount of memory that a trial asks for. They are not used.
const TRIED_PORT: u16 = 443;
const TRIED_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// The largest file of settings that is searched for credentials.
const MAX_SETTINGS_BYTES: u64 = 1024 * 1024;

/// The confinement of a job.
#[derive(Debug)]
pub(crate) struct Confined {
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) limits: Limits,
    /// The parts that were asked for and are left out.
    pub(crate) weaker: Vec<Measure>,
    /// Where the names that must not change lead.
    pub(crate) pins: Pins,
}

impl Confined {
    /// Whether the workload cannot connect to anything.
    pub(crate) fn has_no_way_out(&self) -> bool {
        let network = self.sandbox.as_ref().map(|sandbox| &sandbox.network);
        matches!(network, Some(Network::Ports { connect, .. }) if connect.is_empty())
    }
}

/// The facts about a workload that its confinement depends on.
pub(crate) struct Running<'a> {
    pub(crate) spec: &'a WorkloadSpec,
    /// The tool that fetches its package, if it is one.
    pub(crate) tool: Option<Tool>,
    pub(crate) program: &'a Path,
    pub(crate) env: &'a BTreeMap<String, String>,
    /// The working directory that was asked for, as it is without links.
    pub(crate) working_dir: Option<&'a Led>,
    /// The runtime's folder.
    pub(crate) folder: &'a Path,
    /// The workload's own folder.
    pub(crate) own: &'a Path,
    /// The folder in which the package is kept, if the workload is one.
    pub(crate) packages: &'a Path,
    pub(crate) guard: &'a Guard,
}

impl Running<'_> {
    /// The confinement. Everything is checked, nothing is changed.
    pub(crate) fn confined(&self, places: Places<'_>) -> Result<Confined> {
        let spec = self.spec;
        let limits = Limits {
            cpus: spec.cpus,
            memory_bytes: spec.memory_bytes,
            pids: spec.pids_limit,
            usual_pids: Some(USUAL_PIDS),
            allow_weaker: spec.allow_weaker,
        };
        let mut weaker = Vec::new();
        let mut confined = Confined { sandbox: None, limits, weaker: Vec::new(), pins: Pins::default() };
        match &spec.permission_profile {
            Some(profile) if profile.privileged => {
                let how = "the profile says privileged: whatever its user may";
                weaker.push(Measure { what: "files, network, privileges".to_owned(), how: how.to_owned() });
                mounts::check_unconfined(self.spec, self.guard, &places, &mut weaker)?;
                confined.pins = places.pins();
            }
            Some(profile) => {
                let sandbox = self.of_profile(profile, places, &mut weaker)?;
                (confined.sandbox, confined.pins) = (Some(sandbox.0), sandbox.1);
            }
            None => {
                let sandbox = self.without_profile(places)?;
                (confined.sandbox, confined.pins) = (Some(sandbox.0), sandbox.1);
            }
        }
        confined.weaker = weaker;
        Ok(confined)
    }

    fn without_profile(&self, mut places: Places<'_>) -> Result<(Sandbox, Pins)> {
        let mut sandbox = self.of_everybody(&mut places)?;
        sandbox.asked = vec!["files".to_owned(), READ_INSIDE_WRITE.to_owned()];
        let mounts = mounts::of(self.spec, self.guard, &places)?;
        mounts::open(&mounts, Vec::new(), self.guard, &mut places, &mut sandbox)?;
        if let (Some(name), Some(led)) = (&self.spec.working_dir, self.working_dir)
            && !mounts.iter().any(|mount| mount.protects(&led.path))
        {
            if self.guard.lets(&led.path) {
                places.grant(Path::new(name), led, true);
            } else if self.tool.is_none() {
                mounts::open_neighbours(Path::new(name), led, self.guard, &mut places, &mut sandbox);
            }
        }
        places.keep_what_is_read();
        self.named_files(&mut places);
        self.finish(sandbox, &places)
    }

    /// Opens the files that arguments name. If the first of them is a script, its neighbours are opened too, since an
    /// interpreter runs it and it loads them. Which argument is the first does not depend on which files exist: a workload
    /// could delete one.
    fn named_files(&self, places: &mut Places<'_>) {
        let paths = self.spec.args.iter().map(Path::new).filter(|path| path.is_absolute());
        for (at, file) in paths.enumerate().filter(|(_, path)| path.is_file()) {
            let led = places.named(file.to_owned()).filter(|led| at == 0 && is_script(led));
            if let Some(folder) = led.as_deref().and_then(Path::parent) {
                default_access::installation(folder, places);
            }
        }
    }

    fn of_profile(
        &self,
        profile: &PermissionProfile,
        mut places: Places<'_>,
        weaker: &mut Vec<Measure>,
    ) -> Result<(Sandbox, Pins)> {
        let mut sandbox = self.of_everybody(&mut places)?;
        sandbox.asked =
            ["files", "truncation", "network", NAMESPACES, READ_INSIDE_WRITE].map(str::to_owned).to_vec();
        let mut granted = Vec::new();
        let mounts = mounts::of(self.spec, self.guard, &places)?;
        for (field, given, is_written) in [
            ("permission_profile.read", &profile.read, false),
            ("permission_profile.write", &profile.write, true),
        ] {
            for given in given {
                let (name, led) = self.asked(field, given, &places)?;
                places.grant(&name, &led, is_written);
                granted.push((field, given, name, led.path));
            }
        }
        let mounted = mounts.iter().filter(|mount| mount.at.is_none()).map(|mount| mount.led.path.clone());
        let open: Vec<PathBuf> = granted.iter().map(|(.., path)| path.clone()).chain(mounted).collect();
        for (field, given, name, path) in &granted {
            if let Some(keys) = self.guard.unnamed_keys(name, path, &open) {
                let message = format!(
                    "'{given}' of {field} would open '{keys}', where keys and tokens are; name folders beside it, or that \
                     itself",
                    keys = keys.display()
                );
                return Err(Error::invalid(message));
            }
        }
        // A folder that the user named is not hidden, and neither are folders in it.
        sandbox.hidden.retain(|hidden| !granted.iter().any(|(.., open)| hidden.starts_with(open)));
        mounts::open(&mounts, open, self.guard, &mut places, &mut sandbox)?;
        places.keep_what_is_read();
        sandbox.network = self.network(profile, weaker)?;
        self.finish(sandbox, &places)
    }

    fn of_everybody(&self, places: &mut Places<'_>) -> Result<Sandbox> {
        default_access::of_everybody(self.env, places);
        self.of_program(places);
        places.own(self.own.to_owned(), self.really(self.own));
        if let Some(tool) = self.tool {
            for (_, name) in tool.folders() {
                let folder = self.packages.join(name);
                places.own(folder.clone(), self.really(&folder));
            }
            if let Some(settings) = self.settings(tool, places)? {
                let _ = places.program(settings);
            }
        }
        let hidden = self.guard.private().cloned().collect();
        Ok(Sandbox { hidden, allow_weaker: self.spec.allow_weaker, ..Sandbox::default() })
    }

    /// Opens the program, and its installation where the program probably needs it. A tool, or a program that was found in
    /// PATH and lies in a folder `bin`, gets it; a script gets it if there is no profile. A program that was given by its
    /// path gets it only if it lies in a folder `bin` and there is no profile, or if that folder is a Python environment.
    /// If the name leads elsewhere than when the workload was created, nothing beside the program is opened.
    fn of_program(&self, places: &mut Places<'_>) {
        let Some(led) = places.program(self.program.to_owned()) else { return };
        let has_profile = self.spec.permission_profile.is_some();
        let (is_tool, is_path) = match &self.spec.source {
            Source::Package { .. } => (true, false),
            Source::Command { program } => (self.tool.is_some(), program.contains('/')),
            Source::Image { .. } => (false, false),
        };
        for (at, file) in [self.program, &led].into_iter().enumerate() {
            let Some(folder) = file.parent() else { continue };
            let is_programs = folder.file_name().is_some_and(|name| name == "bin");
            let is_scripts = at == 1 && is_script(file);
            let is_needed = match (is_path, has_profile) {
                (true, true) => default_access::is_environment(folder),
                (true, false) => is_programs || is_scripts,
                (false, _) => is_programs || is_tool || is_scripts && !has_profile,
            };
            if is_needed {
                default_access::installation(folder, places);
            }
        }
    }

    fn finish(&self, mut sandbox: Sandbox, places: &Places<'_>) -> Result<(Sandbox, Pins)> {
        (sandbox.read, sandbox.write) = places.settle()?;
        mounts::check_nothing_below(&sandbox)?;
        Ok((sandbox, places.pins()))
    }

    /// A path below the runtime's own folder, with that folder's name resolved.
    fn really(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(self.folder).ok();
        let folder = self.folder.canonicalize().ok();
        folder.zip(below).map_or_else(|| path.to_owned(), |(folder, below)| folder.join(below))
    }

    /// A path of a profile, and where it leads.
    fn asked(&self, field: &str, given: &str, places: &Places<'_>) -> Result<(PathBuf, Led)> {
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
        match places.led(&path)? {
            None => wrong("does not exist"),
            Some(led) if self.guard.is_hosts(&led.path) => {
                wrong("holds files of wharf's own, which no workload may have; name folders beside them")
            }
            Some(led) => Ok((path, led)),
        }
    }

    fn network(&self, profile: &PermissionProfile, weaker: &mut Vec<Measure>) -> Result<Network> {
        let mode = profile.network.as_ref().map_or("", |network| network.mode.as_str());
        if !matches!(mode, "" | "none" | "host") {
            let (field, why) = ("permission_profile.network.mode", "a plain process has the host's or none");
            self.spec.leave_out(field, PLACE, why, weaker)?;
        }
        if profile.limits_inbound() {
            let field = "permission_profile.network.inbound.allow_host";
            self.spec.leave_out(
                field,
                PLACE,
                "a plain process listens on loopback, to whoever is there",
                weaker,
            )?;
        }
        let listen = self.spec.transport.target_port().into_iter().collect();
        Ok(match profile.outbound() {
            Outbound::Everywhere => Network::Open,
            Outbound::Nowhere => Network::Ports { listen, connect: Vec::new() },
            Outbound::Listed { hosts, ports } => {
                if !hosts.is_empty() {
                    let field = "permission_profile.network.outbound.allow_host";
                    self.spec.leave_out(
                        field,
                        PLACE,
                        "the kernel knows addresses, not names of hosts",
                        weaker,
                    )?;
                }
                match ports {
                    [] => Network::Open,
                    ports => Network::Ports { listen, connect: ports.to_vec() },
                }
            }
        })
    }

    /// The file of a tool's settings; none if it contains credentials, or if its name leads elsewhere.
    ///
    /// # Errors
    /// The settings that stay closed, or the variables that are not passed on, name a registry for the package: another one
    /// would be asked for it, and whoever has that name there would be run.
    fn settings(&self, tool: Tool, places: &Places<'_>) -> Result<Option<PathBuf>> {
        let wanted: Vec<&str> = match &self.spec.source {
            Source::Package { package, .. } => vec![package.as_str()],
            _ => self.spec.args.iter().map(String::as_str).collect(),
        };
        registries::refuse_variables(tool, of_this_process(), &self.spec.env)?;
        let Some(home) = self.guard.home.as_ref() else { return Ok(None) };
        let path = home.join(registries::settings_file(tool));
        // A file that is too large, or that is none, cannot be searched: it stays closed.
        let Ok(text) = files::read_file(&path, Links::Follow, MAX_SETTINGS_BYTES) else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let is_itself = places.trail.lead(&path).is_some_and(|led| led.path == path);
        if is_itself && !registries::holds_credentials(&text) {
            return Ok(Some(path));
        }
        let profile = self.spec.permission_profile.iter();
        let mut opened = profile.flat_map(|profile| profile.read.iter().chain(&profile.write));
        if !opened.any(|given| given.split(':').next().is_some_and(|given| Path::new(given) == path)) {
            registries::refuse_settings(tool, &path, &text, &wanted, &self.spec.env)?;
        }
        Ok(None)
    }
}

/// True if the file is a script, which may load files that lie beside it.
fn is_script(file: &Path) -> bool {
    const ENDINGS: [&str; 14] =
        ["cjs", "cts", "js", "jsx", "lua", "mjs", "mts", "php", "pl", "py", "rb", "sh", "ts", "tsx"];
    let ending = file.extension().and_then(|ending| ending.to_str());
    let mut start = [0; 2];
    let mut begins = || {
        let opened = files::open(file, Links::Follow);
        opened.and_then(|(mut file, _)| file.read_exact(&mut start)).is_ok() && start == *b"#!"
    };
    ending.is_some_and(|ending| ENDINGS.contains(&ending)) || begins()
}

impl ProcessRuntime {
    /// A job that runs nothing and asks for every kind of confinement, to find out what can be enforced.
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
            parent: None,
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

/// Makes the folders that the workload may write and that do not exist yet, except its own: the launcher passes over a
/// folder that does not exist.
pub(crate) fn make_folders(sandbox: &Sandbox, own: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let written = sandbox.write.iter().filter(|place| place.name != own && !place.path.exists());
    for folder in written.map(|place| &place.path) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| Error::io(&format!("'{}' cannot be made", folder.display()), &error))?;
    }
    Ok(())
}
