//! [`Tool`]: the tools, with what a client is told about each.
use crate::mcp::arguments::{Calling, Ended, Log, Nothing, One, Which};
use crate::mcp::logs::LogAnswer;
use crate::mcp::schemas::{array_of, inline, object_with, shared};
use rmcp::model::{JsonObject, Tool as Described, ToolAnnotations};
use std::sync::Arc;

/// The tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    ListServers,
    RunServer,
    StartServer,
    StopServer,
    RestartServer,
    RemoveServer,
    GetServerStatus,
    GetServerLogs,
    ListRuntimes,
    Call,
}

impl Tool {
    /// All of them, in the order in which they are listed.
    pub(super) const ALL: [Self; 10] = [
        Self::ListServers,
        Self::RunServer,
        Self::StartServer,
        Self::StopServer,
        Self::RestartServer,
        Self::RemoveServer,
        Self::GetServerStatus,
        Self::GetServerLogs,
        Self::ListRuntimes,
        Self::Call,
    ];

    /// As it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ListServers => "list_servers",
            Self::RunServer => "run_server",
            Self::StartServer => "start_server",
            Self::StopServer => "stop_server",
            Self::RestartServer => "restart_server",
            Self::RemoveServer => "remove_server",
            Self::GetServerStatus => "get_server_status",
            Self::GetServerLogs => "get_server_logs",
            Self::ListRuntimes => "list_runtimes",
            Self::Call => "call_tool",
        }
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    const fn title(self) -> &'static str {
        match self {
            Self::ListServers => "List servers",
            Self::RunServer => "Run a server",
            Self::StartServer => "Start a server",
            Self::StopServer => "Stop a server",
            Self::RestartServer => "Restart a server",
            Self::RemoveServer => "Remove a server",
            Self::GetServerStatus => "Status of a server",
            Self::GetServerLogs => "Log of a server",
            Self::ListRuntimes => "List runtimes",
            Self::Call => "Call a tool of a server",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::ListServers => "Lists the MCP servers (workloads) that wharf runs.",
            Self::RunServer => {
                "Creates a new MCP server and starts it: a package (npx://…, uvx://…), a command, or an image. Runs code on \
                 this machine: it does what the configuration's allow-list names, else a person is asked."
            }
            Self::StartServer => "Starts a server that does not run.",
            Self::StopServer => "Stops a server that runs. It stays on record.",
            Self::RestartServer => "Stops a server and starts it.",
            Self::RemoveServer => "Removes a server, running or not.",
            Self::GetServerStatus => "Shows one server in depth: its state, and why.",
            Self::GetServerLogs => "Shows the end of a server's log. Untrusted text; secrets are removed.",
            Self::ListRuntimes => "Lists the runtimes that servers can run on.",
            Self::Call => {
                "Calls a tool of a server that wharf runs; without a tool's name it lists the server's tools. What comes back \
                 is the server's own, and untrusted."
            }
        }
    }

    /// A client may let a model use it without asking.
    const fn is_read_only(self) -> bool {
        matches!(self, Self::ListServers | Self::GetServerStatus | Self::GetServerLogs | Self::ListRuntimes)
    }

    const fn is_destructive(self) -> bool {
        matches!(
            self,
            Self::RunServer | Self::StopServer | Self::RestartServer | Self::RemoveServer | Self::Call
        )
    }

    const fn is_idempotent(self) -> bool {
        matches!(self, Self::StartServer | Self::StopServer)
    }

    fn input(self) -> JsonObject {
        match self {
            Self::ListServers => inline::<Which>(),
            Self::RunServer => shared("Described"),
            Self::StartServer | Self::RemoveServer | Self::GetServerStatus => inline::<One>(),
            Self::StopServer | Self::RestartServer => inline::<Ended>(),
            Self::GetServerLogs => inline::<Log>(),
            Self::ListRuntimes => inline::<Nothing>(),
            Self::Call => inline::<Calling>(),
        }
    }

    fn output(self) -> Option<JsonObject> {
        Some(match self {
            Self::ListServers => array_of("servers", "WorkloadView"),
            Self::RunServer | Self::StartServer | Self::RestartServer => shared("Started"),
            Self::StopServer => object_with(&["name", "result"]),
            Self::RemoveServer => object_with(&["name", "result"]),
            Self::GetServerStatus => shared("StatusReport"),
            Self::GetServerLogs => inline::<LogAnswer>(),
            Self::ListRuntimes => shared("RuntimeList"),
            // It is the server's own.
            Self::Call => return None,
        })
    }

    /// As a client is told.
    pub(super) fn described(self) -> Described {
        let hints = ToolAnnotations::from_raw(
            Some(self.title().to_owned()),
            Some(self.is_read_only()),
            Some(self.is_destructive()),
            Some(self.is_read_only() || self.is_idempotent()),
            Some(matches!(self, Self::RunServer | Self::Call)),
        );
        let tool = Described::new(self.name(), self.description(), Arc::new(self.input()));
        let tool = tool.with_title(self.title()).with_annotations(hints);
        match self.output() {
            Some(output) => tool.with_raw_output_schema(Arc::new(output)),
            None => tool,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_says_what_it_takes_gives_and_does() {
        for tool in Tool::ALL {
            assert_eq!(Tool::named(tool.name()), Some(tool));
            let described = tool.described();
            let hints = described.annotations.clone().unwrap();
            assert_eq!(described.input_schema["type"], "object", "{tool:?}");
            assert_eq!(described.output_schema.is_none(), tool == Tool::Call, "{tool:?}");
            assert_eq!(
                (hints.read_only_hint, hints.destructive_hint),
                (Some(tool.is_read_only()), Some(tool.is_destructive()))
            );
            assert!(!(tool.is_read_only() && tool.is_destructive()), "{tool:?}");
            let written = serde_json::to_string(&described).unwrap();
            assert!(!written.contains("#/components/"), "{written}");
        }
        assert_eq!(Tool::named("rm"), None);
    }
}
