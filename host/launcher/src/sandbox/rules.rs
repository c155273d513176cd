//! Rules of a filter of system calls: by number, and conditions on an argument.
use libc::c_int;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use std::collections::BTreeMap;

/// By number of the call; a call without conditions is met by any arguments.
pub(crate) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(crate) fn masked(argument: u8, mask: u64, value: c_int) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(mask), value)
}

/// Of a number of 32 bits, as the kernel reads these arguments.
pub(crate) fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: c_int,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.cast_unsigned()))
}
