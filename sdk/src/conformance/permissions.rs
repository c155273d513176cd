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
];

pub(super) fn under(profile: PermissionProfile, spec: WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec { permission_profile: Some(profile), ..spec }
}

pub(super) fn none() -> Checked<PermissionProfile> {
    PermissionProfile::built_in("none").ok_or_else(|| Breach("there is no profile 'none'".to_owned()))
}

/// Makes a file that stands for one of the user's.
fn secret(fixture: &Fixture) -> Checked<PathBuf> {
    let path = fixture.setting.folder.join("secret");
    let made = std::fs::File::create(&path);
    made.map_err(|error| Breach(format!("no file can be made: {error}")))?;
    Ok(path)
}

fn text(path: &Path) -> Checked<&str> {
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
