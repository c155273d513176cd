//! Waits until an HTTP server has answered the MCP handshake at its path; if it does not, finds out why.
//!
//! An accepted connection proves nothing (an engine accepts connections before the server listens), and an answer of HTTP
//! nothing about the path: a URL that will answer 404 for ever is no success.
use crate::deployment::Deployment;
use crate::dial::upstream;
use crate::workload_proxy::{WorkloadProxy, proxy_options};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_proxy::{HttpProxy, NotReady, OtherPlace, Upstream};
use wharf_sdk::{Address, Capability, Handle, Observation};

/// How long to wait for the first handshake with a server that is starting. Each further one may take twice as long.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The longest time of a `Retry-After` that is kept.
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How long a server that answers without MCP may go on doing so: some add their paths after they begin to listen.
const NO_MCP_GRACE: Duration = Duration::from_secs(3);

impl Deployment {
    /// Starts a server with a port, and waits until it answers.
    pub(crate) async fn start_http(&mut self, handle: &Handle) -> Result<()> {
        self.client.start(handle).await?;
        let seen = self.client.inspect(handle).await?;
        self.wait_for_port(handle, &seen).await
    }

    /// Waits until the server has answered the handshake. No event tells that, so this polls, with growing pauses, until the
    /// deadline or the workload's end.
    pub(crate) async fn wait_for_port(&mut self, handle: &Handle, seen: &Observation) -> Result<()> {
        let server = upstream(&self.client, handle, seen, self.target_port)?;
        let mut proxies = vec![self.http_proxy(server.clone())];
        // A server of this machine that was told `localhost` may listen on the other loopback address alone.
        proxies.extend(self.other_loopback(seen).map(|other| self.http_proxy(other)));
        let deadline = Instant::now() + self.config.settings.start_timeout();
        let outcome = tokio::select! {
            biased;
            _ = self.client.wait(handle) => return Err(self.ended_early(handle).await),
            outcome = greet(&proxies, deadline) => outcome,
        };
        let ready = match outcome {
            Ok(ready) => ready,
            Err((asked, error)) => return Err(self.not_served(handle, &server, asked, error).await),
        };
        let served = if ready == 0 { server } else { self.other_loopback(seen).unwrap_or(server) };
        match &self.proxy {
            // The proxy is served already.
            Some(WorkloadProxy::Http(proxy)) => proxy.move_to(served),
            _ => self.proxy = Some(WorkloadProxy::Http(proxies.swap_remove(ready))),
        }
        Ok(())
    }

    fn http_proxy(&self, server: Upstream) -> HttpProxy {
        let options = proxy_options(&self.run, &self.access, &self.config.settings.proxy, &self.counts);
        HttpProxy::new(options, server)
    }

    fn other_loopback(&self, seen: &Observation) -> Option<Upstream> {
        match seen.address {
            Some(Address::Tcp { address: SocketAddr::V4(address) })
                if address.ip().is_loopback() && !self.client.stamp().has(&Capability::PORT_MAPPING) =>
            {
                Some(Upstream::tcp((Ipv6Addr::LOCALHOST, address.port()).into()))
            }
            _ => None,
        }
    }

    /// The error for a server that is not ready in time, or will never be.
    async fn not_served(
        &self,
        handle: &Handle,
        server: &Upstream,
        asked: &HttpProxy,
        error: NotReady,
    ) -> Error {
        let name = &self.run.name;
        let inner = match self.target_port {
            port if port == server.authority().port() => String::new(),
            port => format!(", which leads to its port {port}"),
        };
        let error = match error {
            NotReady::Silent => {
                let message = format!("'{name}' does not answer on {server}{inner}");
                Error::new(ErrorKind::Deadline, message)
                    .hint("read in its documentation where it listens: it was told PORT, MCP_PORT and others like them")
                    .advise(Advice::Choose { setting: Setting::TargetPort, value: None })
            }
            NotReady::Later { .. } => Error::caused(
                ErrorKind::Deadline,
                format!("'{name}' is not ready on {server}{inner}"),
                &error,
            ),
            NotReady::Unauthorized { .. } => {
                let message = format!("'{name}' cannot be served on {server}{inner}");
                Error::caused(ErrorKind::Runtime, message, &error)
                    .hint("let it serve without credentials: its own proxy decides who may use it")
            }
            NotReady::Refused { .. } => Error::caused(
                ErrorKind::Runtime,
                format!("'{name}' cannot be used on {server}{inner}"),
                &error,
            ),
            NotReady::NoMcp { .. } => {
                let told =
                    Error::caused(ErrorKind::Runtime, format!("'{name}' answers on {server}{inner}"), &error);
                match asked.look_elsewhere().await {
                    Some(OtherPlace::Path(path)) => {
                        told.advise(Advice::Choose { setting: Setting::TargetPath, value: Some(path) })
                    }
                    Some(OtherPlace::Sse) => told.hint(
                        "it speaks HTTP+SSE, the transport of 2024-11-05, which is superseded and not supported: \
                         have it serve streamable HTTP",
                    ),
                    None => told.advise(Advice::Choose { setting: Setting::TargetPath, value: None }),
                }
            }
        };
        self.with_output(handle, error).await
    }
}

