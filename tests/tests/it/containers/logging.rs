//! The output of a workload in `logs`: while it runs, as it comes, and to its end.
use super::behind::container;
use super::{containers, host, run};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind, SHELL_IMAGE};
use wharf_tests::host::{EVENT_WAIT, Host, eventually};

/// Writes the lines that it reads to both streams, until it reads `end`.
const SAYS: &str = r#"while read -r line; do
  [ "$line" = end ] && exit 0
  echo "out $line"
  echo "err $line" >&2
done </told/words"#;

/// Answers every request on its port.
const WITH_A_PORT: &str = r#"answer='length=0
while read -r line; do
  case "$line" in
    [Cc]ontent-[Ll]ength:*) length=${line#*: }; length=${length%?} ;;
    ?) break ;;
  esac
done
dd bs=1 count="$length" of=/dev/null 2>/dev/null
answer="{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"serverInfo\":{\"name\":\"says\",\"version\":\"1\"}}}"
printf "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${#answer}\r\nConnection: close\r\n\r\n%s" "$answer"'
nc -ll -p "$PORT" -e sh -c "$answer" &
"#;

/// Answers the handshake, and is deaf to all else.
const ON_PIPES: &str = r#"read -r line
id=${line##*\"id\":}
id=${id%%[,\}]*}
echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"says","version":"1"}}}'
"#;

/// A workload that writes the test's lines.
struct Talker {
    host: Host,
    name: &'static str,
    words: File,
}

impl Talker {
    fn new(engine: &Engine, name: &'static str, more: &[&str], script: &str) -> Self {
        let host = host(&[(engine.kind(), engine.endpoint())]);
        let fifo = host.work().join("words");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // Opened for reading and writing, so that neither end waits or ends.
        let words = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        let script = format!("{script}{SAYS}");
        let run = ["--runtime", engine.kind().runtime(), "--name", name, "--restart", "no", "-v", ".:/told"];
        host.run(&[&run[..], more, &[SHELL_IMAGE, "--", "sh", "-c", &script]].concat());
        Self { host, name, words }
    }

    /// Tells it, and waits until all of that is in the log.
    fn says(&mut self, words: &str, shown: &[&str]) {
        writeln!(self.words, "{words}").unwrap();
        eventually("it has said so", || {
            let logs = self.logs(&[]);
            shown.iter().all(|line| logs.iter().any(|logged| logged == line))
        });
    }

    /// The lines of the log, in no order: the two streams come on ways of their own.
    fn logs(&self, more: &[&str]) -> Vec<String> {
        let text = self.host.ok(&[&["logs", self.name], more].concat());
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    fn follow(&self, more: &[&str]) -> Follower {
        let mut command = self.host.command(&[&["logs", self.name, "--follow"], more].concat());
        Follower::of(&mut command)
    }

    /// After its end the output is complete; a follower reads all of it and comes to the end.
    fn ends(mut self, follower: Follower, rest: &[&str]) {
        writeln!(self.words, "end").unwrap();
        assert_eq!(follower.rest(), rest);
        eventually("its end is recorded", || self.host.record(self.name)["status"] != "running");
        let logs = self.logs(&[]);
        assert!(rest.iter().all(|line| logs.iter().any(|logged| logged == line)), "{logs:?}");
        self.host.ok(&["rm", self.name]);
    }
}

/// A `logs --follow`.
struct Follower {
    process: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn of(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { process, lines }
    }

    /// The next so many lines, in no order.
    fn next(&self, count: usize) -> Vec<String> {
        let next = |_| self.lines.recv_timeout(EVENT_WAIT).expect("another line");
        let mut lines: Vec<String> = (0..count).map(next).collect();
        lines.sort_unstable();
        lines
    }

