//! Tries to get out of the sandbox that it runs in: one attempt for each pair of arguments, each with a line about its
//! outcome.
//!
//! `wharf-escape WHAT WITH [WHAT WITH]...` prints `WHAT WITH: got through` or `WHAT WITH: held (why)`.
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::{
    fs,
    io::{self, Read},
    net::{TcpStream, UdpSocket},
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        net::{UnixDatagram, UnixStream},
        process::CommandExt,
    },
    process::{Child, Command, Stdio},
};

/// Connects while it sends, send(2); `nix` does not know it.
const MSG_FASTOPEN: i32 = 0x2000_0000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    for pair in args.chunks(2) {
        let [what, with] = pair else { continue };
        match attempt(what, with) {
            Ok(()) => tell(&format!("{what} {with}: got through")),
            Err(error) => tell(&format!("{what} {with}: held ({error})")),
        }
    }
}

fn attempt(what: &str, with: &str) -> io::Result<()> {
    match what {
        "read" => fs::File::open(with)?.read(&mut [0; 16]).map(drop),
        "create" => fs::File::create(with).map(drop),
        "cut" => Ok(nix::unistd::truncate(with, 0)?),
        "mode" => fs::set_permissions(with, fs::Permissions::from_mode(0o600)),
        "set-user-id" => fs::set_permissions(with, fs::Permissions::from_mode(0o4755)),
        "set-group-id" => fs::set_permissions(with, fs::Permissions::from_mode(0o2755)),
        "set-user-id-by-descriptor" => Ok(rustix::fs::fchmod(fs::File::open(with)?, SET_USER_ID)?),
        "create-set-user-id" => {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o4755).open(with).map(drop)
        }
        "create-unnamed-set-user-id" => {
            let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::WRONLY;
            Ok(rustix::fs::open(with, flags, SET_USER_ID).map(drop)?)
        }
        "node-set-user-id" => {
            Ok(rustix::fs::mknodat(rustix::fs::CWD, with, rustix::fs::FileType::RegularFile, SET_USER_ID, 0)?)
        }
        "folder-with-group" => Ok(rustix::fs::mkdir(with, rustix::fs::Mode::from_raw_mode(0o2755))?),
        "untie" => untie(with),
        "rename" => two(with).and_then(|(from, to)| fs::rename(from, to)),
        "link" => two(with).and_then(|(from, to)| fs::hard_link(from, to)),
        "times" => fs::File::open(with)?.set_modified(std::time::SystemTime::UNIX_EPOCH),
        "command-of" => fs::read(format!("/proc/{with}/cmdline")).map(drop),
        "priority" => {
            let pid = Pid::from_raw(with.parse().map_err(io::Error::other)?);
            Ok(rustix::process::setpriority_process(pid, 19)?)
        }
        "list" => fs::read_dir(with).map(drop),
        "signal" => signal(with.parse().map_err(io::Error::other)?),
        "signal-own-child" => {
            let mut child = sleeper()?;
            let sent = signal(child.id());
            child.kill()?;
            child.wait()?;
            sent
        }
        "environment-of" => {
            fs::File::open(format!("/proc/{with}/environ"))?.read_to_end(&mut Vec::new()).map(drop)
        }
        "tcp" => TcpStream::connect(with).map(drop),
        "listen" => listen(),
        "fast-open-sendto" | "fast-open-sendmsg" | "fast-open-sendmmsg" => fast_open(what, with),
        "udp" => UdpSocket::bind(with).map(drop),
        "unix" => UnixStream::connect(with).map(drop),
        "ask-unix" => ask(&mut UnixStream::connect(with)?),
        "datagram-pair" => UnixDatagram::pair().map(drop),
        "limit" => limit(with.parse().map_err(io::Error::other)?),
        "namespace" => Ok(unshare(CloneFlags::CLONE_NEWUSER)?),
        "find" => find(with),
        "run" => said_by(with),
        "fork" => fork(with.parse().map_err(io::Error::other)?),
        "share-for-ever" => share_for_ever(with),
        "fill" => fill(with.parse().map_err(io::Error::other)?),
        "touch-memory" => {
            std::hint::black_box(vec![1_u8; with.parse().map_err(io::Error::other)?]);
            Ok(())
        }
        other => Err(io::Error::other(format!("'{other}' is not known"))),
    }
}

/// Each of several threads sets the set-gid bit of a folder again and again, until a call fails.
fn share_for_ever(folder: &str) -> io::Result<()> {
    let ask = || -> io::Result<()> {
        loop {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o2755))?;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(ask);
        }
    });
    Ok(())
}

/// The mode of a program that runs as its owner.
const SET_USER_ID: rustix::fs::Mode = rustix::fs::Mode::from_raw_mode(0o4755);