/// The place of the server that has answered the handshake, or the last answer of the one that came furthest.
async fn greet(
    proxies: &[HttpProxy],
    deadline: Instant,
) -> std::result::Result<usize, (&HttpProxy, NotReady)> {
    let (mut pause, mut wait) = (Duration::from_millis(5), ANSWER_WAIT);
    let mut heard = Heard::default();
    loop {
        let (mut retry, mut answer) = (pause, None);
        for (at, proxy) in proxies.iter().enumerate() {
            let within = wait.min(deadline.saturating_duration_since(Instant::now()));
            match proxy.greet(within).await {
                Ok(()) => return Ok(at),
                Err(NotReady::Silent) => {}
                Err(error) => {
                    if let NotReady::Later { retry_after: Some(after), .. } = error {
                        retry = after.min(LONGEST_RETRY);
                    }
                    answer = Some((at, error));
                    break;
                }
            }
        }
        let now = Instant::now();
        if heard.is_decided(answer, now, deadline) || now >= deadline {
            let (at, error) = heard.last.unwrap_or((0, NotReady::Silent));
            return Err((&proxies[at], error));
        }
        tokio::time::sleep_until((now + retry).min(deadline)).await;
        // A server that refuses connections is asked hundreds of times.
        (pause, wait) = ((pause * 2).min(LONGEST_PAUSE), wait.saturating_mul(2));
    }
}

/// The answers of a server that is starting, none of which was the handshake.
#[derive(Default)]
struct Heard {
    /// Whose answer it was, and the answer; none while it is silent.
    last: Option<(usize, NotReady)>,
    no_mcp_since: Option<Instant>,
}

impl Heard {
    /// Takes in one more answer, or silence. True if the server will never be ready.
    ///
    /// Situation: a server that answers without MCP is silent then, or asks for time. Conclusion: it may have been about to begin,
    /// and its time without MCP is counted anew.
    fn is_decided(&mut self, answer: Option<(usize, NotReady)>, now: Instant, deadline: Instant) -> bool {
        self.no_mcp_since = match &answer {
            None | Some((_, NotReady::Later { .. })) => None,
            Some(_) => self.no_mcp_since.or(Some(now)),
        };
        // Shortly before the deadline the time may have been too short for an answer.
        if answer.is_some() || now < deadline {
            self.last = answer;
        }
        self.no_mcp_since.is_some_and(|since| now >= since + NO_MCP_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_proxy::ProxyOptions;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_connections_is_asked_until_the_deadline() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxies = [HttpProxy::new(ProxyOptions::default(), Upstream::tcp(closed))];
        let deadline = Instant::now() + Duration::from_secs(120);
        let outcome = greet(&proxies, deadline).await.map_err(|(_, error)| error);
        assert_eq!(outcome, Err(NotReady::Silent));
        assert!(Instant::now() >= deadline);
    }

    /// Serves one answer of HTTP after the other, a connection each, and the last one again and again. Tells of each request when
    /// it was there, just before its answer.
    async fn stub(answers: Vec<String>) -> (HttpProxy, tokio::sync::mpsc::Receiver<Instant>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            let mut next = 0;
            while let Ok((mut client, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) && matches!(client.read_buf(&mut request).await, Ok(1..)) {}
                let _ = tell.try_send(Instant::now());
                let _ = client.write_all(answers[next.min(answers.len() - 1)].as_bytes()).await;
                let _ = client.shutdown().await;
                next += 1;
            }
        });
        (HttpProxy::new(ProxyOptions::default(), Upstream::tcp(address)), told)
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        body.len() >= length.unwrap_or(0)
    }

    fn answer(status: &str, more: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n{body}")
    }

    #[tokio::test]
    async fn a_server_that_names_when_it_will_be_ready_is_asked_again_then() {
        let welcome = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}"#;
        let (server, mut told) = stub(vec![
            answer("503 Service Unavailable", "Retry-After: 2\r\n", ""),
            answer("200 OK", "Content-Type: application/json\r\n", welcome),
        ])
        .await;
        let servers = [server];
        let outcome = greet(&servers, Instant::now() + Duration::from_secs(120)).await;
        assert_eq!(outcome.map_err(|(_, error)| error), Ok(0));
        let (asked, asked_again) = (told.recv().await.unwrap(), told.recv().await.unwrap());
        // Without the header it would have been a few milliseconds.
        assert!(asked_again - asked >= Duration::from_secs(2), "{:?}", asked_again - asked);
    }

    #[tokio::test]
    async fn a_server_that_wants_more_time_than_there_is_is_told_at_the_deadline() {
        let (server, _told) =
            stub(vec![answer("503 Service Unavailable", "Retry-After: 86400\r\n", "")]).await;
        let deadline = Instant::now() + Duration::from_secs(5);
        let servers = [server];
        let outcome = greet(&servers, deadline).await.map_err(|(_, error)| error);
        let retry_after = Some(Duration::from_secs(86400));
        assert_eq!(outcome, Err(NotReady::Later { status: 503, retry_after }));
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn a_server_that_answers_without_mcp_is_judged_once_it_has_done_nothing_else_for_a_while() {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(60);
        let no_mcp = || Some((1, NotReady::NoMcp { path: "/mcp".to_owned(), what: "404".to_owned() }));
        let later = || Some((1, NotReady::Later { status: 503, retry_after: None }));
        let mut heard = Heard::default();
        let mut hear = |answer, second| {
            let is_decided = heard.is_decided(answer, began + Duration::from_secs(second), deadline);
            (is_decided, heard.last.is_some())
        };
        assert_eq!(hear(no_mcp(), 0), (false, true));
        assert_eq!(hear(None, 1), (false, false), "it is silent");
        assert_eq!(hear(None, 5), (false, false));
        assert_eq!(hear(no_mcp(), 10), (false, true));
        assert_eq!(hear(later(), 12), (false, true));
        assert_eq!(hear(no_mcp(), 14), (false, true), "it asked for time meanwhile");
        assert_eq!(hear(no_mcp(), 17), (true, true));
        assert_eq!(hear(None, 60), (false, true), "its last answer stays what is told at the deadline");
    }
}
