//! The launcher's protocol, used wrongly.
use super::*;
use std::{
    io::{BufRead, BufReader, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
};
use wharf_sdk::launch::{Job, MAX_JOB_BYTES, PROTOCOL, Report};

/// A launcher with its control socket.
struct Launcher {
    process: Child,
    control: UnixStream,
    reports: BufReader<UnixStream>,
}

impl Launcher {
    fn spawn() -> Self {
        let (control, theirs) = UnixStream::pair().unwrap();
        control.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let process = Command::new(wharf_binary())
            .arg("__launch")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let reports = BufReader::new(control.try_clone().unwrap());
        Self { process, control, reports }
    }

    fn report(&mut self) -> Option<Report> {
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    fn failure(&mut self) -> String {
        match self.report() {
            Some(Report::Failed { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    }

    fn send_job(&mut self, job: &Job) {
        self.control.write_all(&[&serde_json::to_vec(job).unwrap()[..], b"\n"].concat()).unwrap();
    }
}

fn job(host: &TestHost) -> Job {
    let spec = host.command(HTTP, "true", &[]);
    host.runtime.job(&spec).unwrap()
}

#[test]
fn a_plugin_of_another_version_is_refused_in_words() {
    // The first version had no number; the fields of a later one are not read.
    for job in ["{\"uid\":\"x\"}\n", "{\"protocol\":99,\"new\":[]}\n"] {
        let mut launcher = Launcher::spawn();
        launcher.control.write_all(job.as_bytes()).unwrap();
        assert!(launcher.failure().contains("version"), "{job}");
        assert!(!launcher.process.wait().unwrap().success());
    }
}

#[test]
fn a_job_that_makes_no_sense_fails_and_makes_nothing() {
    let mut launcher = Launcher::spawn();
    launcher.control.write_all(format!("{{\"protocol\":{PROTOCOL}}}\n").as_bytes()).unwrap();
    assert!(launcher.failure().starts_with("the job cannot be read"));
    assert!(!launcher.process.wait().unwrap().success());
}

#[test]
fn a_job_that_is_too_long_fails() {
    let mut launcher = Launcher::spawn();
    let mut control = launcher.control.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        // The launcher stops reading, and its end closes.
        let _ = control.write_all(&vec![b' '; MAX_JOB_BYTES + 1024 * 1024]);
    });
    // If a part of the input was not read, the socket may be reset before the report is read.
    let mut line = String::new();
    if launcher.reports.read_line(&mut line).is_ok() && !line.is_empty() {
        assert!(line.contains("longer than"), "{line}");
    }
    writing.join().unwrap();
    assert!(!launcher.process.wait().unwrap().success());
}

#[test]
fn another_message_than_go_fails_and_leaves_nothing() {
    let host = TestHost::new();
    let job = job(&host);
    let mut launcher = Launcher::spawn();
    launcher.send_job(&job);
    let Some(Report::Prepared { workload, .. }) = launcher.report() else { panic!("not prepared") };
    assert!(lives(&workload) && job.state_path.exists());
    launcher.control.write_all(b"\"come\"\n").unwrap();
    assert!(launcher.failure().contains("not known"));
    launcher.process.wait().unwrap();
    assert!(!lives(&workload) && !job.state_path.exists());
}

#[test]
fn a_job_and_the_message_go_may_come_in_one_piece() {
    let host = TestHost::new();
    let mut launcher = Launcher::spawn();
    let job = serde_json::to_vec(&job(&host)).unwrap();
    launcher.control.write_all(&[&job[..], b"\n\"go\"\n"].concat()).unwrap();
    assert!(matches!(launcher.report(), Some(Report::Prepared { .. })));
    assert!(matches!(launcher.report(), Some(Report::Started {})));
    assert!(matches!(launcher.report(), Some(Report::Exited(exit)) if exit.code == Some(0)));
    assert!(launcher.report().is_none());
    assert!(launcher.process.wait().unwrap().success());
}

#[test]
fn r12_what_cannot_be_recorded_is_not_run() {
    let host = TestHost::new();
    let job = Job { state_path: "/no/such/folder/state.json".into(), ..job(&host) };
    let mut launcher = Launcher::spawn();
    launcher.send_job(&job);
    assert!(launcher.failure().starts_with("the workload's state cannot be recorded"));
    launcher.process.wait().unwrap();
}

#[test]
fn a_log_that_cannot_be_opened_is_told_before_anything_runs() {
    let host = TestHost::new();
    let job = Job { log_path: "/no/such/folder/a.log".into(), ..job(&host) };
    let mut launcher = Launcher::spawn();
    launcher.send_job(&job);
    assert!(launcher.failure().contains("/no/such/folder/a.log"));
    launcher.process.wait().unwrap();
    assert!(!job.state_path.exists());
}

#[test]
fn a_folder_that_cannot_be_entered_is_told_apart_from_a_missing_program() {
    let host = TestHost::new();
    let job = Job { current_dir: "/no/such/folder".into(), ..job(&host) };
    let mut launcher = Launcher::spawn();
    launcher.send_job(&job);
    launcher.control.write_all(b"\"go\"\n").unwrap();
    assert!(matches!(launcher.report(), Some(Report::Prepared { .. })));
    assert!(launcher.failure().starts_with("the folder '/no/such/folder' cannot be entered"));
    launcher.process.wait().unwrap();
}
