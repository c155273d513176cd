//! Takes over descriptors that a plugin hands to the host.
//!
//! Only a number crosses the ABI. If it were closed, the host would end when it drops it; if it were one of the host's own,
//! that one would be closed; and a descriptor that is neither a pipe nor a socket is no stream. So everything that can be
//! proved about a number is proved before the host owns it. A descriptor that fails stays open, since nobody knows whose it
//! is.
#![expect(unsafe_code, reason = "looking at descriptors by their numbers, and owning them")]
use rustix::{
    fs::{FileType, OFlags, fcntl_getfl, fstat},
    io::{FdFlags, fcntl_getfd, fcntl_setfd},
    net::{SocketType, sockopt},
};
use std::{
    collections::HashSet,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// There is no descriptor in this direction.
const NONE: RawFd = -1;
/// Standard input, output and error belong to this process.
const FIRST_OTHER: RawFd = 3;

/// A descriptor's number together with device and inode: if the number is used again, they differ.
type Identity = (RawFd, u64, u64);

/// The descriptors that this process had before a library was loaded. The library cannot own them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Earlier(HashSet<Identity>);

impl Earlier {
    /// The descriptors that are open now.
    pub(crate) fn now() -> Self {
        let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok);
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(numbers.filter_map(|raw| borrow(raw, identity)).collect())
    }
}

/// The two sides of a stream: reading end, writing end.
pub(crate) type Sides = (Option<OwnedFd>, Option<OwnedFd>);

/// Takes the descriptors that a plugin hands over.
///
/// # Errors
/// The reason why they are no stream; then none of them is taken.
pub(crate) fn take(handed: &[RawFd], earlier: &Earlier) -> Result<Sides, String> {
    let &[reader, writer] = handed else {
        return Err(format!("it hands over {} descriptors, and a stream has two", handed.len()));
    };
    if reader == writer && reader != NONE {
        return Err(format!("it hands over descriptor {reader} twice"));
    }
    for (raw, is_reader) in [(reader, true), (writer, false)] {
        if raw != NONE {
            examine(raw, is_reader, earlier)
                .map_err(|why| format!("it hands over descriptor {raw}, {why}"))?;
        }
    }
    // SAFETY: both are open and differ from each other; neither is one of this process's standard descriptors, nor one that
    // it had before the library was loaded. The interface's contract says that nobody else owns them.
    let own = |raw: RawFd| (raw != NONE).then(|| unsafe { OwnedFd::from_raw_fd(raw) });
    Ok((own(reader), own(writer)))
}

fn examine(raw: RawFd, is_reader: bool, earlier: &Earlier) -> Result<(), String> {
    if (0..FIRST_OTHER).contains(&raw) {
        return Err("which is the host's own".to_owned());
    }
    let Some(found) = borrow(raw, identity) else { return Err("which is not open".to_owned()) };
    if earlier.0.contains(&found) {
        return Err("which is the host's own".to_owned());
    }
    borrow(raw, |descriptor| Some(kind(descriptor, is_reader)))
        .unwrap_or_else(|| Err("which is not open".to_owned()))
}

/// Checks that the descriptor is one of the kinds that a stream has in this direction.
fn kind(descriptor: BorrowedFd<'_>, is_reader: bool) -> Result<(), String> {
    let failed = |error: rustix::io::Errno| format!("which cannot be examined: {error}");
    match FileType::from_raw_mode(fstat(descriptor).map_err(failed)?.st_mode) {
        FileType::Fifo => {}
        FileType::Socket => {
            let is_stream = sockopt::socket_type(descriptor).map_err(failed)? == SocketType::STREAM;
            if !is_stream || sockopt::socket_acceptconn(descriptor).map_err(failed)? {
                return Err("which is no stream".to_owned());
            }
        }
        _ => return Err("which is neither a pipe nor a socket".to_owned()),
    }
    let access = fcntl_getfl(descriptor).map_err(failed)? & OFlags::RWMODE;
    let wanted = if is_reader { OFlags::RDONLY } else { OFlags::WRONLY };
    if access != wanted && access != OFlags::RDWR {
        let what = if is_reader { "read from" } else { "written to" };
        return Err(format!("which cannot be {what}"));
    }
    // Children of this process must not inherit it.
    let flags = fcntl_getfd(descriptor).map_err(failed)?;
    fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC).map_err(failed)
}

