//! A host that is served.
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use wharf_tests::client::{Response, http, http_through};
use wharf_tests::host::{Host, eventually, kill};

/// A `wharf serve` of a host. Ended when it is dropped.
pub(super) struct Served {
    child: Child,
    socket: PathBuf,
    /// Where its port is.
    pub(super) address: Option<String>,
}

impl Served {
    /// Serves on the Unix socket.
    pub(super) fn start(host: &Host) -> Self {
        Self::of(host.command(&["serve"]), host)
    }

    /// Serves on a port, too.
    pub(super) fn with_port(host: &Host) -> Self {
        Self::of(host.command(&["serve", "--listen", "127.0.0.1:0"]), host)
    }

    /// From a command that serves.
    pub(super) fn of(mut command: Command, host: &Host) -> Self {
        let wants_port = command.get_args().any(|argument| argument == "--listen");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        let socket = PathBuf::from(line().strip_prefix("unix:").unwrap());
        assert_eq!(socket, host.path("state/api/wharf.sock"));
        let address = wants_port.then(|| line().strip_prefix("http://").unwrap().to_owned());
        Self { child, socket, address }
    }

    /// Its process.
    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// A request through the Unix socket.
    pub(super) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        http_through(&self.socket, method, path, &owned(headers), body).unwrap()
    }

    /// A request to the port.
    pub(super) fn ask_port(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        http(self.address.as_ref().unwrap(), method, path, &owned(headers), body).unwrap()
    }

    /// The JSON of a GET that must succeed.
    pub(super) fn get(&self, path: &str) -> Value {
        let response = self.ask("GET", &format!("/api/v1beta{path}"), &[], "");
        assert_eq!(response.status, 200, "{path}: {response:?}");
        serde_json::from_str(&response.body).unwrap()
    }

    /// A POST with a body of JSON.
    pub(super) fn post(&self, path: &str, body: &Value) -> Response {
        let json = [("Content-Type", "application/json")];
        self.ask("POST", &format!("/api/v1beta{path}"), &json, &body.to_string())
    }

    /// The operation of an answer, once it has ended.
    pub(super) fn ended(&self, response: &Response) -> Value {
        let place = response.header("location").unwrap().strip_prefix("/api/v1beta").unwrap().to_owned();
        let mut operation = Value::Null;
        eventually("the operation ends", || {
            operation = self.get(&format!("{place}?wait=true"));
            operation["state"] != "running"
        });
        operation
    }

    /// Kills it as a crash would.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits; its exit code.
    pub(super) fn stop(self) -> Option<i32> {
        kill(self.pid(), "TERM");
        self.ended_with()
    }

    /// Its exit code, once it has ended.
    pub(super) fn ended_with(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The body of a problem, with its status.
pub(super) fn problem(response: &Response, status: u16) -> Value {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let problem: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(problem["status"], status);
    problem
}
