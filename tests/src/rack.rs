//! A folder of plugins and a host that searches it.
use crate::library;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use wharf_runtimes::{ConnectOptions, Deadlines, PluginDir, Plugins};
use wharf_sdk::{Handle, WorkloadSpec};

/// Temporary folders: one for plugins, one for a host's data.
#[derive(Debug)]
pub struct Rack {
    root: TempDir,
}

impl Default for Rack {
    fn default() -> Self {
        Self::new()
    }
}

impl Rack {
    /// Two empty folders.
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let rack = Self { root };
        for dir in [rack.plugins_dir(), rack.data_dir()] {
            std::fs::create_dir(&dir).expect("a folder");
            set_mode(&dir, 0o755);
        }
        rack
    }

    /// A rack with copies of the libraries of these packages (`alpha` for `wharf-test-plugin-alpha`).
    pub fn with(plugins: &[&str]) -> Self {
        let rack = Self::new();
        for plugin in plugins {
            rack.add(plugin);
        }
        rack
    }

    /// Puts a library in; returns its path.
    pub fn add(&self, plugin: &str) -> PathBuf {
        self.add_as(plugin, &format!("{plugin}.so"))
    }

    /// Puts a library in under another name.
    pub fn add_as(&self, plugin: &str, file: &str) -> PathBuf {
        let path = self.plugins_dir().join(file);
        std::fs::copy(library(&format!("wharf-test-plugin-{plugin}")), &path).expect("a copy");
        set_mode(&path, 0o755);
        path
    }

    /// Above the other two.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Where the plugins are.
    pub fn plugins_dir(&self) -> PathBuf {
        self.root.path().join("plugins")
    }

    /// Where the runtimes' data is.
    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Options with short deadlines.
    pub fn options(&self) -> ConnectOptions {
        options(&self.plugins_dir(), &self.data_dir())
    }

    /// A host that searches the rack.
    pub fn host(&self) -> Plugins {
        Plugins::new(self.options())
    }

    /// A fifo. A process that opens it for reading waits until somebody writes, and reads until the writer has gone.
    pub fn fifo(&self, name: &str) -> PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = self.root.path().join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
        path
    }
}

/// The id of the host that tests connect for.
pub const HOST_ID: &str = "host";

/// Options for a folder of plugins.
pub fn options(plugins: &Path, data: &Path) -> ConnectOptions {
    ConnectOptions {
        dirs: vec![PluginDir { path: plugins.to_owned(), dedicated: true }],
        pins: BTreeMap::new(),
        pins_file: data.join("plugins.lock"),
        prober: None,
        data_dir: data.to_owned(),
        cache_dir: Some(data.join("cache")),
        log_dir: data.to_owned(),
        private_dirs: vec![data.to_owned()],
        launcher: Vec::new(),
        configurations: BTreeMap::new(),
        log_level: "debug".to_owned(),
        deadlines: Deadlines {
            read: Duration::from_secs(20),
            ask: Duration::from_secs(20),
            change: Duration::from_secs(20),
            deploy: Duration::from_secs(20),
            shown: Duration::from_secs(20),
        },
    }
}

/// Sets permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode");
}

/// A workload for the runtime `alpha`: orders by operation.
pub fn spec(uid: &str, orders: &[(&str, &str)]) -> WorkloadSpec {
    let env: BTreeMap<&str, &str> = orders.iter().copied().collect();
    let spec = json!({
        "uid": uid, "name": "work", "host_id": "host", "env": env,
        "source": { "kind": "command", "program": "x" }, "transport": { "kind": "stdio" },
    });
    serde_json::from_value(spec).expect("a specification")
}

/// The handle of a workload of the runtime `alpha`: orders by operation.
pub fn handle(uid: &str, orders: &[(&str, &str)]) -> Handle {
    let data =
        orders.iter().map(|(operation, order)| ((*operation).to_owned(), Value::from(*order))).collect();
    Handle { uid: uid.to_owned(), version: 1, data }
}

/// The files under a folder that are mapped in this process.
pub fn mapped(dir: &Path) -> Vec<String> {
    mapped_from(dir.to_str().expect("text"))
}

/// The memory files that are mapped in this process, of whichever plugin.
pub fn mapped_memory() -> Vec<String> {
    mapped_from("/memfd:")
}

/// Once each: a file is known by its inode (the fifth field), since memory files all have the same name.
fn mapped_from(start: &str) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("proc");
    let found: BTreeMap<&str, &str> = maps
        .lines()
        .filter_map(|line| {
            let path = line.find('/').map(|at| &line[at..])?;
            path.starts_with(start).then_some((line.split_ascii_whitespace().nth(4)?, path))
        })
        .collect();
    let mut paths: Vec<String> = found.into_values().map(str::to_owned).collect();
    paths.sort();
    paths
}
