//! Starts a deployed workload and waits until its server answers; if it does not, finds out why.
use crate::deployment::Deployment;
use crate::dial::upstream;
use crate::session_servers::SessionServers;
use crate::workload_proxy::WorkloadProxy;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use wharf_model::{Advice, Setting, how};
use wharf_model::{Error, ErrorKind, Result, chain};
use wharf_proxy::{ConnectError, Upstream};
use wharf_sdk::{Handle, LogOptions};

/// The number of lines of its log that the error of a failed start shows.
const SHOWN_LINES: u64 = 8;
/// How long to wait for one answer of an HTTP server that is starting.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long a workload that closed its stdout may take to end before the runtime is asked for its exit.
const EXIT_GRACE: Duration = Duration::from_secs(2);

impl Deployment {
    /// Attaches, starts, and makes the handshake with a server on stdin and stdout.
    pub(crate) async fn start_stdio(&mut self, handle: &Handle) -> Result<()> {
        let stream = self.client.attach(handle).await?;
        let (stdout, stdin) = stream
            .into_sides()
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the workload cannot be attached", &error))?;
        self.client.start(handle).await?;
        if !self.run.instances.is_shared() && self.session_servers.is_none() {
            self.session_servers = Some(SessionServers::new(
                (&self.config, &self.store),
                &self.run,
                (&self.client, self.host_id.as_str()),
            ));
        }
        let (settings, servers) = (&self.config.settings.proxy, self.session_servers.as_ref());
        let front = self
            .front
            .get_or_insert_with(|| WorkloadProxy::stdio(&self.run, &self.access, settings, servers))
            .clone();
        let WorkloadProxy::Stdio(proxy) = front else {
            return Err(Error::new(ErrorKind::Failed, "the transport changed under the supervisor"));
        };
        let deadline = self.config.settings.start_timeout();
        match proxy.connect(stdout, stdin, deadline).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_ready(handle, &error).await),
        }
    }

    async fn not_ready(&self, handle: &Handle, error: &ConnectError) -> Error {
        let name = &self.run.name;
        match error {
            ConnectError::Exited { .. } => self.ended_early(handle).await,
            ConnectError::TimedOut { .. } => {
                let seconds = self.config.settings.start_timeout().as_secs_f64();
                let message = format!("'{name}' did not answer the MCP handshake within {seconds} s");
                self.with_output(handle, Error::new(ErrorKind::Deadline, message)).await
            }
            other => {
                let message = format!("'{name}' does not speak MCP as it should: {}", chain(other));
                self.with_output(handle, Error::new(ErrorKind::Runtime, message)).await
            }
        }
    }

    /// Starts a server with a port, and waits until it answers.
    pub(crate) async fn start_http(&mut self, handle: &Handle) -> Result<()> {
        self.client.start(handle).await?;
        let seen = self.client.inspect(handle).await?;
        let server = upstream(&self.client, handle, &seen, self.target_port)?;
        self.wait_for_port(handle, server).await
    }

    /// Waits until the server answers. No event tells that, so this polls, with growing pauses, until the deadline or the
    /// workload's end.
    pub(crate) async fn wait_for_port(&mut self, handle: &Handle, server: Upstream) -> Result<()> {
        let deadline = Instant::now() + self.config.settings.start_timeout();
        let listening = async {
            let mut pause = Duration::from_millis(5);
            while !matches!(tokio::time::timeout(ANSWER_WAIT, answers(&server)).await, Ok(Ok(()))) {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(250));
            }
        };
        let ready = tokio::select! {
            biased;
            _ = self.client.wait(handle) => return Err(self.ended_early(handle).await),
            () = listening => true,
            () = tokio::time::sleep_until(deadline) => false,
        };
        if !ready {
            let inner = match self.target_port {
                port if port == server.authority().port() => String::new(),
                port => format!(", which leads to its port {port}"),
            };
            let message = format!("'{}' does not answer on {server}{inner}", self.run.name);
            let error = Error::new(ErrorKind::Deadline, message)
                .hint("read in its documentation where it listens: it was told PORT and MCP_PORT")
                .advise(Advice::Choose { setting: Setting::TargetPort, value: None });
            return Err(self.with_output(handle, error).await);
        }
        match &self.front {
            // The proxy is served already.
            Some(WorkloadProxy::Http(proxy)) => proxy.move_to(server),
            _ => {
                self.front =
                    Some(WorkloadProxy::http(&self.run, &self.access, &self.config.settings.proxy, server));
            }
        }
        Ok(())
    }

    async fn ended_early(&self, handle: &Handle) -> Error {
        let exit = tokio::time::timeout(EXIT_GRACE, self.client.wait(handle)).await;
        let how = match exit {
            Ok(Ok(exit)) => how(&exit),
            Ok(Err(_)) => "ended".to_owned(),
            Err(_) => "closed its output".to_owned(),
        };
        let error = Error::new(ErrorKind::Runtime, format!("'{}' {how} before it was ready", self.run.name));
        self.with_output(handle, error).await
    }

    /// The error with the last lines of the workload's output, which usually have the reason.
    async fn with_output(&self, handle: &Handle, error: Error) -> Error {
        const MAX_BYTES: u64 = 4096;
        let state = self.config.state();
        let path = state.logs().join(format!("{}.log", self.run.name));
        let error = if path.exists() { error.hint(format!("its log: {}", path.display())) } else { error };
        let options = LogOptions { tail: Some(SHOWN_LINES), ..LogOptions::default() };
        let Ok(stream) = self.client.logs(handle, options).await else { return error };
        let Ok(reader) = stream.into_reader() else { return error };
        let mut text = Vec::new();
        let mut reader = reader.take(MAX_BYTES);
        if tokio::time::timeout(EXIT_GRACE, reader.read_to_end(&mut text)).await.is_err() {
            return error;
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() { error } else { error.hint(format!("its last output:\n{}", lines.join("\n"))) }
    }
}

/// Succeeds if an HTTP server answers, with any status. An accepted connection alone proves nothing: an engine accepts
/// connections even before the server listens.
async fn answers(server: &Upstream) -> io::Result<()> {
    let mut stream = server.connect().await?;
    let request = format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.authority());
    stream.write_all(request.as_bytes()).await?;
    stream.read_u8().await.map(drop)
}
