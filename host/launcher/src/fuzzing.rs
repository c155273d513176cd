//! Fuzz targets of this package: the bytes that come over its two sockets. Called by `fuzz/` and by the tests below.
use crate::exec_request::ExecRequest;
use rustix::cmsg_space;
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use wharf_sdk::launch::{Command, Job};

/// A job or a command is read or refused; one that was read is written and read again as the same.
///
/// # Panics
/// If it is not the same.
pub fn launcher_control(input: &[u8]) {
    let _ = serde_json::from_slice::<Command>(input);
    if let Ok(job) = serde_json::from_slice::<Job>(input) {
        let text = serde_json::to_vec(&job).expect("a job can be written");
        assert_eq!(serde_json::from_slice::<Job>(&text).expect("a job can be read again"), job);
    }
}

/// A request to execute that is cut off, too long or without its descriptors is refused, and never waited for.
///
/// # Panics
/// If the reader panics, or where no socket can be made.
pub fn exec_request(input: &[u8]) {
    let (reader, mut writer) = UnixStream::pair().expect("a pair of sockets");
    writer.set_nonblocking(true).expect("a socket");
    let log = std::fs::File::open("/dev/null").expect("/dev/null");
    let (length, text) = input.split_at(input.len().min(8));
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [log.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    if !length.is_empty() {
        sendmsg(&writer, &[IoSlice::new(length)], &mut ancillary, SendFlags::NOSIGNAL)
            .expect("a socket's buffer");
    }
    // Bytes beyond the socket's buffer are cut off, which is an input like any other.
    let _ = writer.write(text);
    drop(writer);
    let _ = ExecRequest::receive(&reader);
}

#[cfg(test)]
mod tests {
    #[test]
    fn jobs_stand_their_corpus() {
        wharf_fuzz_replay::replay("launcher_control", super::launcher_control);
    }

    #[test]
    fn requests_to_execute_stand_their_corpus() {
        wharf_fuzz_replay::replay("exec_request", super::exec_request);
    }
}
