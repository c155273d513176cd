//! Switches on the loopback interface of a new network namespace, where it exists but is down.
//!
//! It is done with a message of rtnetlink(7): `ioctl` would take unsafe code.
use rustix::{
    io::{Errno, Result},
    net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with},
};

/// Its number in every network namespace.
const LOOPBACK_INDEX: i32 = 1;
/// The first protocol of the family, for which rustix has `None`.
const NETLINK_ROUTE: Option<Protocol> = None;
/// linux/rtnetlink.h, linux/netlink.h, linux/if.h.
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: u32 = 32;
/// The limit of the answer, which repeats the request.
const MAX_ANSWER_BYTES: usize = 256;

/// Switches it on. The kernel then gives it its address.
pub(crate) fn begin() -> Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, NETLINK_ROUTE)?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut answer = [0; MAX_ANSWER_BYTES];
    let (read, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    match code(answer.get(..read).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw_os_error(-code)),
        None => Err(Errno::PROTO),
    }
}

/// A header of netlink(7) (length, type, flags, number, port) and an `ifinfomsg` (family, type, index, flags, mask of
/// flags).
fn request() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(REQUEST_BYTES.to_ne_bytes());
    bytes.extend(RTM_NEWLINK.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([0; 4]);
    bytes.extend(LOOPBACK_INDEX.to_ne_bytes());
    bytes.extend(IFF_UP.to_ne_bytes());
    bytes.extend(IFF_UP.to_ne_bytes());
    bytes
}

/// The error's negative number in an answer; 0 for success.
fn code(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(HEADER_BYTES..HEADER_BYTES + 4)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        assert_eq!(request().len(), REQUEST_BYTES as usize);
    }

    #[test]
    fn the_error_number_of_a_netlink_answer_is_read() {
        let mut answer = [0; 36];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(code(&answer), Some(0));
        answer[16..20].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert_eq!(code(&answer), Some(-1));
        assert_eq!(code(&answer[..8]), None);
        assert_eq!(code(&[0; 36]), None);
    }
}
