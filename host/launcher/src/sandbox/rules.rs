//! Rules for filters of system calls: numbers of calls, and conditions on an argument. The modules with filters use it.
use libc::c_int;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use std::collections::BTreeMap;

/// Rules by the number of the call. A call without conditions matches with any arguments.
pub(crate) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(crate) fn masked(argument: u8, mask: u64, value: c_int) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(mask), value)
}

/// A condition on 32 bits of an argument, since the kernel reads only these.
pub(crate) fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: c_int,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.cast_unsigned()))
}
