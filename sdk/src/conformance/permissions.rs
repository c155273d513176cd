//! Cases about permission profiles: their workloads try what the profile forbids.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::fixture::Fixture;
use super::material::Role;
use crate::{Capability, PermissionProfile, WorkloadSpec};
use std::path::{Path, PathBuf};

const NEEDS: &[Need] = &[Need::Capability(Capability::PERMISSION_PROFILE), Need::Shell];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "permissions.no-reading",
        sentence: "Under the profile 'none' a workload reads no files of the user's",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(no_reading(fixture))],
    },
    Case {
        id: "permissions.no-writing",
        sentence: "Under the profile 'none' a workload writes no files of the user's",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(no_writing(fixture))],
    },
    Case {
        id: "permissions.granted",
        sentence: "What the profile lists to be written is written",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(granted(fixture))],
    },
    Case {
        id: "mounts.parts",
        sentence: "Of a mounted folder that holds the host's own folders a workload reads the rest, and none of these",
        profile: Profile::Mounts,
        needs: &[
            Need::Capability(Capability::PERMISSION_PROFILE),
            Need::Capability(Capability::MOUNT_PARTS),
            Need::Shell,
        ],
        steps: &[|fixture| Box::pin(mount_parts(fixture))],
    },
];

pub(super) fn under(profile: PermissionProfile, spec: WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec { permission_profile: Some(profile), ..spec }
}

pub(super) fn none() -> Checked<PermissionProfile> {
    PermissionProfile::built_in("none").ok_or_else(|| Breach("there is no profile 'none'".to_owned()))
}

/// Makes a file that stands for one of the user's.
pub(super) fn secret(fixture: &Fixture) -> Checked<PathBuf> {
    let path = fixture.setting.folder.join("secret");
    let made = std::fs::File::create(&path);
    made.map_err(|error| Breach(format!("no file can be made: {error}")))?;
    Ok(path)
}

pub(super) fn text(path: &Path) -> Checked<&str> {
    path.to_str().ok_or_else(|| Breach("the folder is not UTF-8".to_owned()))
}

async fn no_reading(fixture: &Fixture) -> Checked {
    let secret = secret(fixture)?;
    let spec = under(none()?, fixture.spec(Role::Read(text(&secret)?)));
    ensure(!fixture.succeeds(&spec).await?, || "it reads a file of the user's".to_owned())
}

async fn no_writing(fixture: &Fixture) -> Checked {
    let path = fixture.setting.folder.join("written");
    let spec = under(none()?, fixture.spec(Role::Write(text(&path)?)));
    fixture.succeeds(&spec).await?;
    ensure(!path.exists(), || "it writes where nothing was granted".to_owned())
}

async fn granted(fixture: &Fixture) -> Checked {
    let path = fixture.setting.folder.join("written");
    let write = vec![text(&fixture.setting.folder)?.to_owned()];
    let profile = PermissionProfile { name: "write".to_owned(), write, ..PermissionProfile::default() };
    let spec = under(profile, fixture.spec(Role::Write(text(&path)?)));
    ensure(fixture.succeeds(&spec).await? && path.exists(), || {
        "it was granted a folder, and cannot write there".to_owned()
    })
}

async fn mount_parts(fixture: &Fixture) -> Checked {
    let secret = secret(fixture)?;
    // The folder of the case holds that of the user's files, and those of the host.
    let Some(folder) = fixture.setting.folder.parent() else { return Err(Breach("no folder".to_owned())) };
    let own = &fixture.setting.private_dirs;
    let own = own.iter().find(|own| own.starts_with(folder) && own.as_path() != folder);
    let own = own.ok_or_else(|| Breach("the case has no folder of the host's".to_owned()))?;
    let record = own.join("record");
    let made = std::fs::create_dir_all(own).and_then(|()| std::fs::File::create(&record));
    made.map_err(|error| Breach(format!("no file can be made: {error}")))?;
    let folder = text(folder)?;
    let reads = |path: &Path| -> Checked<WorkloadSpec> {
        let mounts = vec![format!("{folder}:{folder}:ro")];
        Ok(under(none()?, WorkloadSpec { mounts, ..fixture.spec(Role::Read(text(path)?)) }))
    };
    let is_read = fixture.succeeds(&reads(&secret)?).await?;
    ensure(is_read, || "it does not read a file of the user's that lies in what is mounted".to_owned())?;
    let is_read = fixture.succeeds(&reads(&record)?).await?;
    ensure(!is_read, || "it reads a file of the host's that lies in what is mounted".to_owned())
}
