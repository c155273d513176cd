//! `tools`, `resources` and `prompts`: what a workload's server offers.
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome};
use super::progress::Steps;
use super::table::Table;
use clap::Args;
use std::sync::Arc;
use wharf::commands::{self, Context, ServerTool};
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf tools time
  wharf tools time --format json";

/// Show the tools of a workload's server, with their arguments
///
/// JSON: an array of name, title, description, input_schema, output_schema, annotations. Keys are absent when empty.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Tools {
    /// The workload's name
    name: WorkloadName,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Show the resources of a workload's server
///
/// JSON: an array of uri, template, name, description, mime_type. Keys are absent when empty.
#[derive(Args)]
pub(super) struct Resources {
    /// The workload's name
    name: WorkloadName,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Show the prompts of a workload's server
///
/// JSON: an array of name, description, arguments (name, required, description). Keys are absent when empty.
#[derive(Args)]
pub(super) struct Prompts {
    /// The workload's name
    name: WorkloadName,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Tools {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let tools = {
            let mut steps = Steps::new(console, self.format == Format::Json, self.name.as_str());
            commands::tools(context, &self.name, &mut steps).await?
        };
        if self.format == Format::Json {
            console.json(&tools)?;
            return Ok(DONE);
        }
        for tool in &tools {
            console.line(&escape::line(&usage(tool)))?;
            for line in tool.description.lines().map(str::trim).filter(|line| !line.is_empty()) {
                console.line(&format!("    {}", escape::line(line)))?;
            }
        }
        Ok(DONE)
    }
}

/// A tool as it is called: optional arguments in brackets.
fn usage(tool: &ServerTool) -> String {
    let mut text = tool.name.clone();
    let required = tool.input_schema["required"].as_array().cloned().unwrap_or_default();
    for (key, schema) in tool.input_schema["properties"].as_object().into_iter().flatten() {
        let kind = schema["type"].as_str().unwrap_or("value").to_uppercase();
        let is_required = required.iter().any(|name| name == key.as_str());
        text.push_str(&if is_required { format!(" {key}={kind}") } else { format!(" [{key}={kind}]") });
    }
    text
}

impl Resources {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let resources = {
            let mut steps = Steps::new(console, self.format == Format::Json, self.name.as_str());
            commands::resources(context, &self.name, &mut steps).await?
        };
        if self.format == Format::Json {
            console.json(&resources)?;
            return Ok(DONE);
        }
        let mut table = Table::new(&["URI", "NAME", "TYPE", "DESCRIPTION"]);
        for it in &resources {
            table.row([&it.uri, &it.name, &it.mime_type, &it.description]);
        }
        for line in table.render(console.columns, &["DESCRIPTION"]) {
            console.line(&line)?;
        }
        Ok(DONE)
    }
}

impl Prompts {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let prompts = {
            let mut steps = Steps::new(console, self.format == Format::Json, self.name.as_str());
            commands::prompts(context, &self.name, &mut steps).await?
        };
        if self.format == Format::Json {
            console.json(&prompts)?;
            return Ok(DONE);
        }
        let mut table = Table::new(&["NAME", "ARGUMENTS", "DESCRIPTION"]);
        for prompt in &prompts {
            let argument = |it: &commands::PromptArgument| {
                if it.required { it.name.clone() } else { format!("[{}]", it.name) }
            };
            let arguments: Vec<String> = prompt.arguments.iter().map(argument).collect();
            table.row([&prompt.name, &arguments.join(" "), &prompt.description]);
        }
        for line in table.render(console.columns, &["DESCRIPTION"]) {
            console.line(&line)?;
        }
        Ok(DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tool_is_shown_as_it_is_called() {
        let tool = ServerTool {
            name: "add".to_owned(),
            title: String::new(),
            description: String::new(),
            input_schema: json!({
                "properties": { "a": { "type": "number" }, "b": {} },
                "required": ["a"],
            }),
            output_schema: None,
            annotations: None,
        };
        assert_eq!(usage(&tool), "add a=NUMBER [b=VALUE]");
        let bare = ServerTool { input_schema: json!("nonsense"), ..tool };
        assert_eq!(usage(&bare), "add");
    }
}
