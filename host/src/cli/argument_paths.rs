//! Paths of this machine among the arguments of a server: `.` is the folder that the user is in, whatever folder the server
//! runs in; and a path that is closed to the server is asked for, where somebody can answer.
use super::console::Console;
use super::output;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use wharf::commands::{self, Context, RunRequest};
use wharf_model::Result;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 256;

/// The arguments of SERVER. A package runs in a folder of its own, so what exists here and begins with a dot is written out
/// for it; a command runs here.
pub(super) fn written_out(server: &str, args: &[String], current_dir: &Path) -> Vec<String> {
    if !["npx://", "uvx://"].iter().any(|tool| server.starts_with(tool)) {
        return args.to_vec();
    }
    let written = |argument: &String| {
        let (option, value) = parted(argument);
        let begins_here = matches!(value.split('/').next(), Some("." | ".."));
        let path = from_here(value, current_dir);
        match begins_here && path.exists() {
            true => format!("{option}{}", path.display()),
            false => argument.clone(),
        }
    };
    args.iter().map(written).collect()
}

/// A path that begins with a dot, without the dots: what is beside them may be closed to the workload.
pub(super) fn from_here(path: &str, current_dir: &Path) -> PathBuf {
    // Collecting the components removes single dots.
    let path: PathBuf = current_dir.join(path).components().collect();
    match path.components().any(|part| part == Component::ParentDir) {
        true => path.canonicalize().unwrap_or(path),
        false => path,
    }
}

/// An option with its sign, and its value; no option if the whole is a value.
fn parted(argument: &str) -> (&str, &str) {
    match argument.find('=').filter(|_| argument.starts_with('-')) {
        Some(sign) => argument.split_at(sign + 1),
        None => ("", argument),
    }
}

/// Whether an argument may name something on this machine. Most servers have no such arguments, and their runtime is asked
/// nothing then.
fn names_paths(args: &[String], current_dir: &Path) -> bool {
    let may_be = |value: &str| {
        value.starts_with('~') || value.starts_with(['/', '.']) && current_dir.join(value).exists()
    };
    args.iter().any(|argument| may_be(parted(argument).1))
}

/// Asks at the terminal about the paths that are closed to the server, and adds those that are to be opened. Returns whether
/// anything was asked.
pub(super) async fn ask(context: &Context, request: &mut RunRequest, console: &Console) -> Result<bool> {
    let can_answer = console.stderr_is_terminal && output::reader().is_ok_and(rustix::termios::isatty);
    if !can_answer || !names_paths(&request.args, &context.config().current_dir) {
        return Ok(false);
    }
    let closed = commands::closed_paths(context, request).await?;
    for path in &closed {
        console.note(&format!(
            "'{path}', which an argument names, is closed to the server. Open it to read [r], to write [w], or not [n]?"
        ));
        if let Some(options) = options_of(&answer()) {
            request.volumes.push(format!("{path}{options}"));
        }
    }
    Ok(!closed.is_empty())
}

/// A line of the terminal; nothing at its end.
fn answer() -> String {
    let Ok(terminal) = output::reader() else { return String::new() };
    // A terminal gives one line at a time.
    let mut line = [0; ANSWER_BYTES_MAX];
    let mut terminal: &File = terminal;
    let length = terminal.read(&mut line).unwrap_or_default();
    String::from_utf8_lossy(&line[..length]).into_owned()
}

/// The options of the volume that an answer asks for.
fn options_of(answer: &str) -> Option<&'static str> {
    match answer.trim().to_lowercase().as_str() {
        "r" | "read" | "y" | "yes" => Some(":ro"),
        "w" | "write" => Some(""),
        _ => None,
    }
}

/// The option that opens a path, for a message.
pub(super) fn option(path: &str) -> String {
    format!("-v {} (without :ro to write there, too)", super::advice::word(&format!("{path}:ro")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_of_a_package_is_the_folder_that_its_user_is_in() {
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir(here.path().join("docs")).unwrap();
        let at = |name: &str| here.path().join(name).display().to_string();
        let args =
            [".", "./docs", "--root=./docs", "./none", "docs", "--flag", "/srv", ".x"].map(str::to_owned);
        let written = written_out("npx://pkg", &args, here.path());
        let root = format!("--root={}", at("docs"));
        let here_itself = here.path().display().to_string();
        let expected = [&here_itself, &at("docs"), &root, "./none", "docs", "--flag", "/srv", ".x"];
        assert_eq!(written, expected.map(str::to_owned));
        assert_eq!(written_out("./server.py", &args, here.path()), args, "it runs here");
        // What lies above here may be closed to it, so nothing leads through that.
        let above = written_out("uvx://pkg", &["../docs".to_owned()], &here.path().join("docs"));
        assert_eq!(above, [here.path().join("docs").canonicalize().unwrap().display().to_string()]);
    }

    #[test]
    fn an_answer_opens_a_path_to_read_or_to_write_or_not() {
        for (answer, options) in
            [("r\n", Some(":ro")), ("Yes\n", Some(":ro")), ("w", Some("")), ("n\n", None), ("", None)]
        {
            assert_eq!(options_of(answer), options, "{answer}");
        }
    }
}
