//! `tools`, `call`, `resources`, `prompts`: asks a workload's server what it offers, and calls its tools.
//!
//! Through its own proxy, with the secret or the token that its clients have. Changes no record.
use crate::commands::await_answer::{Asked, Waiting};
use crate::commands::context::Context;
use crate::commands::ends::Ends;
use crate::commands::lookup::read_run_config;
use crate::commands::url::url;
use crate::server_client::{Place, Session};
use serde::Serialize;
use serde_json::{Map, Value};
use wharf_model::{Advice, Error, ErrorKind, LockKind, Result, WorkloadName};
use wharf_records::LifeProbe;
use wharf_supervisor::Progress;

/// What is waited for first.
const TO_ANSWER: &str = "its server to answer";

/// A tool of a server, in the server's own words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerTool {
    /// Its name.
    pub name: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Its description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// The JSON Schema of its structured content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// The server's hints about it, as in the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Called {
    /// The tool says that it failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// Its answer, block by block, as in the protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Value>,
    /// The same as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
}

/// A resource of a server, or a template of resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerResource {
    /// Its URI, or the template of URIs.
    pub uri: String,
    /// It is a template.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub template: bool,
    /// Its name.
    pub name: String,
    /// Its description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its type.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mime_type: String,
}

/// A prompt of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerPrompt {
    /// Its name.
    pub name: String,
    /// Its description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<PromptArgument>,
}

/// An argument of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// It must be given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Its description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The tools of a workload's server. A signal ends the wait for it.
pub async fn tools(
    context: &Context,
    name: &WorkloadName,
    progress: &mut dyn Progress,
) -> Result<Vec<ServerTool>> {
    tools_until(context, name, progress, Ends::take()?).await
}

/// The same, until `ends` asks for its end.
pub(crate) async fn tools_until(
    context: &Context,
    name: &WorkloadName,
    progress: &mut dyn Progress,
    ends: Ends,
) -> Result<Vec<ServerTool>> {
    let mut waiting = Waiting::new(context, name, "the question", ends, progress);
    let session = open(context, name, &mut waiting).await?;
    let tools = waiting.until("its server to list its tools", Asked::ToRead, session.tools()).await;
    waiting.close(session).await;
    let tools = tools.map_err(|error| error.while_doing(format!("'{name}'")))?;
    Ok(tools.into_iter().map(tool).collect())
}

/// Calls a tool of a workload's server. `arguments` makes them once the tool is known; it gets none for a name that the
/// server does not list. A signal cancels the call.
///
/// # Errors
/// The server refuses the call. A tool that says that it failed is no error here.
pub async fn call(
    context: &Context,
    name: &WorkloadName,
    tool: &str,
    arguments: &Arguments<'_>,
    progress: &mut dyn Progress,
) -> Result<Called> {
    call_until(context, name, tool, arguments, progress, Ends::take()?).await
}

/// Makes the arguments of a call, once the tool is known.
pub type Arguments<'a> = dyn Fn(Option<&ServerTool>) -> Result<Map<String, Value>> + Send + Sync + 'a;

/// The same, until `ends` asks for its end: then the call is cancelled.
pub(crate) async fn call_until(
    context: &Context,
    name: &WorkloadName,
    tool: &str,
    arguments: &Arguments<'_>,
    progress: &mut dyn Progress,
    ends: Ends,
) -> Result<Called> {
    let mut waiting = Waiting::new(context, name, "the call", ends, progress);
    let session = open(context, name, &mut waiting).await?;
    let called = called(&session, tool, arguments, &mut waiting).await;
    // The end of a session is the end of its calls.
    waiting.close(session).await;
    called.map_err(|error| error.while_doing(format!("'{name}', tool '{tool}'")))
}

async fn called(
    session: &Session,
    name: &str,
    arguments: &Arguments<'_>,
    waiting: &mut Waiting<'_>,
) -> Result<Called> {
    let listed = waiting.until("its server to list its tools", Asked::ToRead, session.tools()).await?;
    let known = listed.into_iter().map(tool).find(|tool| tool.name == name);
    let call = session.call(name, arguments(known.as_ref())?);
    let result = waiting.until(&format!("the answer of the tool '{name}'"), Asked::ToDo, call).await?;
    Ok(Called {
        is_error: result.is_error.unwrap_or(false),
        content: result.content.iter().map(json).collect(),
        structured_content: result.structured_content,
    })
}

