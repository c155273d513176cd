//! The socket, and who has it.
use super::rig::Served;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use wharf_tests::host::Host;

#[test]
fn the_socket_is_its_users_alone_and_goes_with_its_server() {
    let host = Host::new();
    let served = Served::start(&host);
    let socket = host.path("state/api/wharf.sock");
    let found = std::fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(host.path("state/api")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(served.stop(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_second_serve_is_refused_and_a_killed_one_does_not_block_the_next() {
    let host = Host::new();
    let served = Served::start(&host);
    let second = host.wharf(&["serve"]);
    assert_eq!(second.code, 4, "{second:?}");
    let elsewhere = host.path("other.sock").display().to_string();
    assert_eq!(host.wharf(&["serve", "--socket", &elsewhere]).code, 4, "the records are the same");
    assert!(served.get("/version")["version"].is_string(), "the first one serves on");
    served.kill();
    assert!(host.path("state/api/wharf.sock").exists());
    let served = Served::start(&host);
    assert!(served.get("/version")["version"].is_string());
}

#[test]
fn a_file_in_the_place_of_the_socket_is_not_removed() {
    let host = Host::new();
    let path = host.path("precious");
    std::fs::File::create(&path).unwrap();
    let said = host.wharf(&["serve", "--socket", &path.display().to_string()]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(path.is_file());
}

#[test]
fn a_terminal_that_goes_ends_serve_as_any_signal_does() {
    let host = Host::new();
    let served = Served::start(&host);
    wharf_tests::host::kill(served.pid(), "HUP");
    assert_eq!(served.ended_with(), Some(0));
    assert!(!host.path("state/api/wharf.sock").exists());
}

#[test]
fn where_the_state_directory_cannot_be_written_serve_says_what_it_needs() {
    let host = Host::new();
    std::fs::create_dir_all(host.path("state")).unwrap();
    // Not even root can make a folder here.
    std::fs::File::create(host.path("state/api")).unwrap();
    let said = host.wharf(&["serve"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("the commands that only read work all the same"), "{said:?}");
}
