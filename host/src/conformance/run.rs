//! Runs cases one after the other, each step in a process, and collects their results.
use crate::conformance::case_process::{CASE_ARGUMENT, Order, Work, make_private};
use crate::conformance::leftovers::{Leftovers, MARK_VARIABLE};
use crate::conformance::report::{CaseReport, CaseResult, Report};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;
use wharf_model::HostId;
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::Handle;
use wharf_sdk::conformance::{Case, Material, Outcome, Setting, cases};
use wharf_sdk::files::{self, Links};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_supervisor::Config;
use wharf_supervisor::free_port;

/// How much longer than its case a process may take: it connects before, and cleans up after.
const CONNECT_AND_CLEAN_WAIT: Duration = Duration::from_secs(45);
/// The number of bytes at the end of a failed case's stderr that are kept.
const STDERR_BYTES: usize = 4 * 1024;

/// A larger outcome is refused.
const OUTCOME_BYTES: u64 = 16 * 1024 * 1024;

/// The runtime to test, and the programs for the cases.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The library.
    pub library: PathBuf,
    /// The runtime.
    pub runtime: RuntimeStamp,
    /// The library's package and version.
    pub plugin: String,
    /// The programs that the cases run.
    pub material: Material,
    /// The cases to run.
    pub cases: Vec<&'static Case>,
    /// How long a step of a case may take.
    pub timeout: Duration,
}

/// Runs a suite, and calls `tell` after each case, until `given_up` resolves.
///
/// # Errors
/// No case can be run, since a folder or a process cannot be made. Or the run was given up; then the resources of the case
/// under way are removed.
pub async fn run(
    config: &Config,
    suite: &Suite,
    mut tell: impl FnMut(&CaseReport),
    given_up: impl Future<Output = ()>,
) -> Result<Report> {
    let folder = config.data_dir.join("conformance").join(random_id()?);
    let made = Folder::make(folder).map_err(|error| cannot(&error))?;
    let mark = random_id()?;
    let leftovers = Leftovers::taken_in(mark.clone()).map_err(|error| cannot(&error))?;
    let mut given_up = std::pin::pin!(given_up);
    let mut reports = Vec::new();
    for case in &suite.cases {
        let hosts = [random_id()?, random_id()?];
        let trial = Trial { config, suite, case, folder: made.0.join(case.id), hosts, mark: &mark };
        let report = tokio::select! {
            report = trial.run() => report?,
            () = &mut given_up => {
                trial.sweep().await?;
                leftovers.kill();
                return Err(Error::new(ErrorKind::Failed, format!("given up in the case {}", case.id)));
            }
        };
        // Nothing is killed after a case that passed: it has cleaned up, and an engine that was started for it may go on.
        if matches!(report.result, CaseResult::Failed(_)) {
            let count = leftovers.kill();
            tracing::info!(case = case.id, count, "processes that a case left behind were killed");
        }
        tell(&report);
        reports.push(report);
    }
    let all: Vec<&Case> = cases().collect();
    Ok(Report::new(suite.runtime.name.clone(), suite.plugin.clone(), reports, &all))
}

fn cannot(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "the cases cannot be run", error)
}

fn random_id() -> Result<String> {
    let id =
        HostId::random().map_err(|error| Error::caused(ErrorKind::Failed, "no id can be made", &error))?;
    Ok(id.to_string())
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make(path: PathBuf) -> io::Result<Self> {
        make_private(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "files of the cases cannot be removed");
        }
    }
}

/// One case that is being run.
struct Trial<'a> {
    config: &'a Config,
    suite: &'a Suite,
    case: &'static Case,
    folder: PathBuf,
    hosts: [String; 2],
    /// The mark of this run.
    mark: &'a str,
}

