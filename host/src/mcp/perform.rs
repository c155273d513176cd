//! Performs what was agreed to, through the command layer: the one place of this server that changes anything.
use crate::api::RuntimeList;
use crate::commands::{self, Called, Context, Ends, ListOptions, Started};
use crate::mcp::arguments::{Calling, Ended, Log, Nothing, One, Which, name, read, timeout};
use crate::mcp::deed::Deed;
use crate::mcp::logs;
use crate::mcp::progress::Steps;
use crate::mcp::shown::without_secret;
use crate::mcp::tool::Tool;
use rmcp::model::JsonObject;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wharf_model::{Error, ErrorKind, Result};

/// How long a workload that is removed may take to end by itself.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a tool.
pub(super) enum Given {
    /// An object of wharf's.
    Own(Value),
    /// The answer of a workload's server.
    Foreign(Called),
}

/// The work that a tool is asked for.
pub(super) enum Asked {
    /// It changes something.
    Deed(Deed),
    /// It reads something; this is it.
    Read(Value),
}

/// Reads the arguments of a tool, and answers where that is all.
pub(super) async fn ask(
    context: &Context,
    tool: Tool,
    given: Option<&JsonObject>,
    cancel: CancellationToken,
) -> Result<Asked> {
    Ok(match tool {
        Tool::ListServers => Asked::Read(list(context, read(given)?).await?),
        Tool::GetServerStatus => {
            let One { name: of } = read(given)?;
            Asked::Read(told(&commands::status(context, &name(&of)?).await?)?)
        }
        Tool::GetServerLogs => Asked::Read(told(&logs::read(context, &read::<Log>(given)?).await?)?),
        Tool::ListRuntimes => {
            let Nothing {} = read(given)?;
            Asked::Read(told(&RuntimeList::of(context))?)
        }
        Tool::RunServer => {
            let request: crate::api::CreateRequest = read(given)?;
            request.to_run_request()?;
            Asked::Deed(Deed::Run(Box::new(request)))
        }
        Tool::StartServer => Asked::Deed(Deed::Start(name(&read::<One>(given)?.name)?)),
        Tool::StopServer | Tool::RestartServer => {
            let ended: Ended = read(given)?;
            let (name, timeout) = (name(&ended.name)?, timeout(ended.timeout)?);
            Asked::Deed(match tool {
                Tool::StopServer => Deed::Stop(name, timeout),
                _ => Deed::Restart(name, timeout),
            })
        }
        Tool::RemoveServer => Asked::Deed(Deed::Remove(name(&read::<One>(given)?.name)?)),
        Tool::Call => {
            let calling: Calling = read(given)?;
            let name = name(&calling.name)?;
            match calling.tool.filter(|tool| !tool.is_empty()) {
                Some(tool) => Asked::Deed(Deed::Call(name, tool, calling.arguments.unwrap_or_default())),
                None => {
                    // Signals are for this process, and not for what it is asked.
                    let ends = Ends::Asked(cancel);
                    let tools = commands::tools_until(context, &name, &mut (), ends).await?;
                    Asked::Read(json!({ "tools": tools }))
                }
            }
        }
    })
}

async fn list(context: &Context, which: Which) -> Result<Value> {
    let options = ListOptions {
        all: which.all.unwrap_or(false),
        runtime: which.runtime,
        group: which.group.filter(|group| !group.is_empty()),
        labels: std::collections::BTreeMap::new(),
    };
    let mut servers = commands::list(context, &options).await?;
    for server in &mut servers {
        server.url = without_secret(&server.url);
    }
    Ok(json!({ "servers": servers }))
}

/// Does it.
pub(super) async fn perform(
    context: &Context,
    deed: &Deed,
    cancel: CancellationToken,
    mut steps: Steps,
) -> Result<Given> {
    let mut ends = Ends::Asked(cancel);
    Ok(Given::Own(match deed {
        Deed::Run(request) => {
            let request = request.to_run_request()?;
            started(commands::run_until(context, &request, true, &mut steps, ends).await?)?
        }
        Deed::Start(name) => {
            started(commands::start_until(context, name, true, &mut steps, Some(&mut ends)).await?)?
        }
        Deed::Restart(name, timeout) => {
            let done = commands::restart_until(context, name, *timeout, true, &mut steps, Some(&mut ends));
            started(done.await?)?
        }
        // A call that ends something is not given up half way.
        Deed::Stop(name, timeout) => told(&commands::stop(context, name, *timeout).await?)?,
        Deed::Remove(name) => {
            commands::remove(context, name, REMOVE_TIMEOUT).await?;
            json!({ "name": name, "result": "removed" })
        }
        Deed::Call(name, tool, arguments) => {
            let arguments = |_: Option<&commands::ServerTool>| Ok(arguments.clone());
            let called = commands::call_until(context, name, tool, &arguments, &mut steps, ends);
            return Ok(Given::Foreign(called.await?));
        }
    }))
}

/// Without the secret part of its URL: a model's context is no place for it.
fn started(started: Started) -> Result<Value> {
    told(&Started { url: without_secret(&started.url), ..started })
}

fn told(answer: &impl Serialize) -> Result<Value> {
    serde_json::to_value(answer)
        .map_err(|error| Error::caused(ErrorKind::Failed, "the answer cannot be told", &error))
}
