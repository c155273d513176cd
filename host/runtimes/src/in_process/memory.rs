//! Free memory that the C library's allocator keeps. The host and the libraries in its process share that allocator.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "malloc_trim has no safe form"))]

/// Gives it back to the system. This takes about a millisecond for some megabytes; a thread that allocates meanwhile waits.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time and by any thread: it takes the allocator's locks, and gives away whole pages
    // in which nothing is allocated.
    unsafe {
        libc::malloc_trim(0)
    };
}
