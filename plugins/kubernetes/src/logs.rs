//! A workload's output, from the kubelet's files.
//!
//! The kubelet keeps both streams of a container in one file, without marking them. So for a server on stdin and stdout,
//! lines that are messages of its protocol are left out. For a container that was started again, the output of the one
//! before comes first. Each line is requested with its time, which is removed again unless it is wanted: so a stream that broke off, or ended
//! with its container, goes on after the last line that was passed on.
use crate::{
    cluster::Cluster,
    connection::Connection,
    error::ask,
    labels,
    observe::belongs,
    pods::{CONTAINER, PodWatch, container, last_end, runs},
    reasons,
    statefulset::SetIdentity,
};
use futures_util::{AsyncBufRead, AsyncBufReadExt, StreamExt};
use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::Pod},
    jiff::Timestamp,
};
use kube::{api::LogParams, runtime::watcher::watch_object};
use std::{collections::VecDeque, io, pin::pin, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use wharf_sdk::{ByteStream, Error, LogOptions, Result};

/// A longer line is cut, since a server may write without an end.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// The number of bytes that are held when only the last lines are wanted.
const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;
/// The number of bytes under way to the reader.
const BUFFER: usize = 64 * 1024;
/// The pause between two attempts to read on.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest one, where each attempt fails: it doubles with each.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The beginning of the line, without a time, that a node gives in the place of the output of a container that it has just
/// removed. The next question is about the container after it.
const REMOVED: &[u8] = b"unable to retrieve container logs for ";
/// How often it is asked again then.
const ATTEMPTS: usize = 5;

/// The workload whose output is read, and the options.
pub(crate) struct Source {
    /// Where another connection comes from once this one cannot be used any more.
    pub(crate) connection: Connection,
    pub(crate) cluster: Cluster,
    pub(crate) set: StatefulSet,
    /// The labels of its pods.
    pub(crate) selector: String,
    /// Whether messages of the protocol are left out.
    pub(crate) is_protocol: bool,
    pub(crate) options: LogOptions,
}

impl Source {
    /// The output of these pods.
    ///
    /// # Errors
    /// None of it is kept any more; or the cluster refuses.
    pub(crate) async fn open(self, pods: &[Pod]) -> Result<ByteStream> {
        let pod =
            pods.iter().find(|pod| runs(pod)).or_else(|| pods.iter().find(|pod| last_end(pod).is_some()));
        let Some(pod) = pod.or(pods.first()).cloned() else {
            if self.options.follow {
                let (is_protocol, timestamps) = (self.is_protocol, self.options.timestamps);
                return Ok(self.follow(Reader { is_protocol, timestamps, ..Reader::default() }, None));
            }
            return Err(Error::precondition(self.without_pods()));
        };
        if !self.options.follow && container(&pod).is_none() {
            return Err(Error::precondition(without_container(&pod)));
        }
        let timestamps = self.options.timestamps;
        let mut reader = Reader { is_protocol: self.is_protocol, timestamps, ..Reader::default() };
        reader.last = self.options.since_ms.and_then(before);
        reader.keep = self.options.tail.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if last_end(&pod).is_some() && runs(&pod) {
            // The node may have removed the earlier container's output already.
            drop(self.read(&pod, true, false, &mut reader, None).await);
        }
        if container(&pod).is_some() {
            let mut attempts = 0;
            while !self.read(&pod, false, false, &mut reader, None).await? && attempts < ATTEMPTS {
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
        if self.options.follow {
            return Ok(self.follow(reader, Some(pod)));
        }
        let text: Vec<u8> = reader.lines.into_iter().flatten().collect();
        Ok(ByteStream::reading(io::Cursor::new(text)))
    }

    /// Why there is no output where there is no pod.
    fn without_pods(&self) -> &'static str {
        match labels::annotation(&self.set.metadata, labels::STARTED) {
            Some(_) => "its pod is gone, and a cluster keeps no output of pods that are gone",
            None => "it has not run yet, so it has no log",
        }
    }

    /// Reads one container's output, to its end. False: the node has just removed that container.
    async fn read(
        &self,
        pod: &Pod,
        previous: bool,
        follow: bool,
        reader: &mut Reader,
        mut to: Option<&mut WriteHalf<DuplexStream>>,
    ) -> Result<bool> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            previous,
            follow,
            timestamps: true,
            since_time: reader.last,
            ..LogParams::default()
        };
        let lines = ask("the output cannot be read", self.cluster.pods().log_stream(name, &params)).await?;
        let mut lines = pin!(lines);
        let broken = |error: &io::Error| Error::unavailable(format!("the output breaks off: {error}"));
        while let Some(line) = next_line(&mut lines).await.map_err(|error| broken(&error))? {
            if line.starts_with(REMOVED) {
                return Ok(false);
            }
            let Some(line) = reader.take(&line) else { continue };
            match &mut to {
                Some(to) => to.write_all(&line).await.map_err(|error| broken(&error))?,
                None => reader.hold(line),
            }
        }
        Ok(true)
    }

    /// Goes on with new output of this container, and of those that come after it.
    fn follow(mut self, mut reader: Reader, pod: Option<Pod>) -> ByteStream {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        tokio::spawn(async move {
            let (mut listener, mut ours) = tokio::io::split(ours);
            let held: Vec<u8> = reader.lines.drain(..).flatten().collect();
            if ours.write_all(&held).await.is_err() {
                return;
            }
            let (mut pod, mut pause) = (pod, PAUSE);
            loop {
                let before = reader.last;
                if let Some(pod) = pod.as_ref().filter(|pod| container(pod).is_some()) {
                    let read = tokio::select! {
                        read = self.read(pod, false, true, &mut reader, Some(&mut ours)) => read,
                        () = is_left(&mut listener) => return,
                    };
                    let is_read = read.is_ok() || reader.last != before;
                    if let Err(error) = read {
                        tracing::debug!(%error, "the output is read on later");
                    }
                    pause = next_pause(pause, is_read);
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = is_left(&mut listener) => return,
                }
                self.renew().await;
                pod = tokio::select! {
                    pod = self.next_running() => pod,
                    () = self.removed() => return,
                    () = is_left(&mut listener) => return,
                };
            }
        });
        ByteStream::reading(theirs)
    }

    /// Makes the connection anew once it cannot be used any more: a log is followed for days, and meanwhile the kubeconfig is
    /// written anew, or the credentials run out.
    async fn renew(&mut self) {
        match self.connection.cluster().await {
            Ok(cluster) => self.cluster = cluster,
            Err(error) => tracing::debug!(%error, "the output is read on later"),
        }
    }

    /// A pod of the workload with a running container. None: the connection is to be made anew.
    async fn next_running(&self) -> Option<Pod> {
        let mut watch = PodWatch::of(&self.cluster, &self.selector);
        loop {
            match watch.next().await {
                Ok(change) => {
                    let mut pods = change.pods.values();
                    if let Some(pod) = pods.find(|pod| belongs(pod, &self.set) && runs(pod)) {
                        return Some(pod.clone());
                    }
                }
                Err(_) => {
                    tokio::time::sleep(PAUSE * 5).await;
                    if !self.cluster.is_current() {
                        return None;
                    }
                }
            }
        }
    }

    /// Resolves once the workload is removed.
    async fn removed(&self) {
        let identity = SetIdentity::of(&self.set);
        let mut sets = Box::pin(watch_object(self.cluster.statefulsets(), &identity.name));
        while let Some(seen) = sets.next().await {
            match seen {
                Ok(Some(set)) if set.metadata.uid.as_deref() == Some(&identity.object_uid) => {}
                Ok(_) => return,
                Err(_) => tokio::time::sleep(PAUSE * 5).await,
            }
        }
    }
}

