//! The files that a container sees: its mounts, and the paths of its permission profile.
use bollard::models::{Mount, MountType};
use std::path::{Path, PathBuf};
use wharf_sdk::{Error, Relabel, Result, WorkloadSpec};

/// The mounts of a container, in the two forms that engines take.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// Paths of the host, and volumes by their names.
    pub(crate) mounts: Vec<Mount>,
    /// Paths of the host that get a label for SELinux, in Docker's old form: the other one has no place for that.
    pub(crate) labelled: Vec<String>,
}

impl Mounts {
    /// Whether something is mounted at this place.
    pub(crate) fn has(&self, target: &str) -> bool {
        let labelled = self.labelled.iter().filter_map(|bind| bind.split(':').nth(1));
        self.mounts.iter().filter_map(|mount| mount.target.as_deref()).chain(labelled).any(|it| it == target)
    }
}

/// All mounts of a workload.
pub(crate) fn of(spec: &WorkloadSpec, private: &[PathBuf]) -> Result<Mounts> {
    let mut all = Mounts::default();
    for text in &spec.mounts {
        add(&mut all, text, private)?;
    }
    if let Some(profile) = &spec.permission_profile {
        for (list, field, read_only) in [(&profile.read, "read", true), (&profile.write, "write", false)] {
            for given in list {
                let mount = listed(&format!("permission_profile.{field}"), given, read_only)?;
                refuse_private(mount.source.as_deref().unwrap_or_default(), private)?;
                all.mounts.push(mount);
            }
        }
    }
    Ok(all)
}

/// Refuses a path that does not exist: Podman, and Docker for one with a label, would make a folder in its place.
pub(crate) fn refuse_missing(sources: &[String]) -> Result<()> {
    match sources.iter().find(|source| std::fs::symlink_metadata(source).is_err()) {
        Some(source) => {
            Err(Error::precondition(format!("'{source}', which is to be mounted, does not exist")))
        }
        None => Ok(()),
    }
}

/// Parses `SOURCE:WORKLOAD[:OPTIONS]`. The engine is asked for a mount, not for a bind of Docker's old form, which would
/// make missing folders.
fn add(all: &mut Mounts, text: &str, private: &[PathBuf]) -> Result<()> {
    let wrong = |why: &str| {
        Error::invalid(format!("the mount '{text}' {why}; write HOST:WORKLOAD or HOST:WORKLOAD:ro"))
    };
    let wharf_sdk::Mount { source, target, read_only, relabel } =
        wharf_sdk::Mount::parse(text).map_err(wrong)?;
    if is_volume(source) {
        all.mounts.push(mount(MountType::VOLUME, source, target, read_only));
        return Ok(());
    }
    if is_too_short(source) {
        return Err(Error::invalid(format!(
            "the mount '{text}' names a volume by one character, and the name of a volume has at least two; for a file or folder \
             below the current one write ./{source}:{target}"
        )));
    }
    if !Path::new(source).is_absolute() {
        return Err(Error::invalid(format!(
            "the mount '{text}' begins with a path that is not absolute; for a file or folder below the current one write \
             ./{source}:{target}; the name of a volume has no slash"
        )));
    }
    refuse_private(source, private)?;
    let Some(relabel) = relabel else {
        all.mounts.push(mount(MountType::BIND, source, target, read_only));
        return Ok(());
    };
    let access = if read_only { "ro" } else { "rw" };
    let label = match relabel {
        Relabel::Shared => "z",
        Relabel::Private => "Z",
    };
    all.labelled.push(format!("{source}:{target}:{access},{label}"));
    Ok(())
}

/// Whether this is the name of a volume, as engines take it.
fn is_volume(source: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    source.len() > 1 && source.starts_with(|c: char| c.is_ascii_alphanumeric()) && source.chars().all(fine)
}

/// Whether this would be the name of a volume if it were longer. Docker has no names of one character; Podman has, and a
/// workload has the same form with either.
fn is_too_short(source: &str) -> bool {
    source.len() == 1 && source.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Parses `HOST`, for the same path in the container, or `HOST:WORKLOAD`.
fn listed(field: &str, given: &str, read_only: bool) -> Result<Mount> {
    let (source, target) = given.split_once(':').unwrap_or((given, given));
    if !Path::new(source).is_absolute() || !Path::new(target).is_absolute() || target.contains(':') {
        return Err(Error::invalid(format!(
            "'{given}' of {field} is no absolute path, nor HOST:WORKLOAD of two"
        )));
    }
    Ok(mount(MountType::BIND, source, target, read_only))
}

fn mount(kind: MountType, source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(kind),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// Refuses a mount that would show wharf's own files to a workload.
fn refuse_private(source: &str, private: &[PathBuf]) -> Result<()> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = real(Path::new(source));
    let holds = |private: &PathBuf| {
        let private = real(private);
        path.starts_with(&private) || private.starts_with(&path)
    };
    match private.iter().any(holds) {
        true => Err(Error::invalid(format!(
            "'{source}' holds files of wharf's own, which no workload may have; name folders beside them"
        ))),
        false => Ok(()),
    }
}
