//! Version managers: which program their user's shell would run, found when a workload is created.
//!
//! Managers such as pyenv and asdf put shims into PATH: scripts that look for the version of the folder that they run in, and
//! then run that one. In a sandbox a shim may read neither that folder nor the manager's settings, so it would run another
//! version, or nothing. So the manager is asked once, in the folder that the user is in, and the folder of the real program
//! comes before the shims in the workload's PATH. [`crate::runtime`] calls it from `pin`; nothing here is asked later.
use crate::{
    command,
    environment::{SEARCH_PATH, of_this_process},
    package::Tool,
};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::io::AsyncReadExt;
use wharf_sdk::{Error, Result, Source, WorkloadSpec};

/// How long a manager may take to answer. pyenv needs about a tenth of a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// More of its answer is not read.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;
/// A shim leads to a program, which may be a script whose interpreter is a shim.
const MAX_STEPS: usize = 4;
/// The part of a path below which fnm makes a folder for each shell. It is gone after a reboot; where it leads stays.
const FOLDERS_OF_SHELLS: &str = "fnm_multishells";

/// A manager that has shims. `MANAGER which PROGRAM` is the question that all of these understand.
struct Manager {
    name: &'static str,
    /// The variable that names its folder.
    variable: &'static str,
    /// Its folder, below HOME, where that variable is not set.
    folder: &'static str,
    /// The folder of its shims, below that one.
    shims: &'static str,
}

const fn manager(
    name: &'static str,
    variable: &'static str,
    folder: &'static str,
    shims: &'static str,
) -> Manager {
    Manager { name, variable, folder, shims }
}

const MANAGERS: [Manager; 7] = [
    manager("pyenv", "PYENV_ROOT", ".pyenv", "shims"),
    manager("asdf", "ASDF_DATA_DIR", ".asdf", "shims"),
    manager("mise", "MISE_DATA_DIR", ".local/share/mise", "shims"),
    manager("volta", "VOLTA_HOME", ".volta", "bin"),
    manager("rbenv", "RBENV_ROOT", ".rbenv", "shims"),
    manager("nodenv", "NODENV_ROOT", ".nodenv", "shims"),
    manager("goenv", "GOENV_ROOT", ".goenv", "shims"),
];

/// A shim.
struct Shim<'a> {
    manager: &'a Manager,
    /// The manager's folder.
    root: PathBuf,
    /// The folder of the shim, as it stands in its path.
    folder: PathBuf,
    /// The program that it stands for.
    program: String,
}

/// The circumstances of a search.
struct Search<'a> {
    /// The variables of the user's shell.
    host: BTreeMap<String, String>,
    /// Those that the workload was given.
    asked: &'a BTreeMap<String, String>,
    /// The folder that the user is in.
    current_dir: PathBuf,
}

/// The search path of a workload that is being created: with it, what the user's shell would run is what runs. And the name
/// under which the program is to be searched there, if the source names a shim by its path.
///
/// # Errors
/// A manager does not tell what one of its shims stands for.
pub(crate) async fn search_path(spec: &WorkloadSpec) -> Result<(String, Option<String>)> {
    let of_user = std::env::current_dir().ok();
    let current_dir = spec.working_dir.as_ref().map(PathBuf::from).or(of_user);
    let search = Search {
        host: of_this_process().collect(),
        asked: &spec.env,
        current_dir: current_dir.filter(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from("/")),
    };
    search.path(&spec.source).await
}

/// The source; a program that was given as a manager's shim has been recorded by its name, and is searched by that.
pub(crate) fn sought(spec: &WorkloadSpec) -> Cow<'_, Source> {
    if let (Source::Command { program }, Some(pins)) = (&spec.source, &spec.pinned)
        && program.contains('/')
        && let Some(name) = Path::new(program).file_name().and_then(|name| name.to_str())
        && pins.paths.contains_key(name)
    {
        return Cow::Owned(Source::Command { program: name.to_owned() });
    }
    Cow::Borrowed(&spec.source)
}

