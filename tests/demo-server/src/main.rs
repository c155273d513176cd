//! A small, real MCP server: the one that wharf's README starts first, and the one that the integration tests put behind
//! the proxy.
//!
//! It speaks MCP on standard input and output; with `--port` it serves the same tools as streamable HTTP at
//! `http://127.0.0.1:PORT/mcp`, or on another address with `--host`. Every revision from 2024-11-05 on is answered in its
//! own words. It knows nothing of wharf, so any other server would behave through the proxy as this one does.
//!
//! Invariants: standard output carries MCP messages and nothing else, messages for people go to standard error; the end of
//! standard input ends the server with exit code 0, as soon as the requests before it are answered and at the latest after
//! five seconds (rmcp's limit), if it is not told to linger.

mod tools;

use std::error::Error;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use clap::Parser;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio_pipes;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use crate::tools::DemoServer;

/// A small MCP server with six tools: echo, add, now, wait, environment, whoami.
#[derive(Debug, Parser)]
#[command(name = "wharf-demo-server", version)]
struct Arguments {
    /// Serve streamable HTTP at http://127.0.0.1:PORT/mcp instead of standard input and output (0: any free port)
    #[arg(long, env = "MCP_PORT", value_name = "PORT")]
    port: Option<u16>,
    /// The address on which to listen with --port
    #[arg(long, env = "MCP_HOST", value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// The path at which MCP is served with --port
    #[arg(long, value_name = "PATH", default_value = "/mcp")]
    path: String,
    /// Go on for so long after standard input has ended
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    linger: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let served = match arguments.port {
        Some(port) => serve_http(arguments.host, port, &arguments.path).await,
        None => {
            let served = serve_stdio().await;
            tokio::time::sleep(Duration::from_secs(arguments.linger)).await;
            served
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Serves one client on standard input and output until the input ends.
async fn serve_stdio() -> Result<(), Box<dyn Error>> {
    say("serving MCP on standard input and output");
    match DemoServer.serve(stdio_pipes()).await {
        Ok(service) => {
            service.waiting().await?;
            Ok(())
        }
        // The client left before it said anything: no failure of the server's.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Serves any number of clients over HTTP until a signal ends the process.
///
/// The transport refuses requests whose `Host` is not a loopback name; a present `Origin` is refused too, because
/// no page in a browser has business here.
async fn serve_http(host: IpAddr, port: u16, path: &str) -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind((host, port))
        .await
        .map_err(|error| format!("cannot listen on port {port} of {host}: {error}"))?;
    let service = StreamableHttpService::new(
        || Ok(DemoServer),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default().enforce_origin_validation(),
    );
    say(&format!("serving MCP on http://{}{path}", listener.local_addr()?));
    // An answer is a head and an event: the second one would wait until the first is acknowledged, 40 ms over a port-forward.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, axum::Router::new().nest_service(path, service)).await?;
    Ok(())
}

/// Says something to people, on standard error. That nobody reads it is no reason to stop serving.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "wharf-demo-server {}: {message}", env!("CARGO_PKG_VERSION"));
}
