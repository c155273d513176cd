//! Makes a [`Config`] from the environment, the user's files and the global options. No other code of the command line
//! looks at the environment.
use super::console::Unheeded;
use super::installation::prefix_of;
use clap::{Args, ValueEnum};
use rustix::fs::Mode;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wharf::commands::import::toolhive::Folders;
use wharf_model::{Error, ErrorKind, Result};
use wharf_runtimes::PluginDir;
use wharf_sdk::launch::UID_VARIABLE;
use wharf_supervisor::{
    Config, LIST_TIMEOUT_MS, PINS_FILE, Settings, SettingsError, read_optional, read_settings,
};

/// The system's folders of plugins.
const SYSTEM_PLUGIN_DIRS: [&str; 2] = ["/usr/local/lib/wharf/plugins", "/usr/lib/wharf/plugins"];

/// Where things are: options of every command.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct EnvironmentOptions {
    /// Records, locks and logs [env: WHARF_STATE_DIR] [default: $XDG_STATE_HOME/wharf or ~/.local/state/wharf]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options", hide_short_help = true)]
    state_dir: Option<PathBuf>,
    /// config.json, plugins.lock.json and secrets/ [env: WHARF_CONFIG_DIR] [default: $XDG_CONFIG_HOME/wharf or
    /// ~/.config/wharf]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options", hide_short_help = true)]
    config_dir: Option<PathBuf>,
    /// The runtimes' own files, and plugins/ [env: WHARF_DATA_DIR] [default: $XDG_DATA_HOME/wharf or
    /// ~/.local/share/wharf]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options", hide_short_help = true)]
    data_dir: Option<PathBuf>,
    /// Files that can be remade, such as copies of plugins [env: WHARF_CACHE_DIR] [default: $XDG_CACHE_HOME/wharf or
    /// ~/.cache/wharf]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options", hide_short_help = true)]
    cache_dir: Option<PathBuf>,
    /// Search for plugins here first; can be given several times [env: WHARF_PLUGIN_PATH, separated by colons]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options", hide_short_help = true)]
    plugin_dir: Vec<PathBuf>,
    /// Log what is at least this grave, on stderr [env: WHARF_LOG] [default: warn]
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        help_heading = "Global options",
        hide_short_help = true
    )]
    log_level: Option<LogLevel>,
}

/// The folder of the plugins that `packaging/install` puts below the prefix of `bin/wharf`.
const PLUGINS_BELOW_PREFIX: &str = "lib/wharf/plugins";

/// How grave a log record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The filter of this level. The library that speaks MCP logs what a command tells as its error, in words of its
    /// own, so it is heard only by those who look for faults.
    const fn filter(self) -> &'static str {
        match self {
            Self::Error => "error,rmcp=off",
            Self::Warn => "warn,rmcp=off",
            Self::Info => "info,rmcp=off",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Sets the umask: every file that is made belongs to its user alone, whatever the caller's umask was.
pub(crate) fn own_umask() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

impl EnvironmentOptions {
    /// Begins to log on stderr.
    pub(super) fn start_log(&self) -> Result<()> {
        let level = self.log_level()?.unwrap_or(LogLevel::Warn);
        tracing_subscriber::fmt()
            .with_writer(|| Unheeded(std::io::stderr()))
            // The subscriber would report a failed write on stderr, too, and panic if that fails.
            .log_internal_errors(false)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_env_filter(tracing_subscriber::EnvFilter::new(level.filter()))
            .init();
        Ok(())
    }

    /// The surroundings of the library.
    ///
    /// # Errors
    /// A directory is not known, root would write into another user's HOME, or the user's configuration is invalid.
    pub(super) fn config(&self) -> Result<Config> {
        let state_dir =
            directory(self.state_dir.as_deref(), "WHARF_STATE_DIR", "XDG_STATE_HOME", ".local/state")?;
        let config_dir =
            directory(self.config_dir.as_deref(), "WHARF_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")?;
        let data_dir =
            directory(self.data_dir.as_deref(), "WHARF_DATA_DIR", "XDG_DATA_HOME", ".local/share")?;
        let cache_dir = directory(self.cache_dir.as_deref(), "WHARF_CACHE_DIR", "XDG_CACHE_HOME", ".cache");
        let cache_dir = match cache_dir {
            Err(error) if self.cache_dir.is_some() => return Err(error),
            // No command depends on a cache, so without HOME there is none.
            other => other.ok(),
        };
        let executable = executable()?;
        let mut settings = read_settings(&config_dir).map_err(|error| unusable(&error))?;
        settings.list_timeout_ms = list_timeout()?.or(settings.list_timeout_ms);
        let pins = read_optional(&config_dir.join(PINS_FILE)).map_err(|error| unusable(&error))?;
        let plugin_dirs = self.plugin_dirs(&settings, &config_dir, &data_dir, &executable)?;
        let path = variable("PATH").unwrap_or_default();
        Ok(Config {
            state_dir,
            data_dir,
            cache_dir,
            config_dir,
            plugin_dirs,
            executable,
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            search_path: std::env::split_paths(&path)
                .filter(|dir| dir.is_absolute() && dir.to_str().is_some())
                .collect(),
            default_runtime: text("WHARF_RUNTIME")?,
            // Supervisors write to their own logs, where more records are useful.
            log_level: self.log_level()?.unwrap_or(LogLevel::Info).as_str().to_owned(),
            settings,
            pins,
            is_marked: std::env::var_os(UID_VARIABLE).is_some(),
        })
    }

    fn log_level(&self) -> Result<Option<LogLevel>> {
        if self.log_level.is_some() {
            return Ok(self.log_level);
        }
        let Some(text) = text("WHARF_LOG")? else { return Ok(None) };
        LogLevel::from_str(&text, true).map(Some).map_err(|_| {
            Error::new(ErrorKind::Usage, format!("WHARF_LOG is '{text}', and that is no level of a log"))
                .hint("it is one of error, warn, info, debug, trace")
        })
    }

    /// The folders in their order; all but the last are for plugins alone.
    fn plugin_dirs(
        &self,
        settings: &Settings,
        config_dir: &Path,
        data_dir: &Path,
        executable: &Path,
    ) -> Result<Vec<PluginDir>> {
        let mut paths = Vec::new();
        for path in &self.plugin_dir {
            paths.push(absolute(path)?);
        }
        for path in std::env::split_paths(&variable("WHARF_PLUGIN_PATH").unwrap_or_default()) {
            if !path.as_os_str().is_empty() {
                paths.push(absolute(&path)?);
            }
        }
        paths.extend(settings.plugin_dirs.iter().map(|path| config_dir.join(path)));
        paths.push(data_dir.join("plugins"));
        // Those that were installed with this executable go before those of the system, which may be of another version.
        let own = prefix_of(executable).map(|prefix| prefix.join(PLUGINS_BELOW_PREFIX));
        let system =
            SYSTEM_PLUGIN_DIRS.map(PathBuf::from).into_iter().filter(|dir| Some(dir) != own.as_ref());
        paths.extend(own.iter().cloned().chain(system));
        let mut dirs: Vec<_> = paths.into_iter().map(|path| PluginDir { path, dedicated: true }).collect();
        if let Some(beside) = executable.parent() {
            dirs.push(PluginDir { path: beside.to_owned(), dedicated: false });
        }
        Ok(dirs)
    }
}

/// The file of this program.
pub(super) fn executable() -> Result<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Error::caused(ErrorKind::Failed, "wharf's own executable is not known", &error))
}

