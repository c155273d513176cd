//! Programs made with the official SDKs, in `tests/sdks`: a server, and clients of five SDKs.
use crate::host::{Host, has_tool};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// An SDK whose clients these tests have.
#[derive(Clone, Copy, Debug)]
pub enum Sdk {
    /// One of TypeScript, by the name that `tests/setup/install` gives it: `sdk-0` and `sdk-1` are 1.x from before and after
    /// revision 2025-06-18, `sdk-2` is 2.x, which knows the stateless era, too.
    TypeScript(&'static str),
    /// One of Python, by the name of its interpreter there.
    Python(&'static str),
}

/// All of them: two of 1.x and one of 2.x of TypeScript, 1.x and 2.x of Python.
pub const SDKS: [Sdk; 5] = [
    Sdk::TypeScript("sdk-0"),
    Sdk::TypeScript("sdk-1"),
    Sdk::TypeScript("sdk-2"),
    Sdk::Python("mcp-python-1"),
    Sdk::Python("mcp-python-2"),
];

/// True if the SDKs are here; else it says that the test is skipped.
pub fn have_sdks() -> bool {
    has_tool("sdks", "mcp-node")
}

impl Sdk {
    /// Lets its client try these scenarios, which `client.cjs` and `client.py` both have, at a URL, and tells what came of each.
    pub fn tries(self, url: &str, scenarios: &[&str]) -> Value {
        let mut command = match self {
            Self::TypeScript(sdk) => {
                let mut command = Command::new("mcp-node");
                command.arg(file("client.cjs")).arg(sdk);
                command
            }
            Self::Python(interpreter) => {
                let mut command = Command::new(interpreter);
                command.arg(file("client.py"));
                command
            }
        };
        let output = command.arg(url).args(scenarios).output().expect("the client can be run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{self:?} {scenarios:?}: {said} {errors}");
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{self:?}: {said} {errors}"))
    }
}

/// Runs the server behind a host's proxy, with these options and a profile that opens `tests/sdks`, the tools and the network,
/// and returns its URL.
pub fn run_server(host: &Host, options: &[&str], arguments: &[&str]) -> String {
    let tools = fs::canonicalize(program("mcp-node")).expect("mcp-node is there");
    let tools = tools.parent().and_then(Path::parent).expect("a folder of tools");
    let profile = host.path("sdks.json");
    let read = json!([file(""), tools]);
    let network = json!({ "outbound": { "insecure_allow_all": true } });
    fs::File::create(&profile)
        .and_then(|mut made| {
            made.write_all(json!({ "read": read, "network": network }).to_string().as_bytes())
        })
        .expect("a profile can be written");
    let (profile, server) = (profile.display().to_string(), file("server.cjs").display().to_string());
    let fixed = ["--name", "sdks", "--permission-profile", &profile];
    host.run(&[&fixed[..], options, &["mcp-node", "--", &server], arguments].concat())
}

/// The server by itself, which speaks HTTP. It ends with the test.
#[derive(Debug)]
pub struct DirectServer {
    child: Child,
    /// Where it is.
    pub url: String,
}

impl DirectServer {
    /// Starts it.
    pub fn start() -> Self {
        let mut child = Command::new("mcp-node")
            .arg(file("server.cjs"))
            .arg("--http")
            .env_remove("PORT")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server can be run");
        let mut url = String::new();
        let output = child.stdout.take().expect("its output is a pipe");
        BufReader::new(output).read_line(&mut url).expect("it says where it is");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for DirectServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of `tests/sdks`.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdks").join(name)
}

/// A program in PATH.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.expect("the program is in PATH")
}
