//! The tools themselves, with no thought for the transport that carries them.
//!
//! `main` hands one [`DemoServer`] to each connection. It holds no state, so clients cannot disturb each other. An
//! error that the caller can mend is a tool result with `isError`; JSON-RPC errors are left to the protocol.

use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, RequestMetaObject};
use rmcp::{Peer, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// The longest that `wait` waits: a forgotten call must not keep a server busy for ever.
const MAX_WAIT_MS: u64 = 600_000;
/// The most progress notifications that one `wait` sends.
const MAX_STEPS: u32 = 1_000;

/// The server: its tools are its only content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoServer;

/// Arguments of `echo`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Echo {
    /// What to say back
    message: String,
}

/// Arguments of `add`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Add {
    /// The first number
    a: f64,
    /// The second number
    b: f64,
}

/// Arguments of `wait`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Wait {
    /// How long to wait in all, in milliseconds
    #[schemars(range(max = MAX_WAIT_MS))]
    ms: u64,
    /// In how many parts of equal length, with a progress notification after each
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_STEPS))]
    steps: u32,
}

/// Arguments of `environment`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Environment {
    /// The name of one environment variable
    name: String,
}

#[tool_router]
impl DemoServer {
    /// Returns the message it was given.
    #[tool(annotations(read_only_hint = true))]
    async fn echo(&self, Parameters(Echo { message }): Parameters<Echo>) -> String {
        message
    }

    /// Adds two numbers.
    #[tool(annotations(read_only_hint = true))]
    async fn add(&self, Parameters(Add { a, b }): Parameters<Add>) -> String {
        (a + b).to_string()
    }

    /// Tells the time in UTC, as RFC 3339 has it.
    #[tool(annotations(read_only_hint = true))]
    async fn now(&self) -> String {
        jiff::Timestamp::now().to_string()
    }

    /// Waits, and reports progress to a caller that sent a progress token. Cancelling the request ends the wait.
    #[tool(annotations(read_only_hint = true))]
    async fn wait(
        &self,
        Parameters(Wait { ms, steps }): Parameters<Wait>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
        cancelled: CancellationToken,
    ) -> Result<String, String> {
        if ms > MAX_WAIT_MS {
            return Err(format!("ms is {ms}, the most is {MAX_WAIT_MS}"));
        }
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(format!("steps is {steps}, it must be from 1 to {MAX_STEPS}"));
        }
        let token = meta.get_progress_token();
        for step in 1..=steps {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(ms) / steps) => {}
                () = cancelled.cancelled() => return Err(format!("cancelled in step {step} of {steps}")),
            }
            if let Some(token) = &token {
                let progress = ProgressNotificationParam::new(token.clone(), f64::from(step))
                    .with_total(f64::from(steps))
                    .with_message(format!("step {step} of {steps}"));
                // Progress is a courtesy: a client that cannot be told still gets its answer.
                let _ = client.notify_progress(progress).await;
            }
        }
        Ok(format!("waited {ms} ms in {steps} steps"))
    }

    /// Returns the value of one environment variable of the server.
    #[tool(annotations(read_only_hint = true))]
    async fn environment(
        &self,
        Parameters(Environment { name }): Parameters<Environment>,
    ) -> Result<String, String> {
        std::env::var(&name).map_err(|error| format!("{name}: {error}"))
    }

    /// Tells the server's process id.
    #[tool(annotations(read_only_hint = true))]
    async fn whoami(&self) -> String {
        std::process::id().to_string()
    }
}

#[tool_handler(
    name = "wharf-demo-server",
    instructions = "Six small tools to see a server at work: echo, add, now, wait, environment, whoami."
)]
impl ServerHandler for DemoServer {}

/// `wait` waits in one piece unless told otherwise.
fn one() -> u32 {
    1
}