/// One of the directories: from the option, wharf's own variable, the variable of the XDG specification, or HOME.
fn directory(option: Option<&Path>, own: &str, xdg: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(given) = option {
        return absolute(given);
    }
    if let Some(given) = variable(own) {
        return absolute(Path::new(&given));
    }
    // "All paths set in these environment variables must be absolute": others are ignored (XDG Base Directory
    // Specification 0.8, "Basics").
    if let Some(base) = variable(xdg).map(PathBuf::from).filter(|base| base.is_absolute()) {
        return absolute(&base.join("wharf"));
    }
    absolute(&home()?.join(below_home).join("wharf"))
}

/// The folders of ToolHive's state, by the XDG specification like wharf's own. If they are not known, that is no error yet.
pub(super) fn toolhive_folders() -> Folders {
    let home = variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let folder = |xdg: &str, below_home: &str| {
        let base = variable(xdg).map(PathBuf::from).filter(|base| base.is_absolute());
        Some(base.or_else(|| Some(home.as_ref()?.join(below_home)))?.join("toolhive"))
    };
    Folders { state: folder("XDG_STATE_HOME", ".local/state"), data: folder("XDG_DATA_HOME", ".local/share") }
}

/// HOME. It is an error if root was given another user's: root's files would lie in it, and that user could not change
/// them.
fn home() -> Result<PathBuf> {
    const INSTEAD: &str = "or name the directories: --state-dir, --config-dir and --data-dir";
    let Some(home) = variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute()) else {
        return Err(Error::new(ErrorKind::Failed, "HOME is not set, so there is no place for wharf's files")
            .hint(format!("set HOME, {INSTEAD}")));
    };
    let owner = std::fs::metadata(&home).map_or(0, |metadata| metadata.uid());
    if rustix::process::geteuid().is_root() && owner != 0 {
        let message = format!("you are root, and HOME ({}) belongs to user {owner}", home.display());
        return Err(Error::new(ErrorKind::Failed, message)
            .hint(format!("run it as that user, or with root's own HOME (sudo -H), {INSTEAD}")));
    }
    Ok(home)
}

/// Makes a path absolute, since supervisors run in another folder. It must be UTF-8, since they get it in JSON.
fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::caused(ErrorKind::Usage, format!("the path '{}'", path.display()), &error))?;
    if absolute.to_str().is_none() {
        return Err(Error::new(ErrorKind::Usage, format!("the path '{}' is not UTF-8", path.display())));
    }
    Ok(absolute)
}

/// A variable; an empty one counts as not set.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A variable's value as text; empty counts as not set.
pub(super) fn text(name: &str) -> Result<Option<String>> {
    match std::env::var_os(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) if value.is_empty() => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(Error::new(ErrorKind::Usage, format!("the value of {name} is not UTF-8"))),
    }
}

/// How long a list waits for a runtime, in milliseconds, from its variable.
fn list_timeout() -> Result<Option<u64>> {
    const NAME: &str = "WHARF_LIST_TIMEOUT_MS";
    let Some(text) = text(NAME)? else { return Ok(None) };
    let wrong = |why: &str| Error::new(ErrorKind::Usage, format!("{NAME} is '{text}', and {why}"));
    let number: u64 = text.parse().map_err(|_| wrong("that is no number of milliseconds"))?;
    if LIST_TIMEOUT_MS.contains(&number) {
        return Ok(Some(number));
    }
    Err(wrong(&format!("must be from {} to {}", LIST_TIMEOUT_MS.start(), LIST_TIMEOUT_MS.end())))
}

fn unusable(error: &SettingsError) -> Error {
    let shown = Error::new(ErrorKind::Failed, wharf_model::chain(error)).hint("mend the file, or remove it");
    match error.example() {
        Some(example) => shown.hint(format!("for example: {example}")),
        None => shown,
    }
}
