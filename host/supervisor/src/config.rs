//! [`Config`]: the library's surroundings. `host/src/main.rs` and `host/src/cli/` fill it from environment and files; no
//! other code looks at them.
use crate::settings_file::PINS_FILE;
use crate::settings_ranges::{COUNT, LIST_TIMEOUT_MS, MEMORY_BYTES, SESSION_IDLE_MS};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use wharf_proxy::Limits;
use wharf_records::StateDir;
use wharf_runtimes::{ConnectOptions, Deadlines, PluginDir, Prober, Verdicts};

/// The surroundings that commands and supervisors need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The folder of records, locks and logs.
    pub state_dir: PathBuf,
    /// The folder in which each runtime has a folder of its own.
    pub data_dir: PathBuf,
    /// The folder of files that can be made again: copies of plugins, verdicts on them. None where no such place is known.
    #[serde(default)]
    pub cache_dir: Option<PathBuf>,
    /// The folder of the user's configuration: `config.json`, `plugins.lock.json`, `secrets/`.
    pub config_dir: PathBuf,
    /// The folders to search for plugins, in order.
    pub plugin_dirs: Vec<PluginDir>,
    /// The executable that supervisors and launchers are started from.
    pub executable: PathBuf,
    /// The folder from which relative paths of a SERVER are resolved.
    pub current_dir: PathBuf,
    /// The folders in which a SERVER without a slash is looked up as a command.
    pub search_path: Vec<PathBuf>,
    /// The runtime for `run` if the user names none.
    pub default_runtime: Option<String>,
    /// The lowest level of log records: `error` to `trace`.
    pub log_level: String,
    /// The user's settings.
    pub settings: Settings,
    /// SHA-256 digests of libraries, by file name.
    pub pins: BTreeMap<String, String>,
    /// True if this process's environment carries the marks of a workload: then it runs inside of one.
    #[serde(skip)]
    pub is_marked: bool,
}

/// `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The runtime for `run` if the user names none.
    pub default_runtime: Option<String>,
    /// More folders with plugins, after those of the command line.
    pub plugin_dirs: Vec<PathBuf>,
    /// The settings of each runtime, by name.
    pub runtimes: BTreeMap<String, serde_json::Value>,
    /// How long a workload may take to become ready, in milliseconds. Two minutes by default, since a package may have to
    /// be fetched first.
    pub start_timeout_ms: Option<u64>,
    /// How long `list` and `status` wait for a runtime's answer, in milliseconds; its rows are stale then. 2500 by default.
    pub list_timeout_ms: Option<u64>,
    /// The limits of every workload's proxy.
    pub proxy: ProxySettings,
    /// The settings of the MCP server.
    pub mcp: McpSettings,
}

/// `mcp` in `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpSettings {
    /// The requests that it meets without asking anybody.
    pub allow: McpAllowList,
}

/// `mcp.allow` in `config.json`: patterns. Whoever writes one lets every model that talks to the MCP server do that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpAllowList {
    /// Packages that may be run, with their arguments: `uvx://mcp-server-time`, `npx://@scope/server-files /srv`.
    pub packages: Vec<String>,
    /// Images that may be run, with their arguments.
    pub images: Vec<String>,
    /// Commands that may be run, with their arguments.
    pub commands: Vec<String>,
    /// Names of workloads that may be started, stopped, restarted and removed.
    pub workloads: Vec<String>,
    /// Tools that may be called, as `WORKLOAD/TOOL`.
    pub tools: Vec<String>,
}

/// `proxy` in `config.json`: limits that differ from the proxy's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxySettings {
    /// Bytes that the proxy may hold at once for clients and a server that do not read; at least 4 MiB.
    pub memory_bytes: Option<u64>,
    /// How long a call may take without an answer or progress, in milliseconds; no limit by default.
    pub call_timeout_ms: Option<u64>,
    /// How long a stream can be resumed, and how long a call goes on after its client has gone, in milliseconds.
    pub resume_ms: Option<u64>,
    /// The most sessions of a workload that have servers of their own at the same time.
    pub session_servers: Option<u16>,
    /// How long a server is kept in reserve for the next session, in milliseconds; 0 for none. A minute by default.
    pub session_reserve_ms: Option<u64>,
    /// The most sessions of a workload.
    pub sessions: Option<u16>,
    /// How long a session may be unused, in milliseconds; then it ends.
    pub session_idle_ms: Option<u64>,
    /// Bytes of one request.
    pub body_bytes: Option<u64>,
    /// Names, beside those of loopback, under which clients reach every proxy.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call every proxy.
    pub allowed_origins: Vec<String>,
}

impl ProxySettings {
    /// The most sessions of a workload that have servers of their own at the same time.
    pub fn session_servers(&self) -> usize {
        const USUAL: u16 = 16;
        self.session_servers.unwrap_or(USUAL).max(*COUNT.start()).into()
    }

    /// How long a server is kept in reserve for the next session; zero for none.
    pub fn session_reserve(&self) -> Duration {
        self.session_reserve_ms.map_or(Duration::from_secs(60), Duration::from_millis)
    }