fn identity(descriptor: BorrowedFd<'_>) -> Option<Identity> {
    use std::os::fd::AsRawFd;
    let found = fstat(descriptor).ok()?;
    Some((descriptor.as_raw_fd(), found.st_dev, found.st_ino))
}

/// Calls `look` with the descriptor of this number; none if it is not open.
fn borrow<T>(raw: RawFd, look: impl FnOnce(BorrowedFd<'_>) -> Option<T>) -> Option<T> {
    if raw < 0 {
        return None;
    }
    // SAFETY: the number is not -1. If it is closed, or is closed meanwhile, the kernel reports EBADF, as for any number;
    // nothing is read or written through it.
    look(unsafe { BorrowedFd::borrow_raw(raw) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        io::{Read, Write, pipe},
        net::TcpListener,
        os::{
            fd::{AsRawFd, IntoRawFd},
            unix::net::{UnixDatagram, UnixListener, UnixStream},
        },
    };

    fn refused(handed: &[RawFd]) -> String {
        take(handed, &Earlier::default()).err().unwrap_or_else(|| panic!("{handed:?} was taken"))
    }

    #[test]
    fn a_pair_of_pipes_or_sockets_is_taken() {
        let ((output, mut to_output), (mut from_input, input)) = (pipe().unwrap(), pipe().unwrap());
        to_output.write_all(b"out").unwrap();
        drop(to_output);
        let (reader, writer) =
            take(&[output.into_raw_fd(), input.into_raw_fd()], &Earlier::default()).unwrap();
        let mut text = String::new();
        File::from(reader.unwrap()).read_to_string(&mut text).unwrap();
        File::from(writer.unwrap()).write_all(b"in").unwrap();
        from_input.read_to_string(&mut text).unwrap();
        assert_eq!(text, "outin");
        let (one, _other) = UnixStream::pair().unwrap();
        let (reader, writer) = take(&[one.into_raw_fd(), NONE], &Earlier::default()).unwrap();
        assert!(reader.is_some() && writer.is_none());
    }

    #[test]
    fn a_descriptor_that_is_no_stream_of_the_plugin_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (reader, writer) = pipe().unwrap();
        let file = File::create(folder.path().join("file")).unwrap();
        let dir = File::open(folder.path()).unwrap();
        let (listener, tcp) =
            (UnixListener::bind(folder.path().join("s")).unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let datagrams = UnixDatagram::unbound().unwrap();
        let closed = {
            // Far above the numbers in use, so that no other test opens it meanwhile.
            const FAR: RawFd = 900;
            assert!(borrow(FAR, identity).is_none());
            FAR
        };
        let (reader, writer) = (reader.as_raw_fd(), writer.as_raw_fd());
        for (handed, why) in [
            (vec![reader], "1 descriptors"),
            (vec![reader, writer, reader], "3 descriptors"),
            (vec![reader, reader], "twice"),
            (vec![0, NONE], "which is the host's own"),
            (vec![NONE, 2], "which is the host's own"),
            (vec![-5, NONE], "which is not open"),
            (vec![closed, writer], "which is not open"),
            (vec![reader, closed], "which is not open"),
            (vec![writer, NONE], "which cannot be read from"),
            (vec![NONE, reader], "which cannot be written to"),
            (vec![file.as_raw_fd(), NONE], "neither a pipe nor a socket"),
            (vec![dir.as_raw_fd(), NONE], "neither a pipe nor a socket"),
            (vec![listener.as_raw_fd(), NONE], "which is no stream"),
            (vec![tcp.as_raw_fd(), NONE], "which is no stream"),
            (vec![datagrams.as_raw_fd(), NONE], "which is no stream"),
        ] {
            let told = refused(&handed);
            assert!(told.contains(why), "{handed:?}: {told}");
        }
        for raw in [reader, writer, 0, 2, file.as_raw_fd(), listener.as_raw_fd(), tcp.as_raw_fd()] {
            assert!(borrow(raw, identity).is_some(), "{raw} was closed");
        }
    }

    #[test]
    fn descriptors_from_before_the_load_are_not_the_librarys() {
        let (reader, writer) = pipe().unwrap();
        let earlier = Earlier::now();
        let told = take(&[reader.as_raw_fd(), NONE], &earlier).err().unwrap();
        assert!(told.contains("which is the host's own"), "{told}");
        drop((reader, writer));
        // The same numbers, used again, mean other descriptors.
        let (reader, writer) = pipe().unwrap();
        assert!(take(&[reader.into_raw_fd(), writer.into_raw_fd()], &earlier).is_ok());
    }
}
