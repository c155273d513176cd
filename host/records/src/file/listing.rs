//! Reads all records of one kind, with several threads, for [`crate::Store`]. It takes no lock and changes nothing (R05): a
//! record that is removed meanwhile is not part of the listing; a corrupt one is in it, with its error.
use crate::error::ReadError;
use crate::file::document::{Document, RECORD_BYTES_MAX, decode_to_show};
use crate::file::folder::Folder;
use crate::file::shelf::Shelf;
use std::ffi::{OsStr, OsString};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use wharf_model::WorkloadName;

/// Below this number of records, another thread costs more than it saves.
const NAMES_PER_THREAD_MIN: usize = 200;
/// At most this many threads read.
const READING_THREADS_MAX: usize = 4;

/// A listing: each name in order, with its record or its error.
pub type Listing<R> = Vec<(WorkloadName, Result<R, ReadError>)>;

/// All records of a folder; none if it does not exist. What is on the shelf is read only if its file has changed.
pub(crate) fn list<D: Document>(folder: &Path, shelf: Option<&Shelf<D>>) -> Result<Listing<D>, ReadError> {
    let Some(folder) = Folder::open(folder)? else { return Ok(Vec::new()) };
    let mut names: Vec<_> = folder.names()?.iter().filter_map(|file| workload_of(file)).collect();
    names.sort_unstable();
    if let Some(shelf) = shelf {
        shelf.keep_only(&names);
    }
    let threads = (names.len() / NAMES_PER_THREAD_MIN).clamp(1, READING_THREADS_MAX);
    let share = names.len().div_ceil(threads).max(1);
    let mut shares = names.chunks(share);
    let first = shares.next().unwrap_or_default();
    let folder = &folder;
    Ok(thread::scope(|scope| {
        let begun = |names| {
            let read = move || read_all::<D>(folder, shelf, names);
            (names, thread::Builder::new().spawn_scoped(scope, read))
        };
        let others: Vec<_> = shares.map(begun).collect();
        let mut listing = read_all(folder, shelf, first);
        for (names, other) in others {
            listing.extend(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // If no thread can be started, the calling one reads these records too.
                Err(_) => read_all(folder, shelf, names),
            });
        }
        listing
    }))
}

fn read_all<D: Document>(folder: &Folder, shelf: Option<&Shelf<D>>, names: &[WorkloadName]) -> Listing<D> {
    let mut listing = Vec::with_capacity(names.len());
    let mut bytes = Vec::new();
    for name in names {
        let outcome = match shelf {
            Some(shelf) => read_one(folder, Some(shelf), name),
            None => read_quickly(folder, &mut bytes, name),
        };
        match outcome {
            // The record was removed since the folder was read.
            Err(ReadError::NotFound { .. }) => {}
            outcome => listing.push((name.clone(), outcome)),
        }
    }
    listing
}

/// One record, as a listing shows it.
pub(crate) fn read_one<D: Document>(
    folder: &Folder,
    shelf: Option<&Shelf<D>>,
    name: &WorkloadName,
) -> Result<D, ReadError> {
    let file = file_name(name);
    let shown = |bytes: &[u8]| decode_to_show(|| folder.path_of(&file), name, bytes);
    match shelf {
        Some(shelf) => shelf.read((folder, file.as_os_str()), name, RECORD_BYTES_MAX, shown),
        None => shown(&folder.read(&file, RECORD_BYTES_MAX)?),
    }
}

fn read_quickly<D: Document>(
    folder: &Folder,
    bytes: &mut Vec<u8>,
    name: &WorkloadName,
) -> Result<D, ReadError> {
    let file = file_name(name);
    let usual = folder.read_usual(bytes, &file);
    let usual = usual.and_then(|bytes| decode_to_show(|| folder.path_of(&file), name, bytes).ok());
    usual.map_or_else(|| read_one(folder, None, name), Ok)
}

/// The name of the file with a workload's record.
pub(crate) fn file_name(name: &WorkloadName) -> OsString {
    OsString::from(format!("{name}.json"))
}

/// The workload whose record a file is. None for temporary files, files that were set aside, and foreign files.
fn workload_of(file: &OsStr) -> Option<WorkloadName> {
    WorkloadName::new(file.to_str()?.strip_suffix(".json")?).ok()
}
