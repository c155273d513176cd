//! The launcher's record of its workload, durable before anything runs.
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use wharf_sdk::launch::State;

/// Replaces the file whole: whoever reads it finds the old state or the new one.
pub(super) fn write(path: &Path, state: &State) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the state file has no folder"))?;
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let written = file
        .write_all(&serde_json::to_vec_pretty(state)?)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}
