//! The README's first command: builds everything and runs the main job, with the commands that a user would type.
//!
//! A small real MCP server starts under the runtime `process`, one of its tools is called through wharf's proxy, the
//! list is shown, and all is removed again. Nothing outside a temporary folder is touched.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it shows what a user would see")]
use serde_json::json;
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};
use wharf_demo::client::Client;

fn main() -> ExitCode {
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the demonstration failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<(), Box<dyn Error>> {
    println!("$ cargo build --workspace");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The folder that this binary was built into, whatever it is called.
    let built = std::env::current_exe()?.parent().map(Path::to_owned).ok_or("this binary lies nowhere")?;
    let release = built.file_name().is_some_and(|name| name == "release");
    let status =
        Command::new(cargo).args(["build", "--workspace"]).args(release.then_some("--release")).status()?;
    if !status.success() {
        return Err("the build failed".into());
    }
    let folder = tempfile::tempdir()?;
    let wharf = Wharf { program: built.join("wharf"), folder: folder.path().to_owned() };
    let server = built.join("wharf-demo-server");
    let server = server.to_str().ok_or("the path of the server is no text")?;
    let outcome = wharf.job(server);
    // After a failure, too, nothing is left running.
    let _ = wharf.quietly(&["rm", "--all"]);
    outcome
}

struct Wharf {
    program: PathBuf,
    folder: PathBuf,
}

impl Wharf {
    fn job(&self, server: &str) -> Result<(), Box<dyn Error>> {
        let url = self.show(&["run", "--name", "demo", server])?;
        println!("\n(an MCP client calls the tool `add` at {})", url.trim());
        let mut client = Client::open(url.trim())?;
        let sum = client.call_tool("add", json!({ "a": 2, "b": 3 }))?;
        println!("2 + 3 = {sum}");
        if sum != "5" {
            return Err(format!("the tool answered {sum:?}").into());
        }
        self.show(&["list"])?;
        self.show(&["runtime", "list"])?;
        self.show(&["stop", "demo"])?;
        self.show(&["rm", "demo"])?;
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args);
        for (variable, folder) in [
            ("WHARF_STATE_DIR", "state"),
            ("WHARF_DATA_DIR", "data"),
            ("WHARF_CACHE_DIR", "cache"),
            ("WHARF_CONFIG_DIR", "config"),
        ] {
            command.env(variable, self.folder.join(folder));
        }
        command
    }

    /// Runs a command as a user sees it, and returns what it printed.
    fn show(&self, args: &[&str]) -> Result<String, Box<dyn Error>> {
        println!("\n$ wharf {}", args.join(" "));
        let output = self.command(args).stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        print!("{text}");
        if output.status.success() {
            Ok(text)
        } else {
            Err(format!("wharf ended with {}", output.status).into())
        }
    }

    fn quietly(&self, args: &[&str]) -> std::io::Result<()> {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).status().map(drop)
    }
}
