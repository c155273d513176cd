//! Options that people bring along from other tools or other commands, and what they are called here: the parser knows only
//! names that look alike.
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// For who would edit the place of a workload.
const CANNOT_MOVE: &str = "a workload stays where it was made; a copy of it in another place is made with 'wharf export NAME > FILE' \
    and 'wharf run --from-config FILE --name OTHER' with that option, and the first one removed with 'wharf rm NAME'";

/// An option of another tool or of another command, the command that it is looked for in (none: any), and the words on it.
const ELSEWHERE: [(&str, Option<&str>, &str); 17] = [
    ("--runtime", Some("edit"), CANNOT_MOVE),
    ("--kube-context", Some("edit"), CANNOT_MOVE),
    ("--namespace", Some("edit"), CANNOT_MOVE),
    (
        "--port",
        Some("run"),
        "the port of the URL is '--proxy-port', the one that the server listens on '--target-port'",
    ),
    (
        "-p",
        Some("run"),
        "the port of the URL is '--proxy-port', the one that the server listens on '--target-port'",
    ),
    (
        "--publish",
        Some("run"),
        "the port of the URL is '--proxy-port', the one that the server listens on '--target-port'",
    ),
    ("--mount", Some("run"), "a file or folder is opened with '-v PATH[:WORKLOAD][:ro]'"),
    ("--isolate-network", Some("run"), "the network is a part of '--permission-profile'"),
    ("-d", Some("run"), "it runs in the background without that"),
    ("--detach", Some("run"), "it runs in the background without that"),
    ("-i", Some("run"), "a server on stdin and stdout needs no option"),
    ("-it", Some("run"), "a server on stdin and stdout needs no option"),
    ("--rm", Some("run"), "it is removed with: wharf rm NAME"),
    ("--header", Some("run"), "headers are for remote servers"),
    ("-v", None, "the version is printed by '--version'; a volume belongs to: wharf run -v PATH"),
    ("--verbose", None, "more is logged with '--log-level debug'"),
    ("--json", None, "results are JSON with '--format json'"),
];

/// Adds what is known about an option that the parser does not know.
pub(super) fn advise(error: &mut clap::Error, command: Option<&str>) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return };
    let name = given.split(['=', ' ']).next().unwrap_or_default();
    let known =
        ELSEWHERE.iter().find(|(option, of, _)| *option == name && of.is_none_or(|of| command == Some(of)));
    let Some((_, _, words)) = known else { return };
    // The parser's own guess is by letters.
    error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::TrailingArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*words).into()]));
}
