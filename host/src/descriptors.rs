//! Which descriptors are a process' own, and what a careless ancestor left open.
//!
//! [`close_inherited`] is called first thing by processes that stay: a descriptor that they inherited would hold somebody's lock or pipe for
//! their whole life, and reach the workload.

/// The lowest number that is none of the three that a program expects.
pub(crate) const FIRST_FREE_DESCRIPTOR: i32 = 3;

/// Closes every descriptor but the first three. Nothing of this process' own may be open yet.
pub(crate) fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number >= FIRST_FREE_DESCRIPTOR) {
        // The folder's own is among them, and closed already.
        let _ = nix::unistd::close(number);
    }
}
