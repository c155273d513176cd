//! `mcp`.
use super::console::Console;
use super::end_signals::EndSignals;
use super::failure::{DONE, Outcome};
use super::output;
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use wharf::commands::Context;
use wharf::mcp::{HttpServing, PATH};
use wharf_model::{Error, ErrorKind};

const EXAMPLES: &str = "Examples:
  claude mcp add wharf -- wharf mcp serve
  wharf mcp serve < messages

Tools: list_servers, run_server, start_server, stop_server, restart_server, remove_server, get_server_status,
get_server_logs, list_runtimes, call_tool.";

/// Serve wharf itself over MCP
#[derive(Subcommand)]
pub(super) enum Mcp {
    Serve(McpServe),
}

/// Serve MCP on stdin and stdout, for the client that started this; or on a port
///
/// A tool that changes something does what 'mcp.allow' in config.json names; anything else is shown to a person by the
/// client, where it can, and else refused. It ends when its input does.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct McpServe {
    /// Serve on this port of loopback instead, at /mcp; clients send the token of: wharf serve --show-token
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

impl Mcp {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let Self::Serve(McpServe { listen }) = self;
        context.host().live_long();
        if let Some(address) = listen {
            return listening(context, console, *address).await;
        }
        let failed =
            |error: std::io::Error| Error::caused(ErrorKind::Failed, "the client cannot be heard", &error);
        let (input, output) = (
            output::reader().and_then(std::fs::File::try_clone).map_err(failed)?,
            output::descriptor().and_then(|stdout| stdout.try_clone_to_owned()).map_err(failed)?,
        );
        let (input, output) = (tokio::fs::File::from_std(input), tokio::fs::File::from_std(output.into()));
        wharf::mcp::serve(context.host().clone(), input, output).await?;
        Ok(DONE)
    }
}

/// Serves on a port, until a signal ends it.
async fn listening(context: &Context, console: &Console, address: SocketAddr) -> Outcome {
    let signals = EndSignals::heard()?;
    let serving = HttpServing::bind(context.host().clone(), address).await?;
    console.line(&format!("http://{}{PATH}", serving.address()))?;
    console.note("clients send a token: wharf serve --show-token");
    console.flush()?;
    signals.end(|shutdown| serving.serve(shutdown)).await?;
    Ok(DONE)
}