/// The pause after an attempt to read on, which has read something or not.
fn next_pause(last: Duration, is_read: bool) -> Duration {
    if is_read { PAUSE } else { (last * 2).min(LONGEST_PAUSE) }
}

/// Resolves once nobody reads any more.
async fn is_left(listener: &mut ReadHalf<DuplexStream>) {
    let mut nothing = [0];
    drop(listener.read(&mut nothing).await);
}

/// The moment before a time: lines up to this moment are left out, so those of the time itself are shown.
fn before(ms: u64) -> Option<Timestamp> {
    let nanoseconds = i128::from(ms) * 1_000_000 - 1;
    Timestamp::from_nanosecond(nanoseconds).ok()
}

/// The position in the output, and the lines that are held.
#[derive(Default)]
struct Reader {
    is_protocol: bool,
    /// Whether the times stay.
    timestamps: bool,
    /// The time of the last line; lines that are not later are left out.
    last: Option<Timestamp>,
    /// How many of the last lines are held; none: all.
    keep: Option<usize>,
    lines: VecDeque<Vec<u8>>,
    held_bytes: usize,
}

impl Reader {
    /// A line without its time, or with it. None if it was passed on already, or is a message of the protocol.
    fn take(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let space = line.iter().position(|byte| *byte == b' ');
        let (time, text) = space.map_or((None, line), |at| {
            let time = std::str::from_utf8(&line[..at]).ok().and_then(|text| text.parse::<Timestamp>().ok());
            if time.is_some() { (time, &line[at + 1..]) } else { (None, line) }
        });
        if let Some(time) = time {
            if self.last.is_some_and(|last| time <= last) {
                return None;
            }
            self.last = Some(time);
        }
        let shown = if self.timestamps { line } else { text };
        (!(self.is_protocol && is_message(text))).then(|| shown.to_vec())
    }

    fn hold(&mut self, line: Vec<u8>) {
        self.held_bytes += line.len();
        self.lines.push_back(line);
        while self.held_bytes > MAX_HELD_BYTES || self.keep.is_some_and(|keep| self.lines.len() > keep) {
            let Some(line) = self.lines.pop_front() else { break };
            self.held_bytes -= line.len();
        }
    }
}

