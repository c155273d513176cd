//! Looks at containers one by one where a listing may be wrong.
//!
//! Situation: the disk of an engine is full when a container ends; Docker cannot write that down, and its listing shows the
//! container as running until the engine is restarted. Conclusion: where one workload is asked for, or where that disk is
//! seen to be full, what the engine says of a container by its id counts. A listing of all costs nothing more as long as
//! there is room.
use crate::{answer::read, error::is_missing, flavor::Flavor, http::Session, observe::Summary};
use bollard::errors::Error;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_sdk::WorkloadState;

/// At most this many containers of a listing are looked at: a list has a deadline.
const LOOKED_AT_MAX: usize = 256;
/// A disk with less room than this counts as full: it takes little to write down that a container has ended, and the disk
/// may have had even less when that was tried.
const ROOM_MIN: u64 = 16 << 20;
/// How long a disk may take to say how full it is; one that is slower is not waited for.
const DISK_WAIT: Duration = Duration::from_millis(250);

/// True if the listing of this engine may be wrong: it is a Docker, and its data are on a full disk of this machine.
pub(crate) async fn is_called_for(flavor: Flavor, instance: Option<&str>) -> bool {
    let Some(root) = instance.filter(|_| flavor == Flavor::Docker).and_then(data_root) else { return false };
    let asked = tokio::task::spawn_blocking(move || is_full(&root));
    matches!(tokio::time::timeout(DISK_WAIT, asked).await, Ok(Ok(true)))
}

/// The data root that a Docker's instance names, behind its ID.
fn data_root(instance: &str) -> Option<PathBuf> {
    instance.split_once(' ').map(|(_, root)| PathBuf::from(root)).filter(|root| root.is_absolute())
}

/// True if its owner can write hardly anything there: root has what is kept for root, too. Where an engine is on another
/// machine, the folder is not here, or is another one: then containers are looked at in vain.
fn is_full(folder: &Path) -> bool {
    let Ok(disk) = rustix::fs::statvfs(folder) else { return false };
    let is_roots = fs::metadata(folder).is_ok_and(|found| found.uid() == 0);
    let blocks = if is_roots { disk.f_bfree } else { disk.f_bavail };
    let has_files = disk.f_files == 0 || disk.f_ffree > 0;
    disk.f_blocks > 0 && !(has_room(blocks, disk.f_frsize) && has_files)
}

/// Whether so many free blocks of this size are room enough.
const fn has_room(blocks: u64, block_bytes: u64) -> bool {
    blocks.saturating_mul(block_bytes) >= ROOM_MIN
}

/// Inspects what a listing shows as running, on the connection of that listing.
pub(crate) async fn look_closely(session: &mut Session, seen: &mut Vec<Summary>) -> Result<(), Error> {
    let mut left = LOOKED_AT_MAX;
    for at in (0..seen.len()).rev() {
        let Some(id) = seen[at].id.clone().filter(|_| seen[at].doing() == WorkloadState::Running) else {
            continue;
        };
        if left == 0 {
            break;
        }
        left -= 1;
        match read(session.ask(&format!("/containers/{id}/json")).await?) {
            Ok(inspected) => seen[at].inspected = Some(inspected),
            // It was removed since it was listed.
            Err(error) if is_missing(&error) => drop(seen.remove(at)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_docker_with_a_full_disk_calls_for_a_look() {
        assert_eq!(data_root("ABCD:EFGH /var/lib/docker data"), Some("/var/lib/docker data".into()));
        for nothing in ["ABCD", "ABCD data", ""] {
            assert_eq!(data_root(nothing), None);
        }
        // One has no blocks at all, the other one is not there.
        for folder in ["/proc", "/nowhere"] {
            assert!(!is_full(Path::new(folder)), "{folder}");
        }
        assert!(
            !has_room(0, 4096) && !has_room(4095, 4096) && has_room(4096, 4096) && has_room(u64::MAX, 4096)
        );
        assert!(!is_called_for(Flavor::Docker, None).await);
        assert!(!is_called_for(Flavor::Docker, Some("ABCD /nowhere")).await);
        assert!(!is_called_for(Flavor::Podman, Some("ABCD /nowhere")).await);
    }
}