impl Trial<'_> {
    async fn run(&self) -> Result<CaseReport> {
        let began = Instant::now();
        let result = match self.case.unmet(&self.suite.runtime, &self.suite.material) {
            Some(need) => CaseResult::Skipped(need.to_string()),
            None => self.steps().await?,
        };
        let failed = matches!(result, CaseResult::Failed(_));
        Ok(CaseReport {
            id: self.case.id,
            sentence: self.case.sentence,
            profile: self.case.profile,
            result,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            stderr: if failed { self.stderr() } else { String::new() },
        })
    }

    async fn steps(&self) -> Result<CaseResult> {
        make_private(&self.users_folder()).map_err(|error| cannot(&error))?;
        let mut left = None;
        for step in 0..self.case.steps() {
            match self.step(step, left.take()).await? {
                Ok(handle) => left = handle,
                Err(result) => {
                    self.sweep().await?;
                    return Ok(result);
                }
            }
        }
        Ok(CaseResult::Passed)
    }

    /// Removes all resources of the case's hosts.
    async fn sweep(&self) -> Result<()> {
        let hosts = self.hosts.to_vec();
        self.process(Work::Sweep { hosts }).await.map(drop).map_err(|error| cannot(&error))
    }

    /// Runs a step; returns the workload for the next one, or the reason why the case fails.
    async fn step(
        &self,
        step: usize,
        left: Option<Handle>,
    ) -> Result<std::result::Result<Option<Handle>, CaseResult>> {
        let port = free_port().await.map_err(|error| cannot(&error))?;
        let setting = Setting {
            hosts: self.hosts.clone(),
            material: self.suite.material.clone(),
            capabilities: self.suite.runtime.capabilities.clone(),
            port,
            addresses: own_addresses(),
            folder: self.users_folder(),
            private_dirs: self.own_config().private_dirs(),
            patience_ms: u64::try_from(self.suite.timeout.as_millis()).unwrap_or(u64::MAX),
            left,
        };
        let work = Work::Step { case: self.case.id.to_owned(), step, setting: Box::new(setting) };
        let ended = self.process(work).await.map_err(|error| cannot(&error))?;
        Ok(match (ended, self.outcome()) {
            (_, Some(Outcome { breach: Some(why), .. })) => Err(CaseResult::Failed(why)),
            (Some(status), Some(outcome)) if status.success() => match outcome.untold {
                Some(why) => Err(CaseResult::Skipped(why)),
                None => Ok(outcome.left),
            },
            (Some(status), _) => {
                Err(CaseResult::Failed(format!("the process of the plugin ended: {}", how(status))))
            }
            (None, _) => {
                let why = "the process of the plugin did not end in time, and was killed";
                Err(CaseResult::Failed(why.to_owned()))
            }
        })
    }

    /// Runs a process that does this work; returns its exit status, or none if it did not end in time.
    async fn process(&self, work: Work) -> io::Result<Option<ExitStatus>> {
        let order = Order {
            config: self.own_config(),
            library: self.suite.library.clone(),
            runtime: self.suite.runtime.name.clone(),
            work,
            outcome: self.outcome_file(),
        };
        let _: io::Result<()> = std::fs::remove_file(&order.outcome);
        let stderr = std::fs::File::options().create(true).append(true).open(self.stderr_file())?;
        let mut child = tokio::process::Command::new(&self.config.executable)
            .arg(CASE_ARGUMENT)
            .env(MARK_VARIABLE, self.mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            // Ctrl-C reaches the process group of the terminal; the sweep must go on.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&serde_json::to_vec(&order)?).await?;
        }
        match tokio::time::timeout(self.suite.timeout.saturating_add(CONNECT_AND_CLEAN_WAIT), child.wait())
            .await
        {
            Ok(ended) => ended.map(Some),
            Err(_) => {
                child.kill().await?;
                Ok(None)
            }
        }
    }

    /// The user's configuration, with folders of the case's own.
    fn own_config(&self) -> Config {
        Config {
            state_dir: self.folder.join("state"),
            data_dir: self.folder.join("data"),
            ..self.config.clone()
        }
    }

    /// The folder of files that workloads may read or write. It lies beside wharf's own folders, which no workload may use.
    fn users_folder(&self) -> PathBuf {
        self.folder.join("user")
    }

    fn outcome_file(&self) -> PathBuf {
        self.folder.join("outcome.json")
    }

    fn stderr_file(&self) -> PathBuf {
        self.folder.join("stderr")
    }

    fn outcome(&self) -> Option<Outcome> {
        // The tested library can write to this folder, too, so the file is not trusted.
        let bytes = files::read_file(&self.outcome_file(), Links::Refuse, OUTCOME_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn stderr(&self) -> String {
        last(&self.stderr_file(), STDERR_BYTES).unwrap_or_default()
    }
}

/// Loopback, and the other addresses of this machine, one of which a workload with a network can reach.
fn own_addresses() -> Vec<IpAddr> {
    /// More addresses are no more likely to be reached, and each failed attempt takes time.
    const MOST: usize = 8;
    let found = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let found = found.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    let beside = found.filter(|address| !address.is_loopback());
    std::iter::once(Ipv4Addr::LOCALHOST).chain(beside).take(MOST).map(IpAddr::V4).collect()
}

/// The last bytes of a file, as text.
fn last(path: &Path, bytes: usize) -> io::Result<String> {
    use io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(bytes as u64)))?;
    let mut end = Vec::new();
    file.take(bytes as u64).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (_, Some(code)) => format!("exit code {code}"),
        _ => status.to_string(),
    }
}