impl Search<'_> {
    /// The same for a source.
    async fn path(&self, source: &Source) -> Result<(String, Option<String>)> {
        let given = self.variable(SEARCH_PATH).unwrap_or_default();
        let mut folders: Vec<PathBuf> =
            std::env::split_paths(given).filter(|folder| folder.is_absolute()).map(lasting).collect();
        let first = first_program(source, &folders).filter(|program| command::is_program(program));
        let (mut by_name, mut program) = (None, first);
        for step in 0..MAX_STEPS {
            let Some(found) = program else { break };
            program = match self.shim(&found) {
                Some(shim) => {
                    let real = self.ask(&shim, &folders).await?;
                    put_before(&mut folders, &shim.folder, &real);
                    if step == 0 && matches!(source, Source::Command { program } if program.contains('/')) {
                        by_name = Some(shim.program);
                    }
                    Some(real)
                }
                None => {
                    command::interpreter_by_name(&found).and_then(|name| command::find_among(&name, &folders))
                }
            };
        }
        let joined = std::env::join_paths(folders).ok().and_then(|joined| joined.into_string().ok());
        Ok((joined.unwrap_or_else(|| given.to_owned()), by_name))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.asked.get(name).or_else(|| self.host.get(name)).map(String::as_str)
    }

    /// The shim that a file is, if it is one.
    fn shim(&self, file: &Path) -> Option<Shim<'static>> {
        let folder = file.parent()?;
        let program = file.file_name()?.to_str()?;
        let real_folder = folder.canonicalize().ok()?;
        MANAGERS.iter().find_map(|manager| {
            let root = match self.variable(manager.variable) {
                Some(root) => PathBuf::from(root),
                None => Path::new(self.variable("HOME")?).join(manager.folder),
            };
            let is_shims = root.join(manager.shims).canonicalize().is_ok_and(|shims| shims == real_folder);
            // Volta itself lies beside its shims.
            (is_shims && program != manager.name).then(|| Shim {
                manager,
                root,
                folder: folder.to_owned(),
                program: program.to_owned(),
            })
        })
    }

    /// Asks a manager for the program that a shim stands for.
    async fn ask(&self, shim: &Shim<'_>, folders: &[PathBuf]) -> Result<PathBuf> {
        let Shim { manager, root, program, folder } = shim;
        let unknown = |why: &str| {
            Error::precondition(format!(
                "'{}' is a shim of {name}, which does not tell the program that it stands for ({why}), and inside of the \
                 sandbox it could run another one: give the path of the program itself, or set PATH for the workload",
                folder.join(program).display(),
                name = manager.name,
            ))
        };
        // Its own folders go first: others in PATH may be open to workloads, and what is asked here is in no sandbox.
        let of_its_own = [root.join("libexec"), root.join("bin")];
        let places = of_its_own.iter().chain(folders).cloned().collect::<Vec<_>>();
        let asked = command::find_among(manager.name, &places)
            .or_else(|| {
                command::find_among(manager.name, &[Path::new(self.variable("HOME")?).join(".local/bin")])
            })
            .ok_or_else(|| unknown("its own command was not found"))?;
        let (succeeded, said, complaint) =
            tokio::time::timeout(ANSWER_TIMEOUT, self.answer(&asked, program, folders))
                .await
                .map_err(|_| unknown("it gave no answer in 10 seconds"))?
                .map_err(|error| unknown(&error.to_string()))?;
        let real = PathBuf::from(said.lines().next().unwrap_or_default().trim());
        let is_real = succeeded && real.is_absolute() && command::is_program(&real);
        if is_real && self.shim(&real).is_none() {
            return Ok(real);
        }
        let complaint = complaint.lines().map(str::trim).find(|line| !line.is_empty());
        Err(unknown(&complaint.unwrap_or("it names no program").escape_debug().to_string()))
    }

    /// Runs the manager's question. Whether it succeeded, its answer, and its complaint.
    async fn answer(
        &self,
        manager: &Path,
        program: &str,
        folders: &[PathBuf],
    ) -> std::io::Result<(bool, String, String)> {
        let mut question = tokio::process::Command::new(manager);
        question.arg("which").arg(program).env_clear().envs(&self.host).current_dir(&self.current_dir);
        // Of the workload's variables it gets those alone that choose a version: others are not its business.
        let choosing = |name: &str| {
            MANAGERS.iter().any(|manager| {
                let prefix = manager.name.to_ascii_uppercase() + "_";
                name.starts_with(&prefix)
            })
        };
        question.envs(self.asked.iter().filter(|(name, _)| choosing(name)));
        if let Ok(path) = std::env::join_paths(folders) {
            question.env(SEARCH_PATH, path);
        }
        question.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut asked = question.spawn()?;
        let (stdout, stderr) = (asked.stdout.take(), asked.stderr.take());
        let (said, complaint) = tokio::join!(text_of(stdout), text_of(stderr));
        let status = asked.wait().await?;
        Ok((status.success(), said?, complaint?))
    }
}

async fn text_of(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file that a source names first: its program, or the tool that fetches its package.
fn first_program(source: &Source, folders: &[PathBuf]) -> Option<PathBuf> {
    match source {
        Source::Command { program } if program.contains('/') => Some(PathBuf::from(program)),
        Source::Command { program } => command::find_among(program, folders),
        Source::Package { tool, .. } => command::find_among(Tool::named(tool).ok()?.program(), folders),
        Source::Image { .. } => None,
    }
}

/// Puts the folder of a program before that of its shim, unless it is searched before it already.
fn put_before(folders: &mut Vec<PathBuf>, shims: &Path, program: &Path) {
    let Some(folder) = program.parent() else { return };
    let at = folders.iter().position(|other| other == shims).unwrap_or_default();
    if !folders[..at].iter().any(|earlier| earlier == folder) {
        folders.insert(at, folder.to_owned());
    }
}

/// A folder of PATH by a name that is still there after a reboot.
fn lasting(folder: PathBuf) -> PathBuf {
    if folder.iter().any(|part| part == FOLDERS_OF_SHELLS) {
        return folder.canonicalize().unwrap_or(folder);
    }
    folder
}

#[cfg(test)]
mod tests;
