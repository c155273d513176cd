//! The handshake that wharf makes with a server by itself, before and instead of any client's: the first client
//! would bind all others to its version and capabilities.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::protocol::forgiven::{Member, object_of, values};
use crate::protocol::json as scanner;
use crate::protocol::json::{JsonError, Level, Scan};
use crate::protocol::message::{Message, Shape, line_text};
use crate::protocol::negotiation::{named, offered};
use crate::protocol::own_error::SERVER_REPLACED;
use crate::protocol::revision::Revision;
use crate::stdio::broker::{INITIALIZED, Promise, State};
use crate::stdio::call::NoAnswer;
use crate::stdio::session::ListChanges;
use crate::stdio::shared::Shared;
use crate::stdio::upstream::connection::{
    ConnectError, Junk, Phase, PingError, ServerInfo, Upstream, excerpt,
};
use crate::stdio::upstream::outbox::Outbox;
use crate::stdio::upstream::reader;

/// The longest result of a handshake: it is kept in several forms, and each client gets a copy.
const MOST_WELCOME: usize = 1024 * 1024;

impl Shared {
    /// Takes a new server process into use.
    pub(crate) async fn connect<R, W>(
        self: &Arc<Self>,
        stdout: R,
        stdin: W,
        deadline: Duration,
    ) -> Result<ServerInfo, ConnectError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        self.start_sweeping();
        self.close_upstream(SERVER_REPLACED).await;
        let generation = self.next_generation();
        let flooded = self.install(generation, stdout, Box::new(stdin))?;
        let result = self.shake_hands(generation, deadline, &flooded).await;
        if result.is_err() {
            self.generation_ended(generation);
        }
        result
    }

    fn install<R>(
        self: &Arc<Self>,
        generation: u64,
        stdout: R,
        stdin: Box<dyn AsyncWrite + Send + Unpin>,
    ) -> Result<Arc<Notify>, ConnectError>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let outbox = Arc::new(Outbox::new(stdin, self.options.limits.stdin_queue_bytes, self.budget.clone()));
        let stop = CancellationToken::new();
        let flooded = Arc::new(Notify::new());
        let upstream = Upstream {
            generation,
            phase: Phase::Handshaking,
            outbox: outbox.clone(),
            junk: Junk::default(),
            flooded: flooded.clone(),
            revision: Revision::NEWEST,
            welcome: Bytes::new(),
            level: None,
            heard_at: Instant::now(),
            _tasks: stop.clone().drop_guard(),
        };
        self.with(|state| {
            if state.is_shut {
                return Err(ConnectError::ShutDown);
            }
            state.upstream = Some(upstream);
            self.generation.send_replace(Some(generation));
            Ok(())
        })?;
        let pump = stop.clone();
        let proxy = Arc::downgrade(self);
        let pumping = async move {
            outbox.run().await;
            if let Some(proxy) = proxy.upgrade() {
                proxy.input_ended(generation);
            }
        };
        tokio::spawn(async move { pump.run_until_cancelled(pumping).await });
        let read = reader::read(stdout, generation, Arc::downgrade(self), self.options.limits.line_bytes);
        tokio::spawn(async move { stop.run_until_cancelled(read).await });
        Ok(flooded)
    }

    async fn shake_hands(
        self: &Arc<Self>,
        generation: u64,
        deadline: Duration,
        flooded: &Notify,
    ) -> Result<ServerInfo, ConnectError> {
        let until = Instant::now() + deadline;
        let mut answer = self.initialize(Revision::NEWEST, (until, deadline), flooded).await?;
        // A server that refuses what it does not know, instead of naming what it knows, is asked once more.
        let other = error_of(&answer).and_then(|error| offered(&error, Revision::NEWEST));
        if let Some(revision) = other {
            tracing::info!(workload = %self.options.workload, revision = revision.as_str(), "asking for another revision");
            match self.initialize(revision, (until, deadline), flooded).await {
                Ok(second) => answer = second,
                // It may end itself once it has refused: the refusal says more than the end.
                Err(ConnectError::Exited { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (info, revision, result) = read_answer(&answer)?;
        self.with(|state| state.settle(generation, &info, revision, &result));
        self.input_ended(generation);
        tracing::info!(
            workload = %self.options.workload,
            server = %excerpt(info.name.as_bytes()),
            revision = revision.as_str(),
            "the server has shaken hands"
        );
        Ok(info)
    }

    /// Asks the server for a revision, once.
    async fn initialize(
        &self,
        revision: Revision,
        (until, deadline): (Instant, Duration),
        flooded: &Notify,
    ) -> Result<Message, ConnectError> {
        let (sender, answer) = oneshot::channel();
        let params = json!({
            "protocolVersion": revision.as_str(),
            "capabilities": self.declared_capabilities(),
            "clientInfo": { "name": "wharf", "version": env!("CARGO_PKG_VERSION") },
        })
        .to_string();
        let sent = self.with(|state| state.send_own("initialize", Some(params.as_bytes()), Some(sender)));
        let exited = || ConnectError::Exited { excerpt: self.with(|state| state.last_junk.take()) };
        if sent.is_err() {
            return Err(exited());
        }
        let junk =
            |state: &mut State| state.upstream.as_mut().and_then(|upstream| upstream.junk.excerpt.take());
        let answer = tokio::select! {
            answer = answer => answer.unwrap_or(Err(NoAnswer::ServerEnded)),
            () = flooded.notified() => {
                return Err(ConnectError::NotMcp { excerpt: self.with(junk).unwrap_or_default() });
            }
            () = tokio::time::sleep_until(until) => {
                return Err(match self.with(junk) {
                    Some(excerpt) => ConnectError::NotMcp { excerpt },
                    None => ConnectError::TimedOut { after: deadline },
                });
            }
        };
        answer.map_err(|error| match error {
            NoAnswer::ServerEnded => exited(),
            NoAnswer::Unusable { why, excerpt } => ConnectError::Unusable { why, excerpt },
        })
    }

    /// Sends one real request to the server.
    pub(crate) async fn ping(&self, deadline: Duration) -> Result<Duration, PingError> {
        let (sender, answer) = oneshot::channel();
        let asked_at = Instant::now();
        let id = self.with(|state| {
            if !state.is_ready() {
                return Err(PingError::NotConnected);
            }
            state.send_own("ping", None, Some(sender)).map_err(|_| PingError::NotConnected)
        })?;
        match timeout(deadline, answer).await {
            // An error is an answer too: the server is there and reads.
            Ok(Ok(Ok(_))) => Ok(asked_at.elapsed()),
            Ok(Ok(Err(NoAnswer::Unusable { why, .. }))) => Err(PingError::Unusable { why }),
            Ok(_) => Err(PingError::Disconnected),
            Err(_) => {
                self.with(|state| state.pending.remove(&id));
                Err(PingError::TimedOut { after: deadline })
            }
        }
    }
}

impl State {
    /// The handshake is done: clients are let in, and sessions of the process before go on or end.
    fn settle(&mut self, generation: u64, info: &ServerInfo, revision: Revision, result: &Scan) {
        let Some(upstream) = self.upstream.as_mut().filter(|upstream| upstream.generation == generation)
        else {
            return;
        };
        upstream.revision = revision;
        upstream.welcome = welcome(result).into();
        upstream.phase = Phase::Ready;
        match self.has_one_client() {
            true => self.awaits_client = true,
            false => self.notify(INITIALIZED, None),
        }
        let promise =
            Promise { version: info.protocol_version.clone(), capabilities: info.capabilities.clone() };
        let before = self.promise.replace(promise.clone());
        if before.is_some_and(|before| before != promise) {
            tracing::info!("the server is not what it was: its sessions end");
            self.subscriptions = Default::default();
            for id in self.session_ids() {
                self.end_session(id.as_str());
            }
            return;
        }
        let mut concerned = HashSet::new();
        if self.sync_level() {
            let asked = self.sessions.iter().filter(|(_, session)| session.level.is_some());
            concerned.extend(asked.map(|(id, _)| id.clone()));
        }
        for uri in self.subscriptions.replayed() {
            let params = line_text(&json!({ "uri": uri }));
            let _ = self.send_own("resources/subscribe", Some(params.as_bytes()), None);
        }
        let subscribed = self.sessions.iter().filter(|(_, session)| !session.subscriptions.is_empty());
        concerned.extend(subscribed.map(|(id, _)| id.clone()));
        for session in &concerned {
            self.note_work(session);
        }
        let Self { sessions, limits, .. } = self;
        for session in sessions.values_mut() {
            session.announce_lists(ListChanges::ALL, limits);
        }
    }

    /// True if the server declared a capability.
    pub(crate) fn server_has(&self, capability: &str) -> bool {
        self.promise.as_ref().is_some_and(|promise| promise.capabilities.get(capability).is_some())
    }
}

/// The error of an answer that is one.
fn error_of(answer: &Message) -> Option<Value> {
    let Shape::Response { is_error: true, .. } = answer.shape() else { return None };
    Some(answer.top("error").and_then(values).unwrap_or_default())
}

/// The result stays as it was sent: what is passed on to clients is not read as text.
fn read_answer(answer: &Message) -> Result<(ServerInfo, Revision, Scan), ConnectError> {
    let not_mcp = || ConnectError::NotMcp { excerpt: excerpt(answer.text()) };
    if let Some(error) = error_of(answer) {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
        return Err(ConnectError::Refused {
            code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: excerpt(message.as_bytes()),
            revisions: excerpt(named(&error).collect::<Vec<_>>().join(", ").as_bytes()),
        });
    }
    let text = answer.top("result").unwrap_or_default();
    if text.len() > MOST_WELCOME {
        let why = "its result is longer than 1 MiB".to_owned();
        return Err(ConnectError::Unusable { why, excerpt: excerpt(text) });
    }
    let result = values(text).filter(Value::is_object).ok_or_else(not_mcp)?;
    // Members count here that did not in the answer as a whole.
    let unusable = |error: JsonError| {
        let why = format!("its result: {error}");
        ConnectError::Unusable { why, excerpt: excerpt(text) }
    };
    let raw = scanned(text).map_err(unusable)?;
    if let Some(capabilities) = raw.value(Level::Top, "capabilities") {
        scanned(capabilities).map_err(unusable)?;
    }
    let version = result.get("protocolVersion").and_then(Value::as_str).ok_or_else(not_mcp)?;
    let revision = Revision::parse(version)
        .ok_or_else(|| ConnectError::UnknownRevision { version: excerpt(version.as_bytes()) })?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let server = result.get("serverInfo");
    let info = ServerInfo {
        name: text(server.and_then(|server| server.get("name"))),
        version: text(server.and_then(|server| server.get("version"))),
        protocol_version: version.to_owned(),
        capabilities: result.get("capabilities").cloned().unwrap_or_else(|| json!({})),
        instructions: result.get("instructions").and_then(Value::as_str).map(str::to_owned),
    };
    Ok((info, revision, raw))
}

impl Upstream {
    /// The result of a client's `initialize` for the revision that it asked for, unless the server's is older. It may be long:
    /// one is kept, in the server's revision.
    pub(crate) fn welcome_for(&self, asked: Revision) -> Bytes {
        let revision = asked.min(self.revision);
        if revision == self.revision {
            return self.welcome.clone();
        }
        // It was scanned before it was kept.
        let (scan, _) = scanner::scan(&self.welcome, usize::MAX);
        let welcome = object_of(&scan, |name| match name {
            "protocolVersion" => Member::Replaced(format!("\"{}\"", revision.as_str()).into()),
            _ => Member::Kept,
        });
        welcome.into()
    }
}

/// The result of `initialize` for clients: the server's, without tasks (lists of a shared server would cross clients).
fn welcome(result: &Scan) -> Vec<u8> {
    object_of(result, |name| match result.value(Level::Top, name).filter(|_| name == "capabilities") {
        Some(capabilities) => Member::Replaced(without_tasks(capabilities)),
        None => Member::Kept,
    })
}

fn without_tasks(capabilities: &[u8]) -> Vec<u8> {
    if capabilities.first() != Some(&b'{') {
        return capabilities.to_vec();
    }
    match scanned(capabilities) {
        Ok(scan) => object_of(&scan, |name| if name == "tasks" { Member::Dropped } else { Member::Kept }),
        // The answer was not taken then.
        Err(_) => b"{}".to_vec(),
    }
}

/// A part of a message, which is not too deep.
fn scanned(text: &[u8]) -> Result<Scan, JsonError> {
    let (scan, result) = scanner::scan(&Bytes::copy_from_slice(text), usize::MAX);
    result.map(|()| scan)
}
