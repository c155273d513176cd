//! Drops all privileges, and every way to get some.
use rustix::{
    io,
    process::{Resource, Rlimit, setrlimit},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_capabilities_secure_bits, set_no_new_privs,
    },
};

/// Empties all sets of capabilities, and makes sure that no execution fills them again.
pub(crate) fn drop_all() -> io::Result<()> {
    // A core file would contain the workload's secrets, and be written where the workload itself may not write.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    for capability in CapabilitySet::all().iter() {
        // Only a process with CAP_SETPCAP can drop a capability from the bounding set. A number that the kernel does not
        // know is not in it.
        if capability_is_in_bounding_set(capability) == Ok(true) {
            match remove_capability_from_bounding_set(capability) {
                // PERM: no CAP_SETPCAP, as for an ordinary user; `no_new_privs` below suffices.
                Ok(()) | Err(io::Errno::PERM) => {}
                Err(error) => return Err(error),
            }
        }
    }
    clear_ambient_capability_set()?;
    // Without these bits, execve would give root all capabilities of the bounding set back.
    match set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    ) {
        Ok(()) | Err(io::Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)
}
