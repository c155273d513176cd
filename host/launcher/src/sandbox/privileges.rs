//! No privileges, and no way to any.
use rustix::{
    io,
    process::{Resource, Rlimit, setrlimit},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_capabilities_secure_bits, set_no_new_privs,
    },
};

/// Empties all sets of capabilities and lets no execution fill them again.
pub(crate) fn drop_all() -> io::Result<()> {
    // A core would hold what the workload was trusted with, in a folder that it need not be able to write.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    for capability in CapabilitySet::all().iter() {
        // Only who has CAP_SETPCAP has something to drop; one that the kernel does not know is not there.
        if capability_is_in_bounding_set(capability) == Ok(true) {
            match remove_capability_from_bounding_set(capability) {
                // For an ordinary user the set says nothing: no_new_privs keeps what it would bound away.
                Ok(()) | Err(io::Errno::PERM) => {}
                Err(error) => return Err(error),
            }
        }
    }
    clear_ambient_capability_set()?;
    // Root without these would be given everything back by execve, as far as the bounding set goes.
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
