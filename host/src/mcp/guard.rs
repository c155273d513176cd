//! The guard: whether the configuration allows what a tool is asked to change. Pure, but for the search of a command.
//!
//! What the allow-list names is SERVER with its arguments, a workload's name, a tool's. A request that asks for more than
//! that (variables, files of this machine, secrets, a profile, an address) is never allowed by it: a person decides.
use crate::api::CreateRequest;
use crate::mcp::deed::{Deed, words};
use crate::mcp::pattern::allows;
use crate::mcp::shown::visible;
use std::path::Path;
use wharf_model::{Error, ErrorKind, ProxyAuth, Result};
use wharf_sdk::Source;
use wharf_supervisor::{Config, McpAllowList, SETTINGS_FILE, Surroundings, source as server};

/// A person who is to judge must be able to read it.
const TOLD_BYTES_MAX: usize = 4096;

/// The verdict of the configuration.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is allowed.
    Allowed,
    /// A person has to decide.
    Ask,
}

/// Judges what a tool is asked to change.
///
/// # Errors
/// It makes no sense, or could not be shown to a person as a whole.
pub(super) fn judge(config: &Config, deed: &Deed) -> Result<Verdict> {
    let allow = &config.settings.mcp.allow;
    let is_allowed = match deed {
        Deed::Run(request) => {
            let (list, words) = asked(config, request)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            !asks_for_more(request) && list.of(allow).iter().any(|pattern| allows(pattern, &words))
        }
        Deed::Start(name) | Deed::Stop(name, _) | Deed::Restart(name, _) | Deed::Remove(name) => {
            allow.workloads.iter().any(|pattern| allows(pattern, &[name.as_str()]))
        }
        Deed::Call(name, tool, _) => {
            let tool = format!("{name}/{tool}");
            allow.tools.iter().any(|pattern| allows(pattern, &[&tool]))
        }
    };
    if is_allowed {
        return Ok(Verdict::Allowed);
    }
    if deed.told().len() > TOLD_BYTES_MAX {
        let message = format!("it has more than {TOLD_BYTES_MAX} bytes, which no person could judge");
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(Verdict::Ask)
}

/// The error where nobody could be asked, or somebody said no: with what would have to be allowed.
pub(super) fn refusal(config: &Config, deed: &Deed, why: &str) -> Error {
    let file = config.config_dir.join(SETTINGS_FILE);
    let (list, entry) = match deed {
        Deed::Run(request) => match asked(config, request) {
            Ok((list, words)) if !asks_for_more(request) => (list.name(), words.join(" ")),
            Ok(_) => {
                let message = format!("this is not done: {why}");
                return Error::new(ErrorKind::Usage, message).hint(
                    "an allow-list covers a server with its arguments, and no variables, files, secrets, profiles, users or \
                     addresses; run such a one by hand",
                );
            }
            Err(error) => return error,
        },
        Deed::Start(name) | Deed::Stop(name, _) | Deed::Restart(name, _) | Deed::Remove(name) => {
            ("workloads", name.to_string())
        }
        Deed::Call(name, tool, _) => ("tools", format!("{name}/{tool}")),
    };
    let message = format!("this is not done: {why}");
    let entry = visible(&serde_json::Value::String(entry).to_string());
    Error::new(ErrorKind::Usage, message)
        .hint(format!("its user allows it by adding {entry} to 'mcp.allow.{list}' in {}", file.display()))
}

/// The list that a server is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Packages,
    Images,
    Commands,
}

impl List {
    fn of(self, allow: &McpAllowList) -> &[String] {
        match self {
            Self::Packages => &allow.packages,
            Self::Images => &allow.images,
            Self::Commands => &allow.commands,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Images => "images",
            Self::Commands => "commands",
        }
    }
}

/// The list for a request, and SERVER as the command layer will take it, with its arguments.
fn asked(config: &Config, request: &CreateRequest) -> Result<(List, Vec<String>)> {
    let words = words(request);
    let text = *words.first().unwrap_or(&"");
    let surroundings = Surroundings { current_dir: &config.current_dir, search_path: &config.search_path };
    let (source, text) = match request.to_run_request()? {
        asked if asked.is_image => (Source::Image { reference: asked.server.clone() }, asked.server),
        _ => server::parse(text, surroundings)
            .map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?,
    };
    let list = match source {
        Source::Package { .. } => List::Packages,
        Source::Image { .. } => List::Images,
        Source::Command { .. } => List::Commands,
    };
    if list == List::Commands && Path::new(&text).components().any(|part| part.as_os_str() == "..") {
        return Err(Error::new(ErrorKind::Usage, "a path that leads through '..' is not taken here"));
    }
    Ok((list, std::iter::once(text).chain(words.iter().skip(1).map(|word| (*word).to_owned())).collect()))
}