/// The resources of a workload's server, and the templates of resources. A signal ends the wait for it.
pub async fn resources(
    context: &Context,
    name: &WorkloadName,
    progress: &mut dyn Progress,
) -> Result<Vec<ServerResource>> {
    let mut waiting = Waiting::new(context, name, "the question", Ends::take()?, progress);
    let session = open(context, name, &mut waiting).await?;
    let found = async {
        let mut found: Vec<ServerResource> = Vec::new();
        for resource in session.resources().await? {
            found.push(ServerResource {
                uri: resource.uri.clone(),
                template: false,
                name: resource.name.clone(),
                description: resource.description.clone().unwrap_or_default(),
                mime_type: resource.mime_type.clone().unwrap_or_default(),
            });
        }
        for template in session.resource_templates().await? {
            found.push(ServerResource {
                uri: template.uri_template.clone(),
                template: true,
                name: template.name.clone(),
                description: template.description.clone().unwrap_or_default(),
                mime_type: template.mime_type.clone().unwrap_or_default(),
            });
        }
        Ok(found)
    };
    let found = waiting.until("its server to list its resources", Asked::ToRead, found).await;
    waiting.close(session).await;
    found.map_err(|error: Error| error.while_doing(format!("'{name}'")))
}

/// The prompts of a workload's server. A signal ends the wait for it.
pub async fn prompts(
    context: &Context,
    name: &WorkloadName,
    progress: &mut dyn Progress,
) -> Result<Vec<ServerPrompt>> {
    let mut waiting = Waiting::new(context, name, "the question", Ends::take()?, progress);
    let session = open(context, name, &mut waiting).await?;
    let prompts = waiting.until("its server to list its prompts", Asked::ToRead, session.prompts()).await;
    waiting.close(session).await;
    let prompts = prompts.map_err(|error| error.while_doing(format!("'{name}'")))?;
    let argument = |argument: rmcp::model::PromptArgument| PromptArgument {
        name: argument.name,
        required: argument.required.unwrap_or(false),
        description: argument.description.unwrap_or_default(),
    };
    let shown = prompts.into_iter().map(|prompt| ServerPrompt {
        name: prompt.name,
        description: prompt.description.unwrap_or_default(),
        arguments: prompt.arguments.unwrap_or_default().into_iter().map(argument).collect(),
    });
    Ok(shown.collect())
}

/// Visits the server of a workload.
///
/// # Errors
/// It does not run, its server does not answer, or the wait for it has ended.
async fn open(context: &Context, name: &WorkloadName, waiting: &mut Waiting<'_>) -> Result<Session> {
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        let message = format!("'{name}' is a remote server, which this version of wharf does not serve");
        return Err(Error::new(ErrorKind::Usage, message));
    }
    if !LifeProbe::open(context.store().state())?.is_held(name, LockKind::Life)? {
        let message = format!("'{name}' does not run");
        return Err(Error::new(ErrorKind::Conflict, message).advise(Advice::Start { name: name.to_string() }));
    }
    let reached = url(context, name)?;
    let authority = reached.url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let Some(authority) = authority.map(str::to_owned) else {
        return Err(Error::new(ErrorKind::Failed, format!("the URL of '{name}' makes no sense")));
    };
    let token = reached.token.map(|token| token.expose().to_owned());
    let place = Place { name: name.to_string(), authority, url: reached.url, token };
    let opened = waiting.until(TO_ANSWER, Asked::ToRead, Session::open(place)).await;
    opened.map_err(|error| {
        let error = error.while_doing(format!("'{name}'"));
        // Its log says nothing of a user who does not wait any more.
        if !error.advice.is_empty() || waiting.is_given_up() {
            return error;
        }
        error.advise(Advice::ReadLog { name: name.to_string() })
    })
}

fn tool(tool: rmcp::model::Tool) -> ServerTool {
    ServerTool {
        name: tool.name.into_owned(),
        title: tool.title.unwrap_or_default(),
        description: tool.description.map(std::borrow::Cow::into_owned).unwrap_or_default(),
        input_schema: Value::Object((*tool.input_schema).clone()),
        output_schema: tool.output_schema.map(|schema| Value::Object((*schema).clone())),
        annotations: tool.annotations.as_ref().map(json),
    }
}

/// A value that came from JSON, as JSON again.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