    /// The limits of a proxy.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if let Some(bytes) = self.memory_bytes {
            limits.memory_bytes = usize::try_from(bytes.max(*MEMORY_BYTES.start())).unwrap_or(usize::MAX);
            limits.line_bytes = limits.line_bytes.min(limits.memory_bytes / 2);
            limits.body_bytes = limits.body_bytes.min(limits.memory_bytes / 4);
            limits.stdin_queue_bytes = limits.stdin_queue_bytes.min(limits.memory_bytes / 4);
        }
        if let Some(bytes) = self.body_bytes {
            let most = limits.memory_bytes / 2;
            limits.body_bytes =
                usize::try_from(bytes).unwrap_or(usize::MAX).clamp(limits.opening_bytes.min(most), most);
        }
        if let Some(sessions) = self.sessions {
            limits.sessions = usize::from(sessions.max(*COUNT.start()));
        }
        if let Some(time) = self.session_idle_ms {
            limits.session_idle = Duration::from_millis(time.max(*SESSION_IDLE_MS.start()));
        }
        limits.call_timeout = self.call_timeout_ms.map(Duration::from_millis);
        if let Some(time) = self.resume_ms {
            limits.ring_keep = Duration::from_millis(time);
        }
        limits
    }
}

impl Settings {
    /// How long a workload may take to become ready.
    pub fn start_timeout(&self) -> Duration {
        self.start_timeout_ms.map_or(Duration::from_secs(120), Duration::from_millis)
    }

    /// How long the operations of runtimes may take.
    fn deadlines(&self) -> Deadlines {
        let usual = Deadlines::default();
        let least = *LIST_TIMEOUT_MS.start();
        let shown = self.list_timeout_ms.map_or(usual.shown, |ms| Duration::from_millis(ms.max(least)));
        Deadlines { shown, ..usual }
    }
}

impl Config {
    /// The state directory.
    pub fn state(&self) -> StateDir {
        StateDir::new(&self.state_dir)
    }

    /// The host's own folders, which no workload may use.
    pub fn private_dirs(&self) -> Vec<PathBuf> {
        let dirs = [&self.state_dir, &self.data_dir, &self.config_dir];
        dirs.into_iter().chain(&self.cache_dir).cloned().collect()
    }

    /// The verdicts on plugin libraries that were tried.
    pub fn verdicts(&self) -> Verdicts {
        self.cache_dir.as_deref().map(Verdicts::below).unwrap_or_default()
    }

    /// The options that plugins are connected with.
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            dirs: self.plugin_dirs.clone(),
            pins: self.pins.clone(),
            pins_file: self.config_dir.join(PINS_FILE),
            prober: Some(Prober::new(self.executable.clone(), self.verdicts())),
            data_dir: self.data_dir.join("runtimes"),
            cache_dir: self.cache_dir.as_ref().map(|cache| cache.join("plugins")),
            log_dir: self.state().logs(),
            private_dirs: self.private_dirs(),
            launcher: vec![
                self.executable.display().to_string(),
                wharf_launcher::LAUNCHER_ARGUMENT.to_owned(),
            ],
            configurations: self.settings.runtimes.clone(),
            log_level: self.log_level.clone(),
            deadlines: self.settings.deadlines(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings_file::read_optional;
    use std::path::Path;

    #[test]
    fn limits_of_proxies_are_the_users() {
        let text =
            r#"{ "proxy": { "memory_bytes": 8388608, "call_timeout_ms": 300000, "resume_ms": 5000 } }"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        let limits = settings.proxy.limits();
        assert_eq!((limits.memory_bytes, limits.line_bytes, limits.body_bytes), (8 << 20, 4 << 20, 2 << 20));
        assert_eq!(limits.call_timeout, Some(Duration::from_secs(300)));
        assert_eq!(limits.ring_keep, Duration::from_secs(5));
        let text = r#"{ "proxy": { "sessions": 2, "session_idle_ms": 60000, "body_bytes": 100, "allowed_hosts": ["a.lan"] } }"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        let limits = settings.proxy.limits();
        assert_eq!((limits.sessions, limits.session_idle), (2, Duration::from_secs(60)));
        assert_eq!(limits.body_bytes, limits.opening_bytes, "a session can be opened");
        let limits = ProxySettings::default().limits();
        assert_eq!((limits.memory_bytes, limits.line_bytes, limits.call_timeout), (64 << 20, 32 << 20, None));
        assert!(serde_json::from_str::<Settings>(r#"{ "proxy": { "memory": 1 } }"#).is_err());
    }

    #[test]
    fn the_wait_for_a_list_is_the_users_and_the_same_in_every_build() {
        let shown =
            |text: &str| serde_json::from_str::<Settings>(text).unwrap().deadlines().shown.as_millis();
        assert_eq!(shown("{}"), 2500);
        assert_eq!(shown(r#"{ "list_timeout_ms": 8000 }"#), 8000);
        assert_eq!(shown(r#"{ "list_timeout_ms": 0 }"#), 100);
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let (large, fifo) = (folder.path().join("large.json"), folder.path().join("fifo.json"));
        std::fs::File::create(&large).unwrap().set_len(3 << 30).unwrap();
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for (path, why) in [
            (large.as_path(), "it has more than 4194304 bytes"),
            (&fifo, "it is not a regular file"),
            (Path::new("/dev/zero"), "it is not a regular file"),
        ] {
            let error = wharf_model::chain(&read_optional::<Settings>(path).unwrap_err());
            assert!(error.ends_with(why), "{error}");
        }
    }
}
