//! Scripted engines: the engines of the runtimes `scripted-one` and `scripted-two`, as a test sees them.
use crate::host::{Host, demo_server, eventually};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::PathBuf};
pub use wharf_test_engine::{Act, Call, Flaw, Object, State};
use wharf_test_engine::{Engine, Order};

/// The package of the plugin that provides both names.
pub const PLUGIN: &str = "wharf-test-plugin-scripted";

/// One engine behind one of the names. Dropping this clears its orders, so that its host can clear up.
#[derive(Debug)]
pub struct ScriptedEngine {
    engine: Engine,
    first: String,
}

impl ScriptedEngine {
    /// A new engine in the host's folder, and the plugin where the host finds it.
    pub fn new(host: &Host, runtime: &str) -> Self {
        let first = format!("the first behind {runtime}");
        let engine = Engine::create(host.path(&format!("engine-{runtime}")), &first).expect("an engine");
        let scripted = Self { engine, first };
        scripted.share_with(host, runtime);
        scripted
    }

    /// Puts this engine behind a runtime's name of another host, too.
    pub fn share_with(&self, host: &Host, runtime: &str) {
        host.add_library(PLUGIN);
        let known = fs::read(host.path("config/config.json"));
        let mut settings: Value =
            known.map_or_else(|_| json!({}), |text| serde_json::from_slice(&text).expect("settings"));
        settings["runtimes"][runtime] = json!({ "engine": self.engine.root() });
        host.configure(&settings);
    }

    /// Orders this act for every call of an operation from now on.
    pub fn order(&self, operation: &str, act: Act) {
        self.engine.order(&Order::always(operation, act)).expect("an order");
    }

    /// Orders this act for the next call of an operation.
    pub fn order_once(&self, operation: &str, act: Act) {
        self.engine.order(&Order::once(operation, act)).expect("an order");
    }

    /// Clears all orders.
    pub fn behave(&self) {
        self.engine.clear_orders().expect("the orders");
    }

    /// From now on the engine does not answer.
    pub fn down(&self) {
        self.engine.set_down(true).expect("down");
    }

    /// The engine answers again.
    pub fn up(&self) {
        self.engine.set_down(false).expect("up");
    }

    /// Another engine answers at the same endpoint.
    pub fn instance(&self, name: &str) {
        self.engine.set_instance(name).expect("an instance");
    }

    /// The engine that the test began with answers again.
    pub fn first_instance(&self) {
        self.instance(&self.first);
    }

    /// Its name.
    pub fn first_name(&self) -> &str {
        &self.first
    }

    /// Everything that it has.
    pub fn objects(&self) -> Vec<Object> {
        self.engine.objects().expect("the objects")
    }

    /// The objects of a workload's name, whosever they are.
    pub fn named(&self, name: &str) -> Vec<Object> {
        self.objects().into_iter().filter(|object| object.name == name).collect()
    }

    /// Puts an object in that no wharf made here.
    pub fn put(&self, object: &Object) {
        self.engine.make(object).expect("an object");
    }

    /// Takes an object away.
    pub fn discard(&self, object: &Object) {
        self.engine.remove(&object.id).expect("the object");
    }

    /// Removes all of its objects.
    pub fn clear(&self) {
        self.objects().iter().for_each(|object| self.engine.remove(&object.id).expect("an object"));
    }

    /// Ends an object by itself.
    pub fn kill(&self, object: &Object, code: i32) {
        self.engine.end(&object.id, code).expect("the object");
    }

    /// Performs postponed effects.
    pub fn catch_up(&self) {
        self.engine.catch_up().expect("what was postponed");
    }

    /// All calls until now, in their order.
    pub fn calls(&self) -> Vec<Call> {
        self.engine.calls().expect("the calls")
    }

    /// The number of calls of an operation until now.
    pub fn count(&self, operation: &str) -> usize {
        self.asked(operation).len()
    }

    /// The uids of the calls of an operation.
    pub fn asked(&self, operation: &str) -> Vec<String> {
        let calls = self.engine.calls().expect("the calls").into_iter();
        calls.filter(|call| call.operation == operation).map(|call| call.uid).collect()
    }
}

impl Drop for ScriptedEngine {
    fn drop(&mut self) {
        let _ = self.engine.clear_orders();
        let _ = self.engine.set_down(false);
        let _ = self.engine.set_instance(&self.first);
    }
}

/// A host with three workloads that run, each on a runtime of its own: `one`, `two` and `plain`.
#[derive(Debug)]
pub struct SideBySide {
    /// The engine of the workload `one`.
    pub one: ScriptedEngine,
    /// The engine of the workload `two`.
    pub two: ScriptedEngine,
    /// The host; dropped after its engines.
    pub host: Host,
}

impl SideBySide {
    /// Starts the three.
    #[expect(clippy::new_without_default, reason = "making one starts something")]
    pub fn new() -> Self {
        let host = Host::new();
        let one = ScriptedEngine::new(&host, "scripted-one");
        let two = ScriptedEngine::new(&host, "scripted-two");
        host.run(&["--runtime", "scripted-one", "--name", "one", "sh"]);
        host.run(&["--runtime", "scripted-two", "--name", "two", "sh"]);
        host.run(&["--runtime", "process", "--name", "plain", &demo_server()]);
        Self { one, two, host }
    }

    /// Fails unless these workloads, and no others, are shown as running on fresh evidence.
    pub fn assert_fresh(&self, names: &[&str]) {
        let rows = self.host.list();
        let mut fresh: Vec<&str> = rows
            .iter()
            .filter(|row| row["status"] == "running" && row["stale"] != true)
            .filter_map(|row| row["name"].as_str())
            .collect();
        fresh.sort_unstable();
        assert_eq!(fresh, names, "{rows:#?}");
    }

    /// Fails unless all three come to run.
    pub fn assert_heals(&self) {
        eventually("all of them run", || {
            let rows = self.host.list();
            rows.len() == 3 && rows.iter().all(|row| row["status"] == "running" && row["stale"] != true)
        });
    }

    /// The object of the workload `one`.
    pub fn object(&self) -> Object {
        let [object] = self.one.named("one").try_into().expect("one object");
        object
    }
}

/// Each record of a host with its inode: a record that was written anew, even with the same bytes, has another one.
pub fn records(host: &Host) -> BTreeMap<PathBuf, (u64, String)> {
    let mut found = BTreeMap::new();
    for folder in ["state/runconfigs", "state/statuses"] {
        for entry in fs::read_dir(host.path(folder)).expect("the records") {
            let path = entry.expect("a record").path();
            let inode = fs::metadata(&path).expect("a record").ino();
            let text = fs::read_to_string(&path).expect("a record");
            found.insert(path, (inode, text));
        }
    }
    found
}

/// An object as ToolHive would have made it for a workload of this name.
pub fn toolhives(name: &str, state: State, instance: &str) -> Object {
    let labels = [("toolhive", "true"), ("toolhive-basename", name)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Object { labels: labels.into(), state, ..foreign(name, "", "", instance) }
}

/// An object that somebody else made.
pub fn foreign(name: &str, uid: &str, host_id: &str, instance: &str) -> Object {
    Object {
        id: format!("{name}-of-somebody-else"),
        instance: instance.to_owned(),
        uid: uid.to_owned(),
        host_id: host_id.to_owned(),
        name: name.to_owned(),
        labels: BTreeMap::new(),
        state: State::Running,
        exit: None,
    }
}
