//! Pods of a real cluster of one node (`tests/engines/kubernetes`), beside kubectl with the same manifests: how long a start
//! takes, how many calls get through, what a list of a hundred asks, and how soon an end is known.
mod calls;
mod exits;
mod listing;
mod starts;

use crate::Result;
use crate::servers::{BARE, ECHO};
use serde_json::{Value, json};
use std::{fs, io::Write};
use wharf_tests::{
    cluster::{Cluster, Namespace},
    host::Host,
    images::Image,
};

/// The image with this binary, which has both servers.
const IMAGE: &str = "localhost/wharf-bench:test";
/// The name of the workload, where there is one.
const NAME: &str = "bench";

/// The arguments of `run` for a server of this binary in a pod.
#[derive(Clone, Copy)]
struct Server {
    over: &'static str,
    options: &'static [&'static str],
    argument: &'static str,
}

const STDIO: Server = Server { over: "stdio", options: &[], argument: ECHO };
const PORT: Server = Server { over: "port", options: &["--transport", "streamable-http"], argument: BARE };

/// A host with a namespace of its own. The host goes first.
struct Side<'a> {
    host: Host,
    namespace: Namespace<'a>,
}

impl<'a> Side<'a> {
    fn of(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let (namespace, host) = (cluster.namespace(name), Host::new());
        host.add_plugin("kubernetes");
        let mut config: Value =
            serde_json::from_str(&cluster.kubectl(&["config", "view", "--raw", "--output", "json"]))?;
        config["contexts"][0]["context"]["namespace"] = json!(namespace.name());
        fs::create_dir(host.engines())?;
        fs::File::create(host.engines().join("kubeconfig"))?.write_all(config.to_string().as_bytes())?;
        Ok(Self { host, namespace })
    }

    /// Runs a server as a workload; returns its URL.
    fn run(&self, name: &str, server: Server, options: &[&str]) -> String {
        let run = ["--quiet", "--runtime", "kubernetes", "--pull", "never", "--name", name];
        let server = [server.options, options, &[IMAGE, "--", server.argument]].concat();
        self.host.run(&[&run[..], &server[..]].concat())
    }

    /// A field of the only object of a kind.
    fn field(&self, kind: &str, path: &str) -> String {
        self.namespace.kubectl(&["get", kind, "--output", &format!("jsonpath={{.items[*]{path}}}")])
    }

    fn remove(&self) {
        self.host.ok(&["rm", "--timeout", "0", "--all"]);
    }
}

/// Objects as they were applied: without what the cluster has added.
fn bare(mut object: Value) -> Value {
    const ADDED: [&str; 6] =
        ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences"];
    for item in object["items"].as_array_mut().into_iter().flatten() {
        item["status"] = Value::Null;
        for name in ADDED.into_iter().chain(["namespace"]) {
            item["metadata"][name] = Value::Null;
        }
        for name in ["clusterIP", "clusterIPs"] {
            if item["kind"] == "Service" {
                item["spec"][name] = Value::Null;
            }
        }
    }
    object
}

/// Measures all of it.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let Some(cluster) = Cluster::shared() else {
        println!("a cluster is not measured: this machine cannot have one");
        return Ok(json!({}));
    };
    cluster.load(&Image::of_program(IMAGE, &std::env::current_exe()?));
    let starts = starts::measure(&cluster)?;
    println!();
    let calls = calls::measure(&cluster)?;
    println!();
    let exits = exits::measure(&cluster)?;
    println!();
    let list = listing::measure(&cluster)?;
    Ok(json!({ "starts": starts, "calls": calls, "exits": exits, "list": list }))
}
