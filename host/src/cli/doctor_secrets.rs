//! The check of `doctor` on the secrets of proxies: a user who can read one can use its workload.
use super::finding::Finding;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wharf_records::StateDir;

const CHECK: &str = "secrets";
/// The mode bits for the group and for others.
const OTHERS: u32 = 0o077;

/// The findings on who can read or replace the secrets; empty if there are none.
pub(super) fn examine(state: &StateDir) -> Vec<Finding> {
    let folder = state.proxy_secrets();
    let Ok(of_folder) = std::fs::metadata(&folder) else { return Vec::new() };
    let mut findings: Vec<Finding> = finding(&folder, &of_folder, "700").into_iter().collect();
    let Ok(entries) = std::fs::read_dir(&folder) else { return findings };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        // A file that is gone by now is skipped.
        let Ok(metadata) = std::fs::symlink_metadata(path) else { continue };
        if metadata.is_file() {
            findings.extend(finding(path, &metadata, "600"));
        } else {
            let message = format!("{} is no file; its workload gets another secret", path.display());
            findings.push(Finding::warning(CHECK, message, "move it away"));
        }
    }
    findings
}

fn finding(path: &Path, metadata: &Metadata, mode: &str) -> Option<Finding> {
    let shown = path.display();
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        let message = format!("{shown} belongs to user {}, who knows what is in it", metadata.uid());
        let remedy =
            format!("run: chown {own} {shown} and chmod {mode} {shown}, then wharf url NAME --rotate");
        return Some(Finding::warning(CHECK, message, remedy));
    }
    if metadata.mode() & OTHERS != 0 {
        let message = format!("{shown} is open to other users (mode {:04o})", metadata.mode() & 0o7777);
        let remedy = format!("run: chmod {mode} {shown}, then wharf url NAME --rotate");
        return Some(Finding::warning(CHECK, message, remedy));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_that_others_can_read_or_own_are_told() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::new(home.path());
        assert!(examine(&state).is_empty(), "there are none");
        let folder = state.proxy_secrets();
        fs::create_dir(&folder).unwrap();
        let file = folder.join("time.json");
        drop(fs::File::create(&file).unwrap());
        let modes = |of_folder, of_file| {
            fs::set_permissions(&folder, Permissions::from_mode(of_folder)).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(of_file)).unwrap();
            examine(&state).into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        assert_eq!(modes(0o700, 0o600), Vec::<String>::new());
        let told = modes(0o700, 0o644);
        assert!(told.len() == 1 && told[0].contains("time.json") && told[0].contains("0644"), "{told:?}");
        let told = modes(0o755, 0o600);
        assert!(told.len() == 1 && told[0].contains("0755"), "{told:?}");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
            let told = modes(0o700, 0o600);
            assert!(told.len() == 1 && told[0].contains("user 12345"), "{told:?}");
        }
    }
}
