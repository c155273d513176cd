//! What a question to `wharf serve` costs: the files that are opened for it, told by the kernel.
use super::rig::Served;
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use wharf_tests::host::{Host, demo_server, eventually};

/// The records and secrets that anybody opens from now on.
struct Opened(OwnedFd);

impl Opened {
    fn watch(host: &Host) -> Self {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        for folder in ["state/runconfigs", "state/statuses", "state/proxy-secrets"] {
            add_watch(&inotify, host.path(folder), WatchFlags::OPEN).unwrap();
        }
        Self(inotify)
    }

    /// The names of those that were opened since the last call.
    fn names(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.0, &mut buffer);
        let mut names = Vec::new();
        loop {
            match events.next() {
                Ok(event) => names.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned())),
                Err(Errno::AGAIN) => return names,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn r10_a_record_that_has_not_changed_is_not_opened_again_and_one_that_has_is() {
    let host = Host::new();
    host.run(&["--name", "runs", &demo_server()]);
    host.run(&["--name", "rests", &demo_server()]);
    host.ok(&["stop", "rests"]);
    // What reconciles acts on records, and reads them.
    let served = Served::of(host.command(&["serve", "--no-reconcile"]), &host);
    let status = |name: &str| {
        let list = served.get("/workloads?all=true");
        let rows = list["workloads"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["name"] == name).unwrap()
    };
    let opened = Opened::watch(&host);
    // A file that has just been written is read again, since its next change could not be told from the last.
    eventually("a list opens none of them", || {
        opened.names();
        assert!(status("runs")["url"].as_str().unwrap().starts_with("http://"));
        opened.names().is_empty()
    });
    assert_eq!(status("rests")["status"], "stopped");
    assert_eq!(opened.names(), [""; 0]);
    host.ok(&["start", "rests"]);
    assert_eq!(status("rests")["status"], "running", "another process has written it");
    host.ok(&["rm", "rests"]);
    host.run(&["--name", "rests", "--label", "is=another", &demo_server()]);
    assert_eq!(status("rests")["labels"]["is"], "another");
}
