//! Groups: what workloads are listed under. One exists as long as a workload names it, or a front end remembers it.
use crate::commands::context::Context;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::read_run_config;
use wharf_model::{Error, ErrorKind, Result, WorkloadName};

/// The group of a workload that names none.
pub const DEFAULT_GROUP: &str = "default";
/// A longer name of a group is refused.
pub(crate) const GROUP_BYTES_MAX: usize = 64;

/// Checks the name of a new group, or of the one that a new workload is listed under.
///
/// # Errors
/// It is none that can be a part of a path, or a word of a command.
pub fn check_group(name: &str) -> Result<()> {
    let is_fine =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if !name.is_empty()
        && name.len() <= GROUP_BYTES_MAX
        && name.bytes().all(is_fine)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
    {
        return Ok(());
    }
    let message = format!(
        "the name of a group has up to {GROUP_BYTES_MAX} small letters, digits, '-' and '_', and begins with none of those two"
    );
    Err(Error::new(ErrorKind::Usage, message))
}

/// Lists a workload under another group from now on. It runs on; a runtime that knows groups hears of it at the next start.
pub async fn move_to_group(context: &Context, name: &WorkloadName, group: &str) -> Result<()> {
    let _operation = lock_operation(context, name).await?;
    let run = read_run_config(context, name)?;
    context.store().update_run_config(name, &run.uid, |run| group.clone_into(&mut run.group))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_name_that_can_be_written_anywhere() {
        for fine in ["tools", "a-1_b", "0"] {
            assert!(check_group(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "-a", "_a", "A", "a b", "a/b", "..", "a\n", "gr\u{fc}n", &"x".repeat(65)] {
            assert!(check_group(wrong).is_err(), "{wrong}");
        }
    }
}