/// Whether it asks for more than a server with its arguments under a name.
fn asks_for_more(request: &CreateRequest) -> bool {
    let mut rest = request.0.clone();
    (rest.name, rest.server, rest.image) = (None, None, None);
    (rest.cmd_arguments, rest.labels, rest.group) = (Vec::new(), std::collections::BTreeMap::new(), None);
    (rest.runtime, rest.transport, rest.proxy_mode, rest.restart) = (None, None, None, None);
    (rest.proxy_port, rest.target_port, rest.pull) = (0, 0, None);
    (rest.cpus, rest.memory_bytes, rest.pids_limit) = (None, None, None);
    (rest.instances, rest.target_path, rest.stop_timeout_ms) = (None, String::new(), None);
    rest.auth = rest.auth.filter(|auth| *auth == ProxyAuth::None);
    rest != Default::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::PathBuf;

    fn config(allow: &Value) -> Config {
        Config {
            state_dir: "/s".into(),
            data_dir: "/d".into(),
            cache_dir: None,
            config_dir: "/c".into(),
            plugin_dirs: Vec::new(),
            executable: PathBuf::new(),
            current_dir: "/here".into(),
            search_path: vec!["/bin".into()],
            default_runtime: None,
            log_level: String::new(),
            settings: serde_json::from_value(json!({ "mcp": { "allow": allow } })).unwrap(),
            pins: std::collections::BTreeMap::new(),
            is_marked: false,
        }
    }

    fn run(request: Value) -> Deed {
        Deed::Run(Box::new(serde_json::from_value(request).unwrap()))
    }

    #[test]
    fn a_server_is_looked_for_in_the_list_of_its_kind() {
        let config = config(&json!({
            "packages": ["uvx://mcp-server-time", "npx://@scope/* /srv"], "images": ["mcp/time:*"], "commands": ["/opt/x"],
        }));
        for allowed in [
            json!({ "server": "uvx://mcp-server-time", "name": "t", "group": "g" }),
            json!({ "server": "npx://@scope/files", "cmd_arguments": ["/srv"] }),
            json!({ "image": "mcp/time:1" }),
            json!({ "server": "/opt/x", "memory_bytes": 1 }),
        ] {
            assert_eq!(judge(&config, &run(allowed.clone())), Ok(Verdict::Allowed), "{allowed}");
        }
        for asked in [
            json!({ "server": "uvx://mcp-server-time", "cmd_arguments": ["--x"] }),
            json!({ "server": "npx://@scope/files" }),
            json!({ "server": "npx://x; rm -rf" }),
            json!({ "server": "sh", "cmd_arguments": ["-c", "true"] }),
            json!({ "server": "mcp/t\u{456}me:1" }),
            json!({ "server": "uvx://--from" }),
        ] {
            assert_eq!(judge(&config, &run(asked.clone())), Ok(Verdict::Ask), "{asked}");
        }
        assert!(judge(&config, &run(json!({ "server": "/opt/../bin/sh" }))).is_err());
        assert!(judge(&config, &run(json!({}))).is_err());
    }

    #[test]
    fn what_goes_beyond_a_server_and_its_arguments_is_for_a_person() {
        let config = config(&json!({ "packages": ["uvx://time"] }));
        for more in [
            json!({ "env_vars": { "PYTHONPATH": "/tmp" } }),
            json!({ "volumes": ["/:/host"] }),
            json!({ "secrets": [{ "name": "a", "target": "B" }] }),
            json!({ "permission_profile": { "privileged": true } }),
            json!({ "host": "0.0.0.0" }),
            json!({ "auth": "none" }),
            json!({ "user": "root" }),
            json!({ "working_dir": "/etc" }),
            json!({ "allow_weaker": true }),
            json!({ "unix_socket": true }),
            json!({ "allowed_hosts": ["evil.example"] }),
            json!({ "container": { "cap_add": ["SYS_ADMIN"] } }),
            json!({ "allowed_origins": ["https://evil.example"] }),
            json!({ "runtime_options": { "namespace": "other" } }),
        ] {
            let mut request = json!({ "server": "uvx://time" });
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let deed = run(request);
            assert_eq!(judge(&config, &deed), Ok(Verdict::Ask), "{more}");
            assert!(refusal(&config, &deed, "x").advice.len() == 1, "{more}");
        }
        let long = run(json!({ "server": "uvx://time", "cmd_arguments": ["x".repeat(5000)] }));
        assert!(judge(&config, &long).unwrap_err().message.contains("no person"));
    }

    #[test]
    fn workloads_and_tools_are_allowed_by_name_and_a_refusal_says_what_to_add() {
        let config = config(&json!({ "workloads": ["demo-*"], "tools": ["time/get_*"] }));
        let name = |text: &str| text.parse().unwrap();
        assert_eq!(judge(&config, &Deed::Start(name("demo-1"))), Ok(Verdict::Allowed));
        assert_eq!(judge(&config, &Deed::Remove(name("prod"))), Ok(Verdict::Ask));
        let call = |tool: &str| Deed::Call(name("time"), tool.to_owned(), serde_json::Map::new());
        assert_eq!(judge(&config, &call("get_now")), Ok(Verdict::Allowed));
        assert_eq!(judge(&config, &call("get_now/../set")), Ok(Verdict::Ask));
        let refused = refusal(&config, &call("set"), "nobody can be asked");
        assert!(format!("{:?}", refused.advice).contains("mcp.allow.tools"), "{refused:?}");
        let refused = refusal(&config, &run(json!({ "server": "uvx://x" })), "nobody can be asked");
        assert!(format!("{:?}", refused.advice).contains("mcp.allow.packages"), "{refused:?}");
    }
}
