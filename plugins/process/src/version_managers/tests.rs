//! Tests with managers that are made of shell scripts, as the real ones are.
use super::*;
use std::{fs, io::Write, os::unix::fs::symlink};

/// A home with a pyenv in it that has the versions 3.11.7 and 3.12.1; the file `version` says 3.11.7.
struct Home {
    folder: tempfile::TempDir,
}

fn program(path: &Path, text: &str) {
    // Written by another process: one that is forked meanwhile would hold the file open, and it could not be executed.
    let mut install = std::process::Command::new("install");
    install.args(["-D", "-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut writer = install.spawn().unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

/// `pyenv which` as the real one answers: the variable, the file of the folder, the file of the root.
const PYENV: &str = r#"#!/bin/sh
root="${PYENV_ROOT:-$HOME/.pyenv}"
[ "$1" = which ] || exit 64
version="$PYENV_VERSION"
[ -n "$version" ] || version=$(cat .python-version 2>/dev/null) || version=$(cat "$root/version")
program="$root/versions/$version/bin/$2"
[ -x "$program" ] || { echo "pyenv: $2: command not found" >&2; exit 127; }
echo "$program"
"#;

/// As `pyenv rehash` writes it.
const SHIM: &str = r#"#!/usr/bin/env bash
set -e
[ -n "$PYENV_DEBUG" ] && set -x
program="${0##*/}"
export PYENV_ROOT="$HOME/.pyenv"
exec "$HOME/.pyenv/libexec/pyenv" exec "$program" "$@"
"#;

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        for version in ["3.11.7", "3.12.1"] {
            program(&home.path(&format!(".pyenv/versions/{version}/bin/python3")), "#!/bin/sh\n");
        }
        program(&home.path(".pyenv/libexec/pyenv"), PYENV);
        for name in ["python3", "pip3"] {
            program(&home.path(&format!(".pyenv/shims/{name}")), SHIM);
        }
        program(&home.path("system/python3"), "#!/bin/sh\n");
        fs::create_dir(home.path("project")).unwrap();
        home.write(".pyenv/version", "3.11.7\n");
        home.write("project/.python-version", "3.12.1\n");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::File::create(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The folders of the workload's PATH below the home, or the refusal; searched from this folder of the home.
    async fn found(&self, source: &Source, from: &str, asked: &[(&str, &str)]) -> Result<Vec<String>> {
        let path = format!(
            "{}:{}:{}:/usr/bin:/bin",
            self.path("bin").display(),
            self.path(".pyenv/shims").display(),
            self.path("system").display()
        );
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let home = self.path("").display().to_string();
        let asked = asked.iter().copied().map(owned).collect();
        let host = [("HOME", home.as_str()), ("PATH", path.as_str())].map(owned).into();
        let search = Search { host, asked: &asked, current_dir: self.path(from) };
        let (path, _) = search.path(source).await?;
        let below = |folder: PathBuf| folder.strip_prefix(self.path("")).ok()?.to_str().map(str::to_owned);
        Ok(std::env::split_paths(&path).filter_map(below).collect())
    }
}

fn command_of(program: impl Into<String>) -> Source {
    Source::Command { program: program.into() }
}

const OF_3_11: [&str; 4] = ["bin", ".pyenv/versions/3.11.7/bin", ".pyenv/shims", "system"];
const OF_3_12: [&str; 4] = ["bin", ".pyenv/versions/3.12.1/bin", ".pyenv/shims", "system"];

#[tokio::test]
async fn a_shim_stands_for_the_version_of_the_folder_that_its_user_is_in() {
    let home = Home::new();
    let python = command_of("python3");
    assert_eq!(home.found(&python, "", &[]).await.unwrap(), OF_3_11);
    assert_eq!(home.found(&python, "project", &[]).await.unwrap(), OF_3_12);
    assert_eq!(home.found(&python, "", &[("PYENV_VERSION", "3.12.1")]).await.unwrap(), OF_3_12);
    // The same where the shim is named by its path.
    let shim = home.path(".pyenv/shims/python3").display().to_string();
    assert_eq!(home.found(&command_of(shim), "", &[]).await.unwrap(), OF_3_11);
    // A program that is none of the manager's leaves PATH as it is.
    program(&home.path("bin/server"), "#!/bin/sh\n");
    assert_eq!(home.found(&command_of("server"), "", &[]).await.unwrap(), ["bin", ".pyenv/shims", "system"]);
}

#[tokio::test]
async fn the_interpreter_that_a_script_names_is_found_as_its_user_would_find_it() {
    let home = Home::new();
    for (name, line) in
        [("plain", "env python3"), ("split", "env -S python3 -u"), ("set", "env -S A=1 python3")]
    {
        let script = home.path(&format!("project/{name}.py"));
        program(&script, &format!("#!/usr/bin/{line}\nprint()\n"));
        let script = command_of(script.display().to_string());
        assert_eq!(home.found(&script, "", &[]).await.unwrap(), OF_3_11, "{line}");
        assert_eq!(home.found(&script, "project", &[]).await.unwrap(), OF_3_12, "{line}");
    }
    // A tool that fetches packages may be such a script, too.
    program(&home.path("bin/uvx"), "#!/usr/bin/env python3\n");
    let package = Source::Package { tool: "uvx".to_owned(), package: "a".to_owned() };
    assert_eq!(home.found(&package, "", &[]).await.unwrap(), OF_3_11);
}

#[tokio::test]
async fn a_shim_whose_program_is_not_told_is_refused_with_the_way_out() {
    let home = Home::new();
    let refused = home.found(&command_of("pip3"), "", &[]).await.unwrap_err().message;
    assert!(
        refused.contains("is a shim of pyenv") && refused.contains("pip3: command not found"),
        "{refused}"
    );
    assert!(refused.contains("give the path of the program itself"), "{refused}");
    fs::remove_file(home.path(".pyenv/libexec/pyenv")).unwrap();
    let refused = home.found(&command_of("python3"), "", &[]).await.unwrap_err().message;
    assert!(refused.contains("its own command was not found"), "{refused}");
    // A manager that names another shim has named no program.
    program(&home.path(".pyenv/bin/pyenv"), "#!/bin/sh\necho \"$HOME/.pyenv/shims/pip3\"\n");
    let refused = home.found(&command_of("python3"), "", &[]).await.unwrap_err().message;
    assert!(refused.contains("it names no program"), "{refused}");
}

#[tokio::test]
async fn a_manager_gets_none_of_the_workloads_other_variables() {
    let home = Home::new();
    fs::remove_file(home.path(".pyenv/libexec/pyenv")).unwrap();
    program(&home.path(".pyenv/bin/pyenv"), "#!/bin/sh\necho \"token $API_TOKEN\" >&2\nexit 1\n");
    let refused = home.found(&command_of("python3"), "", &[("API_TOKEN", "s3cret")]).await.unwrap_err();
    assert!(refused.message.contains("(token)") && !refused.message.contains("s3cret"), "{refused}");
}

#[tokio::test]
async fn a_folder_of_one_shell_is_recorded_as_the_folder_that_it_leads_to() {
    let home = Home::new();
    program(&home.path("node/v20/bin/node"), "#!/bin/sh\n");
    fs::create_dir_all(home.path("run/fnm_multishells")).unwrap();
    symlink(home.path("node/v20"), home.path("run/fnm_multishells/12_34")).unwrap();
    let path = home.path("run/fnm_multishells/12_34/bin").display().to_string();
    let asked = [("PATH", path.as_str())];
    assert_eq!(home.found(&command_of("node"), "", &asked).await.unwrap(), ["node/v20/bin"]);
}
