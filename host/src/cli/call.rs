//! `call`: calls a tool of a workload's server.
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome};
use super::output;
use super::progress::Steps;
use super::run_values::pair;
use clap::Args;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wharf::commands::{self, Called, Context, ServerTool};
use wharf_model::{Error, ErrorKind, Result, WorkloadName};

/// Larger arguments are refused.
const ARGUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

const EXAMPLES: &str = "Examples:
  wharf call time get_current_time timezone=Europe/Berlin
  echo '{\"a\": 2, \"b\": 3}' | wharf call demo add --json - --format json

The exit code is 0 if the tool succeeded, 1 if it says that it failed, or if a signal interrupts the call.

JSON: an object of is_error, content (array of what the tool says, as in the protocol), structured_content. Keys are
absent when empty.";

/// Call a tool of a workload's server; prints what it says
///
/// A value is a text where the tool asks for a text, and JSON where it asks for anything else.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Call {
    /// The workload's name
    name: WorkloadName,
    /// The tool's name, see: wharf tools NAME
    tool: String,
    /// Its arguments
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    arguments: Vec<(String, String)>,
    /// Take its arguments from a file with an object of JSON; - reads stdin
    #[arg(long, value_name = "FILE", conflicts_with = "arguments")]
    json: Option<PathBuf>,
    /// How to print what it says
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Call {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let given = self.json.as_deref().map(read).transpose()?;
        let arguments = |tool: Option<&ServerTool>| match &given {
            Some(given) => Ok(given.clone()),
            None => typed(&self.arguments, tool),
        };
        let called = {
            let mut steps = Steps::new(console, self.format == Format::Json, self.name.as_str());
            commands::call(context, &self.name, &self.tool, &arguments, &mut steps).await?
        };
        match self.format {
            Format::Json => console.json(&called)?,
            Format::Text => tell(&called, console)?,
        }
        Ok(if called.is_error { ErrorKind::Failed.exit_code() } else { DONE })
    }
}

/// The arguments in a file.
fn read(path: &Path) -> Result<Map<String, Value>> {
    let shown = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Error::caused(ErrorKind::Usage, format!("--json: {shown} is no object of JSON"), error)
    };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        output::reader().and_then(|stdin| stdin.take(ARGUMENT_BYTES_MAX + 1).read_to_end(&mut bytes))
    } else {
        std::fs::File::open(path).and_then(|file| file.take(ARGUMENT_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    if read.map_err(|error| failed(&error))? as u64 > ARGUMENT_BYTES_MAX {
        let message = format!("--json: {shown} has more than {ARGUMENT_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::Usage, message));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}

/// The arguments with the types that the tool asks for. Where it says nothing, what is JSON is taken for JSON.
fn typed(given: &[(String, String)], tool: Option<&ServerTool>) -> Result<Map<String, Value>> {
    let mut arguments = Map::new();
    for (key, text) in given {
        let asked = tool.map_or(&Value::Null, |tool| &tool.input_schema["properties"][key]["type"]);
        let is_text =
            asked == "string" || asked.as_array().is_some_and(|of| of.iter().any(|it| it == "string"));
        let parsed = serde_json::from_str::<Value>(text);
        let value = match parsed {
            _ if is_text => Value::String(text.clone()),
            Ok(value) => value,
            Err(_) if asked.is_null() => Value::String(text.clone()),
            Err(error) => {
                let doing = format!("{key}={text}: the tool asks for JSON of the type {asked}");
                return Err(Error::caused(ErrorKind::Usage, doing, &error));
            }
        };
        if arguments.insert(key.clone(), value).is_some() {
            return Err(Error::new(ErrorKind::Usage, format!("{key} is given twice")));
        }
    }
    Ok(arguments)
}

/// Texts as they are, but for what a terminal would obey; everything else by its kind. Data, where there is nothing else.
fn tell(called: &Called, console: &Console) -> std::io::Result<()> {
    if called.content.is_empty()
        && let Some(data) = &called.structured_content
    {
        return console.json(data);
    }
    for block in &called.content {
        match block["text"].as_str() {
            Some(text) => console.line(&escape::lines(text))?,
            None => {
                let kind = block["type"].as_str().unwrap_or("something");
                let of = block["mimeType"].as_str().or(block["uri"].as_str()).unwrap_or_default();
                console.line(&escape::line(format!("[{kind} {of}]").trim_end()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_value_has_the_type_that_the_tool_asks_for() {
        let tool = ServerTool {
            name: String::new(),
            title: String::new(),
            description: String::new(),
            input_schema: json!({ "properties": {
                "text": { "type": "string" }, "maybe": { "type": ["string", "null"] },
                "number": { "type": "number" }, "any": {},
            } }),
            output_schema: None,
            annotations: None,
        };
        let of = |pairs: &[(&str, &str)]| typed(&given(pairs), Some(&tool));
        let all = of(&[("text", "1"), ("maybe", "2"), ("number", "3"), ("any", "[4]"), ("other", "x")]);
        let expected = json!({ "text": "1", "maybe": "2", "number": 3, "any": [4], "other": "x" });
        assert_eq!(Value::Object(all.unwrap()), expected);
        assert_eq!(of(&[("number", "three")]).unwrap_err().kind, ErrorKind::Usage);
        assert!(of(&[("any", "1"), ("any", "2")]).unwrap_err().message.contains("twice"));
        assert_eq!(typed(&given(&[("a", "true")]), None).unwrap()["a"], true);
    }
}
