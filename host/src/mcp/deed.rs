//! [`Deed`]: what a tool is asked to change, read and complete, before anybody has agreed to it.
use crate::api::CreateRequest;
use crate::mcp::shown::{visible, word};
use serde_json::{Map, Value};
use std::time::Duration;
use wharf_model::WorkloadName;

/// A change that a tool is asked for.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// A new workload is run.
    Run(Box<CreateRequest>),
    /// An existing workload is started.
    Start(WorkloadName),
    /// It is stopped.
    Stop(WorkloadName, Duration),
    /// It is stopped and started.
    Restart(WorkloadName, Duration),
    /// It is removed.
    Remove(WorkloadName),
    /// A tool of its server is called.
    Call(WorkloadName, String, Map<String, Value>),
}

impl Deed {
    /// The whole of it, for a person to judge.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Run(request) => {
                let settings = settings(request);
                let with = if settings.is_empty() { String::new() } else { format!("\nwith {settings}") };
                format!("Run this as a new workload?\n\n  {}{with}", command(request))
            }
            Self::Start(name) => format!("Start the workload {name}?"),
            Self::Stop(name, _) => format!("Stop the workload {name}?"),
            Self::Restart(name, _) => format!("Restart the workload {name}?"),
            Self::Remove(name) => format!("Remove the workload {name}, with what it has written?"),
            Self::Call(name, tool, arguments) => {
                let arguments = visible(&Value::Object(arguments.clone()).to_string());
                format!("Call the tool {} of the workload {name}?\n\n  {arguments}", word(tool))
            }
        }
    }
}

/// SERVER and its arguments.
fn command(request: &CreateRequest) -> String {
    words(request).iter().map(|text| word(text)).collect::<Vec<_>>().join(" ")
}

/// SERVER and its arguments, as they were given.
pub(super) fn words(request: &CreateRequest) -> Vec<&str> {
    let server = request.server.as_deref().filter(|server| !server.is_empty()).or(request.image.as_deref());
    server.into_iter().chain(request.cmd_arguments.iter().map(String::as_str)).collect()
}

/// Everything else that was asked for, one setting a line.
fn settings(request: &CreateRequest) -> String {
    let written = serde_json::to_value(request).unwrap_or_default();
    let mut lines = Vec::new();
    for (field, value) in written.as_object().into_iter().flatten() {
        let is_said = !matches!(field.as_str(), "server" | "image" | "cmd_arguments")
            && !matches!(value, Value::Null | Value::Bool(false))
            && value.as_u64() != Some(0);
        if is_said {
            lines.push(format!("{field}: {}", visible(&value.to_string())));
        }
    }
    lines.join("\n     ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_person_sees_all_of_it_and_nothing_that_looks_like_something_else() {
        let request = serde_json::from_value(json!({
            "server": "npx://x; rm -rf", "cmd_arguments": ["a\nb", "-\u{456}"],
            "name": "time", "env_vars": { "A": "b\u{202e}" }, "volumes": ["/:/host"],
        }));
        let told = Deed::Run(Box::new(request.unwrap())).told();
        assert_eq!(
            told,
            "Run this as a new workload?\n\n  'npx://x; rm -rf' 'a\\u{a}b' '-\\u{456}'\n\
             with env_vars: {\"A\":\"b\\u{202e}\"}\n     name: \"time\"\n     volumes: [\"/:/host\"]"
        );
        let call = Deed::Call(
            "demo".parse().unwrap(),
            "x\n".to_owned(),
            Map::from_iter([("k".to_owned(), json!("\u{7f}"))]),
        );
        assert_eq!(call.told(), "Call the tool 'x\\u{a}' of the workload demo?\n\n  {\"k\":\"\\u{7f}\"}");
    }
}
