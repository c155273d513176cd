//! Real servers in real engines, and beside them as a process, used by the official client.
use super::{containers, host};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::has_tool;
use wharf_tests::images::Image;
use wharf_tests::inspector::call;

/// A server: its name, its image, a tool with its argument, and the place of the result in the answer.
struct Server<'a> {
    name: &'static str,
    image: &'a str,
    tool: (&'static str, &'static [&'static str]),
    answer: (&'static str, Value),
}

impl Server<'_> {
    fn assert_serves(&self, url: &str) {
        let (tool, arguments) = self.tool;
        let (place, wanted) = &self.answer;
        let said = call(url, tool, arguments);
        assert_eq!(said.pointer(place), Some(wanted), "{} at {url}: {said}", self.name);
    }
}

#[test]
fn servers_of_ours_of_python_and_of_node_are_called_by_the_official_client_in_each_runtime() {
    if !has_tool("inspector", "mcp-inspector") {
        return;
    }
    let (Some(python), Some(node)) = (Image::of_python(), Image::of_node()) else { return };
    let (Some(docker), Some(podman)) = (Engine::start(Kind::Docker), Engine::start(Kind::Podman)) else {
        return;
    };
    for engine in [&docker, &podman] {
        engine.add(&python);
        engine.add(&node);
    }
    let first_text = "/content/0/text";
    let servers = [
        Server {
            name: "ours",
            image: DEMO_IMAGE,
            tool: ("add", &["a=2", "b=3"]),
            answer: (first_text, json!("5")),
        },
        Server {
            name: "python",
            image: python.name(),
            tool: ("get_current_time", &["timezone=UTC"]),
            answer: ("/structuredContent/timezone", json!("UTC")),
        },
        Server {
            name: "node",
            image: node.name(),
            tool: ("echo", &["message=hello"]),
            answer: (first_text, json!("Echo: hello")),
        },
    ];
    let host =
        host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]).with_users_home();
    let mut running = Vec::new();
    for server in &servers {
        for runtime in [Kind::Docker, Kind::Podman].map(Kind::runtime) {
            let name = format!("{}-in-{runtime}", server.name);
            let url = host.run(&["--runtime", runtime, "--name", &name, server.image]);
            running.push((name, runtime, server, url));
        }
    }
    let plain = host.run(&["--name", "python-as-process", "uvx://mcp-server-time"]);
    running.push(("python-as-process".to_owned(), "process", &servers[1], plain));

    let seen: BTreeSet<String> = host
        .list()
        .iter()
        .map(|row| format!("{} {} {} {}", row["name"], row["runtime_name"], row["status"], row["stale"]))
        .collect();
    let wanted = running.iter().map(|(name, runtime, ..)| format!(r#""{name}" "{runtime}" "running" null"#));
    assert_eq!(seen, wanted.collect(), "one list shows all of them, and all as they are");
    for (_, _, server, url) in &running {
        server.assert_serves(url);
    }
    host.ok(&["rm", "--all"]);
    assert_eq!((containers(&docker), containers(&podman)), (vec![], vec![]));
}
