//! The groups that a client has made, and that no workload need name: an empty file each.
//!
//! Called by the operations on groups, in the one process that holds the lock of the API's folder.
use crate::commands::{Context, DEFAULT_GROUP, check_group, groups};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::OwnFiles;

/// More are not remembered.
const GROUPS_MAX: usize = 1000;

fn files(context: &Context) -> OwnFiles {
    OwnFiles::new(context.config().state().api().join("groups"))
}

/// All groups: those that workloads name, and those that were made.
pub(crate) fn all(context: &Context) -> Result<BTreeSet<String>> {
    let mut all = groups(context)?;
    all.insert(DEFAULT_GROUP.to_owned());
    let made = files(context).names()?.into_iter().filter_map(|name| name.into_string().ok());
    all.extend(made.filter(|name| check_group(name).is_ok()));
    Ok(all)
}

/// Fails where there is no such group.
pub(crate) fn must_exist(context: &Context, name: &str) -> Result<()> {
    match all(context)?.contains(name) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::NotFound, format!("there is no group '{name}'"))),
    }
}

/// Makes one.
///
/// # Errors
/// A conflict, if there is one of this name.
pub(crate) fn make(context: &Context, name: &str) -> Result<()> {
    check_group(name)?;
    let all = all(context)?;
    if all.contains(name) {
        return Err(Error::new(ErrorKind::Conflict, format!("there is a group '{name}' already")));
    }
    if all.len() >= GROUPS_MAX {
        return Err(Error::new(ErrorKind::Conflict, format!("there are {GROUPS_MAX} groups already")));
    }
    files(context).create(name, b"").map(drop).map_err(|error| unwritten(&error))
}

/// Forgets one.
pub(crate) fn forget(context: &Context, name: &str) -> Result<()> {
    match check_group(name) {
        Ok(()) => files(context).remove(OsStr::new(name)).map_err(|error| unwritten(&error)),
        // It was never made, only named.
        Err(_) => Ok(()),
    }
}

fn unwritten(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::caused(ErrorKind::Failed, "the group cannot be recorded", error)
}