/// Two paths, `FROM:TO`.
fn two(paths: &str) -> io::Result<(&str, &str)> {
    paths.split_once(':').ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Succeeds if an HTTP request gets any answer.
fn ask(socket: &mut UnixStream) -> io::Result<()> {
    use io::{Read, Write};
    socket.write_all(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    socket.read_exact(&mut [0])
}

/// Becomes a program that does not die with its parent.
fn untie(program: &str) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(None)?;
    Err(Command::new(program).exec())
}

/// Succeeds if it gets a port by listening on a socket that is bound to none.
fn listen() -> io::Result<()> {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, listen, socket};
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    Ok(listen(&socket, Backlog::new(1)?)?)
}

/// Succeeds if a stream is connected by sending, without `connect`.
fn fast_open(by: &str, address: &str) -> io::Result<()> {
    use nix::sys::socket::{
        AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrIn, sendmmsg, sendmsg, sendto,
        socket,
    };
    use std::os::fd::AsRawFd;
    let address: SockaddrIn = address.parse().map_err(io::Error::other)?;
    let flag = MsgFlags::from_bits_retain(MSG_FASTOPEN);
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    let (fd, text) = (socket.as_raw_fd(), [io::IoSlice::new(b"x")]);
    match by {
        "fast-open-sendto" => sendto(fd, b"x", &address, flag)?,
        "fast-open-sendmsg" => sendmsg(fd, &text, &[], flag, Some(&address))?,
        _ => {
            let mut headers = MultiHeaders::preallocate(1, None);
            sendmmsg(fd, &mut headers, [&text], [Some(address)], [], flag)?.count()
        }
    };
    Ok(())
}

/// A signal that changes nothing.
fn limit(pid: i32) -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Ok(prlimit(Pid::from_raw(pid), Resource::Core, none).map(drop)?)
}

fn signal(pid: u32) -> io::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, Signal::CONT)?)
}

fn sleeper() -> io::Result<Child> {
    Command::new("sleep").arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// Succeeds if a program runs as somebody else than this one does; it must print its effective user.
fn said_by(program: &str) -> io::Result<()> {
    let output = Command::new(program).arg("-u").output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mine = rustix::process::geteuid().as_raw().to_string();
    if said != mine && output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other("it ran as this user"))
    }
}

/// Succeeds if a text stands in anything that it can read below some folders: `TEXT:FOLDER[:FOLDER]...`, the text from
/// behind, so that it is not in its own arguments.
fn find(what: &str) -> io::Result<()> {
    let mut parts = what.split(':');
    let text: Vec<u8> = parts.next().unwrap_or_default().bytes().rev().collect();
    let mut folders: Vec<std::path::PathBuf> = parts.map(Into::into).collect();
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let is_in_name = path.as_os_str().as_encoded_bytes().windows(text.len()).any(|part| part == text);
            match entry.file_type() {
                Ok(kind) if is_in_name || (kind.is_file() && has(&path, &text)) => return found(&path),
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) => read += u32::from(kind.is_file()),
                Err(_) => {}
            }
        }
    }
    Err(io::Error::other(format!("it is in none of {read} files")))
}

fn found(path: &std::path::Path) -> io::Result<()> {
    tell(&format!("it is in {}", path.display()));
    Ok(())
}

/// Files that never end (the kernel's messages, its memory) are left out.
fn has(path: &std::path::Path, text: &[u8]) -> bool {
    const MOST: u64 = 1024 * 1024;
    let is_endless = |name: &std::ffi::OsStr| {
        ["kmsg", "kcore", "kpagecount", "kpageflags", "kpagecgroup", "pagemap", "mem", "trace_pipe"]
            .iter()
            .any(|endless| name == *endless)
    };
    if path.starts_with("/proc") && path.file_name().is_some_and(is_endless) {
        return false;
    }
    let mut bytes = Vec::new();
    let opened = rustix::fs::open(
        path,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let Ok(file) = opened.map(fs::File::from) else { return false };
    let _ = file.take(MOST).read_to_end(&mut bytes);
    bytes.windows(text.len()).any(|part| part == text)
}

/// Succeeds if it can have so many children at once.
fn fork(count: usize) -> io::Result<()> {
    let mut children = Vec::new();
    let all = (0..count).try_for_each(|_| sleeper().map(|child| children.push(child)));
    for mut child in children {
        child.kill()?;
        child.wait()?;
    }
    all
}

/// Succeeds if a child of it can use so many bytes.
fn fill(bytes: usize) -> io::Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(["touch-memory", &bytes.to_string()])
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

#[expect(clippy::print_stdout, reason = "its output is what the test reads")]
fn tell(line: &str) {
    println!("{line}");
}
