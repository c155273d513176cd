//! `serve --install-unit`: a unit of systemd that serves, for a user or for the system.
use super::console::Console;
use super::failure::{DONE, Outcome};
use super::unit_environment::UnitEnvironment;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use wharf_model::{Error, ErrorKind, Result};
use wharf_supervisor::Config;

/// The unit's name.
const NAME: &str = "wharf.service";

/// Writes the unit, and says what to do next.
pub(super) fn install(config: &Config, arguments: &[String], is_system: bool, console: &Console) -> Outcome {
    let folder = if is_system { PathBuf::from("/etc/systemd/system") } else { user_folder()? };
    let path = folder.join(NAME);
    let environment = UnitEnvironment::of(std::env::vars_os());
    let text = unit(config, arguments, &environment, is_system)?;
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        console.note("it is there as it should be");
    } else {
        write(&folder, &path, &text).map_err(|error| {
            Error::caused(ErrorKind::Failed, format!("{} cannot be written", path.display()), &error)
        })?;
    }
    console.line(&path.display().to_string())?;
    for (name, why) in &environment.left_out {
        console.note(&format!(
            "{name} is not kept, since {why}; give it to the service yourself: systemctl edit"
        ));
    }
    let systemctl = if is_system { "systemctl" } else { "systemctl --user" };
    console.note(&format!("start it: {systemctl} daemon-reload && {systemctl} enable --now {NAME}"));
    if !is_system {
        console
            .note("to have it, and your workloads, also while you are not logged in: loginctl enable-linger");
    }
    Ok(DONE)
}

fn user_folder() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let base = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let base = base.ok_or_else(|| {
        Error::new(ErrorKind::Failed, "HOME is not set, so there is no place for a user's unit")
    })?;
    Ok(base.join("systemd/user"))
}

/// A whole unit, or the one that was there.
fn write(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!(".{NAME}.tmp-{}", std::process::id()));
    let written = || -> io::Result<()> {
        // Systemd reads it, and warns of a unit that others may not read.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    let written = written();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The text of the unit. It says where everything is, and what else changes what wharf does: systemd knows nothing of the
/// environment that this command has.
fn unit(
    config: &Config,
    arguments: &[String],
    environment: &UnitEnvironment,
    is_system: bool,
) -> Result<String> {
    let mut words = vec![config.executable.display().to_string()];
    for (option, folder) in [
        ("--state-dir", Some(&config.state_dir)),
        ("--config-dir", Some(&config.config_dir)),
        ("--data-dir", Some(&config.data_dir)),
        ("--cache-dir", config.cache_dir.as_ref()),
    ] {
        if let Some(folder) = folder {
            words.extend([option.to_owned(), folder.display().to_string()]);
        }
    }
    for folder in asked_plugin_dirs(config) {
        words.extend(["--plugin-dir".to_owned(), folder.display().to_string()]);
    }
    words.push("serve".to_owned());
    words.extend(arguments.iter().cloned());
    let command = words.iter().map(|word| quoted(word)).collect::<Result<Vec<_>>>()?.join(" ");
    // Variables stand for their values in commands alone.
    let command = command.replace('$', "$$");
    let path = std::env::join_paths(&config.search_path).unwrap_or_default();
    let mut kept = format!("Environment={}", quoted(&format!("PATH={}", path.to_string_lossy()))?);
    for (name, value) in &environment.kept {
        kept.push_str("\nEnvironment=");
        kept.push_str(&quoted(&format!("{name}={value}"))?);
    }
    let wanted_by = if is_system { "multi-user.target" } else { "default.target" };
    Ok(format!(
        "[Unit]
Description=wharf: MCP servers and other workloads
Documentation=man:systemd.service(5)
# However often it ends: what it serves must come back.
StartLimitIntervalSec=0

[Service]
ExecStart={command}
{kept}
Restart=on-failure
RestartSec=5
# Its end is not that of the workloads, whose supervisors it has started.
KillMode=process

[Install]
WantedBy={wanted_by}
"
    ))
}

/// The folders of plugins that `--plugin-dir` and `WHARF_PLUGIN_PATH` have named: they come first, before those that every
/// process of this configuration finds by itself.
fn asked_plugin_dirs(config: &Config) -> Vec<&Path> {
    let usual = config.settings.plugin_dirs.first().map(|first| config.config_dir.join(first));
    let usual = usual.unwrap_or_else(|| config.data_dir.join("plugins"));
    config.plugin_dirs.iter().map(|dir| dir.path.as_path()).take_while(|path| *path != usual).collect()
}

/// A word of a setting, by systemd.syntax(7) and systemd.service(5).
fn quoted(word: &str) -> Result<String> {
    if word.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::Usage, format!("{word:?} cannot stand in a unit of systemd")));
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    Ok(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_in_a_unit_are_escaped() {
        assert_eq!(quoted(r#"/a b/"c"%d$e\f"#).unwrap(), r#""/a b/\"c\"%%d$e\\f""#);
        assert!(quoted("a\nExecStart=b").is_err());
    }
}