    /// The lines until the end of the log.
    fn rest(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(EVENT_WAIT) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on after the workload's end: {lines:?}"),
            }
        }
        assert!(self.process.wait().unwrap().success());
        lines
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The second after this one: engines keep the time of a line by the second when they are asked.
fn next_second() -> String {
    let now = || jiff::Timestamp::now().as_second();
    let then = now() + 1;
    eventually("the second is over", || now() >= then);
    jiff::Timestamp::from_second(then).unwrap().to_string()
}

/// The lines without the times before them, which they must have.
fn unstamped(lines: &[String]) -> Vec<String> {
    let mut texts: Vec<String> = lines
        .iter()
        .map(|line| {
            let (time, text) = line.split_once(' ').unwrap_or_else(|| panic!("no time: {line}"));
            assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{line}");
            text.to_owned()
        })
        .collect();
    texts.sort_unstable();
    texts
}

fn with_a_port(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let mut web = Talker::new(&engine, "web", &["--transport", "streamable-http"], WITH_A_PORT);
    web.says("one", &["out one", "err one"]);
    assert_eq!(web.logs(&[]), ["err one", "out one"], "both streams");
    let then = next_second();
    web.says("two", &["out two", "err two"]);
    web.says("three", &["out three", "err three"]);
    assert_eq!(web.logs(&["--tail", "2"]), ["err three", "out three"]);
    assert_eq!(web.logs(&["--tail", "0"]), Vec::<String>::new());
    assert_eq!(web.logs(&["--since", &then]), ["err three", "err two", "out three", "out two"]);
    assert_eq!(web.logs(&["--since", &then, "--tail", "2"]), ["err three", "out three"]);
    assert_eq!(unstamped(&web.logs(&["--timestamps", "--tail", "2"])), ["err three", "out three"]);
    let since = unstamped(&web.logs(&["--timestamps", "--since", &then]));
    assert_eq!(since, ["err three", "err two", "out three", "out two"]);
    let (all, last) = (web.follow(&["--since", &then]), web.follow(&["--tail", "2"]));
    assert_eq!(all.next(4), ["err three", "err two", "out three", "out two"]);
    assert_eq!(last.next(2), ["err three", "out three"]);
    web.says("four", &["out four", "err four"]);
    for follower in [&all, &last] {
        assert_eq!(follower.next(2), ["err four", "out four"]);
    }
    drop(last);
    web.ends(all, &[]);
}

fn on_pipes(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let mut piped = Talker::new(&engine, "piped", &[], ON_PIPES);
    for word in ["one", "two", "three"] {
        piped.says(word, &[&format!("err {word}")]);
    }
    let text = piped.host.ok(&["logs", "piped"]);
    assert_eq!(text, "err one\nerr two\nerr three\n", "what is said on stdout is the protocol's");
    assert_eq!(piped.logs(&["--tail", "2"]), ["err three", "err two"]);
    assert_eq!(unstamped(&piped.logs(&["--timestamps", "--tail", "2"])), ["err three", "err two"]);
    let then = next_second();
    piped.says("four", &["err four"]);
    assert_eq!(piped.logs(&["--since", &then]), ["err four"]);
    let last = piped.follow(&["--tail", "2"]);
    assert_eq!(last.next(2), ["err four", "err three"]);
    piped.says("five", &["err five"]);
    assert_eq!(last.next(1), ["err five"]);
    drop(last);
    let all = piped.follow(&["--since", &then]);
    piped.ends(all, &["err four", "err five"]);
}

#[test]
fn docker_shows_both_streams_follows_them_to_the_end_and_counts_lines() {
    with_a_port(Kind::Docker);
}

#[test]
fn podman_shows_both_streams_follows_them_to_the_end_and_counts_lines() {
    with_a_port(Kind::Podman);
}

#[test]
fn docker_counts_the_lines_of_a_server_on_pipes_without_its_protocol() {
    on_pipes(Kind::Docker);
}

#[test]
fn podman_counts_the_lines_of_a_server_on_pipes_without_its_protocol() {
    on_pipes(Kind::Podman);
}

/// No command waits for the start, so the output of the failing server must be in the log.
fn shows_why_it_failed(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let options = ["run", "--no-wait", "--runtime", kind.runtime(), "--name", "failing"];
    host.ok(&[&options[..], &[DEMO_IMAGE, "--", "--nonsense"]].concat());
    eventually("its failure is recorded", || host.row("failing").is_some_and(|row| row["status"] == "error"));
    assert!(host.ok(&["status", "failing"]).contains("exited with code 2"));
    assert!(host.ok(&["logs", "failing"]).contains("--nonsense"));
    assert_eq!(containers(&engine).len(), 1);
    host.ok(&["rm", "failing"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn docker_shows_what_failed_while_nobody_waited() {
    shows_why_it_failed(Kind::Docker);
}

#[test]
fn podman_shows_what_failed_while_nobody_waited() {
    shows_why_it_failed(Kind::Podman);
}

/// Somebody has removed the container: that is told, and not in an engine's words.
#[test]
fn the_log_of_a_container_that_is_gone_says_what_to_do() {
    for kind in [Kind::Docker, Kind::Podman] {
        let Some(engine) = Engine::start(kind) else { continue };
        let host = host(&[(kind, engine.endpoint())]);
        run(&host, kind, "gone", &[]);
        host.ok(&["stop", "gone"]);
        engine.client(&["rm", "--force", &container(&engine, "gone")]);
        for follow in [&[][..], &["--follow"]] {
            let said = host.wharf(&[&["logs", "gone"], follow].concat());
            assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{said:?}");
            for words in ["no longer has what 'gone' ran as", "wharf start gone", "wharf logs --proxy gone"] {
                assert!(said.stderr.contains(words), "{words}: {said:?}");
            }
            assert!(!said.stderr.to_lowercase().contains("no such container"), "{said:?}");
        }
        host.ok(&["start", "gone"]);
        host.ok(&["logs", "gone"]);
        host.ok(&["rm", "gone"]);
    }
}
