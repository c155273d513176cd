//! The files of the host that a container sees: its mounts, and the paths of its permission profile.
use bollard::models::{Mount, MountType};
use std::path::{Path, PathBuf};
use wharf_sdk::{Error, Result, WorkloadSpec};

/// All mounts of a workload.
pub(crate) fn of(spec: &WorkloadSpec, private: &[PathBuf]) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = spec.mounts.iter().map(|text| mount(text)).collect::<Result<_>>()?;
    if let Some(profile) = &spec.permission_profile {
        for (list, field, read_only) in [(&profile.read, "read", true), (&profile.write, "write", false)] {
            for given in list {
                mounts.push(listed(&format!("permission_profile.{field}"), given, read_only)?);
            }
        }
    }
    for mount in &mounts {
        refuse_private(mount, private)?;
    }
    Ok(mounts)
}

/// Refuses a mount whose source does not exist: Podman would make a folder in its place.
pub(crate) fn refuse_missing(mounts: &[Mount]) -> Result<()> {
    let missing = mounts.iter().filter_map(|mount| mount.source.as_deref());
    match missing.into_iter().find(|source| std::fs::symlink_metadata(source).is_err()) {
        Some(source) => {
            Err(Error::precondition(format!("'{source}', which is to be mounted, does not exist")))
        }
        None => Ok(()),
    }
}

/// Parses `host:workload[:ro]`. The engine is asked for a mount, not for a bind of Docker's old form, which would make
/// missing folders.
fn mount(text: &str) -> Result<Mount> {
    let wrong = |why: &str| {
        Error::invalid(format!("the mount '{text}' {why}; write HOST:WORKLOAD or HOST:WORKLOAD:ro"))
    };
    let wharf_sdk::Mount { source, target, read_only } = wharf_sdk::Mount::parse(text).map_err(wrong)?;
    if !Path::new(source).is_absolute() {
        return Err(wrong("does not begin with an absolute path"));
    }
    Ok(bind(source, target, read_only))
}

/// Parses `HOST`, for the same path in the container, or `HOST:WORKLOAD`.
fn listed(field: &str, given: &str, read_only: bool) -> Result<Mount> {
    let (source, target) = given.split_once(':').unwrap_or((given, given));
    if !Path::new(source).is_absolute() || !Path::new(target).is_absolute() || target.contains(':') {
        return Err(Error::invalid(format!(
            "'{given}' of {field} is no absolute path, nor HOST:WORKLOAD of two"
        )));
    }
    Ok(bind(source, target, read_only))
}

fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// Refuses a mount that would show wharf's own files to a workload.
fn refuse_private(mount: &Mount, private: &[PathBuf]) -> Result<()> {
    let source = mount.source.as_deref().unwrap_or_default();
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