/// Why there is no output of a pod without a container: what keeps it from running, or has ended it, is all that there is to be told.
fn without_container(pod: &Pod) -> String {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let what = match phase {
        None | Some("Pending") => "its pod has not run yet, so it has no log",
        // Such as of one that its node has evicted.
        Some(_) => "the cluster shows no container of its pod any more, and no log",
    };
    let why = reasons::of(pod).map(|trouble| format!(": {}", trouble.message)).unwrap_or_default();
    format!("{what}{why}")
}

/// True if a line is a message of JSON-RPC, or several.
fn is_message(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let is_json = text.starts_with(b"{") || text.starts_with(b"[{");
    let named = b"\"jsonrpc\"";
    is_json && (text.windows(named.len()).any(|part| part == named) || line.len() >= MAX_LINE_BYTES)
}

/// The next line with its end. None at the end.
pub(crate) async fn next_line(lines: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let part = lines.fill_buf().await?;
        if part.is_empty() {
            return Ok((!line.is_empty()).then_some(line));
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(part.len(), |at| at + 1);
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend_from_slice(&part[..used.min(room)]);
        lines.consume_unpin(used);
        if end.is_some() {
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(reader: &mut Reader, line: &str) -> Option<String> {
        reader.take(line.as_bytes()).map(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn lines_lose_their_time_and_are_told_once() {
        let mut reader = Reader::default();
        let first = "2026-01-02T03:04:05.000000001Z one\n";
        assert_eq!(taken(&mut reader, first).as_deref(), Some("one\n"));
        assert_eq!(taken(&mut reader, first), None);
        assert_eq!(taken(&mut reader, "2026-01-02T03:04:05.000000002Z two\n").as_deref(), Some("two\n"));
        assert_eq!(taken(&mut reader, "no time\n").as_deref(), Some("no time\n"));
    }

    #[test]
    fn lines_keep_their_time_where_it_is_wanted_and_messages_are_known_behind_it() {
        let mut reader = Reader { is_protocol: true, timestamps: true, ..Reader::default() };
        let said = "2026-01-02T03:04:05.000000001Z one\n";
        assert_eq!(taken(&mut reader, said).as_deref(), Some(said));
        let message = "2026-01-02T03:04:05.000000002Z {\"result\":{},\"jsonrpc\":\"2.0\"}\n";
        assert_eq!(taken(&mut reader, message), None);
    }

    #[test]
    fn messages_of_the_protocol_are_no_log() {
        let mut reader = Reader { is_protocol: true, ..Reader::default() };
        assert_eq!(taken(&mut reader, "{\"result\":{},\"jsonrpc\":\"2.0\"}\n"), None);
        assert_eq!(taken(&mut reader, "{\"level\":\"info\"}\n").as_deref(), Some("{\"level\":\"info\"}\n"));
        assert_eq!(taken(&mut reader, "jsonrpc is up\n").as_deref(), Some("jsonrpc is up\n"));
    }

    #[test]
    fn the_last_lines_are_held_and_never_more_than_fits() {
        let mut reader = Reader { keep: Some(2), ..Reader::default() };
        for line in ["one", "two", "three"] {
            reader.hold(line.as_bytes().to_vec());
        }
        assert_eq!(reader.lines, [b"two".to_vec(), b"three".to_vec()]);
        let mut all = Reader::default();
        for _ in 0..=MAX_HELD_BYTES / MAX_LINE_BYTES {
            all.hold(vec![b'x'; MAX_LINE_BYTES]);
        }
        assert!(all.held_bytes <= MAX_HELD_BYTES && all.lines.len() == MAX_HELD_BYTES / MAX_LINE_BYTES);
    }

    #[test]
    fn a_pod_that_has_never_run_has_no_log_but_a_reason() {
        let status = serde_json::json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available" }] });
        let pod = |status: serde_json::Value| -> Pod {
            serde_json::from_value(serde_json::json!({ "metadata": {}, "status": status })).unwrap()
        };
        let none = "its pod has not run yet, so it has no log";
        assert_eq!(
            without_container(&pod(status)),
            format!("{none}: Unschedulable: 0/1 nodes are available")
        );
        assert_eq!(without_container(&pod(serde_json::json!({}))), none);
        let evicted = without_container(&pod(serde_json::json!({ "phase": "Failed", "reason": "Evicted" })));
        assert!(evicted.starts_with("the cluster shows no container of its pod any more"), "{evicted}");
    }

    #[test]
    fn output_that_cannot_be_read_is_asked_for_less_and_less_until_a_line_comes() {
        let mut pause = PAUSE;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            pause = next_pause(pause, false);
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(next_pause(pause, true), PAUSE);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let text = format!("{}\nnext", "x".repeat(MAX_LINE_BYTES * 2));
        let mut lines = futures_util::io::Cursor::new(text);
        assert_eq!(next_line(&mut lines).await.unwrap().unwrap().len(), MAX_LINE_BYTES + 1);
        assert_eq!(next_line(&mut lines).await.unwrap().unwrap(), b"next");
        assert_eq!(next_line(&mut lines).await.unwrap(), None);
    }
}
