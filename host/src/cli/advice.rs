//! Puts advice into the words of the command line: the command to type next.
//!
//! Called wherever an error, a row or a report is shown to people. Together with the help texts, this is the only place
//! that turns a step into a command.
use super::escape;
use std::collections::BTreeMap;
use std::path::Path;
use wharf_model::{Advice, Setting};

/// The options of commands that choose between the places of a runtime, each with its name for the runtime.
pub(super) const PLACE_OPTIONS: [(&str, &str); 2] =
    [("--kube-context", "context"), ("--namespace", "namespace")];

/// A step as a line for people; none for a step that this version does not know.
pub(super) fn text(advice: &Advice) -> Option<String> {
    let text = match advice {
        Advice::Note { text } => text.clone(),
        Advice::AskFor { name } => format!("did you mean '{name}'?"),
        Advice::ListWorkloads => "see: wharf list --all".to_owned(),
        Advice::ListRuntimes => "see: wharf runtime list".to_owned(),
        Advice::ShowRuntime { name } => format!("see: wharf runtime info {name}"),
        Advice::CheckRuntimes => "see: wharf runtime check".to_owned(),
        Advice::CheckRuntime { name, options } => {
            format!("see: wharf runtime check {name}{}", in_place(options))
        }
        Advice::Diagnose => "see: wharf doctor".to_owned(),
        Advice::ForgetVerdict { path } => {
            format!("to try it again: wharf runtime forget-verdict {}", quoted(path))
        }
        Advice::Start { name } => format!("run: wharf start {name}"),
        Advice::Stop { name } => format!("run: wharf stop {name}"),
        Advice::Restart { name } => format!("run: wharf restart {name}"),
        Advice::Remove { name } => format!("to remove it: wharf rm {name}"),
        Advice::FinishRemoval { name } => format!("its removal was interrupted; finish it: wharf rm {name}"),
        Advice::Forget { name } => format!("to drop its records: wharf rm --forget {name}"),
        Advice::RemoveOrphan { runtime, uid } => format!("to remove it: wharf rm --orphan {runtime}/{uid}"),
        Advice::ReadLog { name } => format!("see: wharf logs {name}"),
        Advice::ReadSupervisorLog { name } => format!("see: wharf logs --proxy {name}"),
        Advice::Adopt { name } => format!("to record its owner: wharf adopt {name}"),
        Advice::AdoptByHand { name, runtime } => {
            let runtime = runtime.as_deref().unwrap_or("RUNTIME");
            format!("to decide by hand: wharf adopt {name} --runtime {runtime}")
        }
        Advice::Rebind { name, runtime } => {
            format!("to move it to another instance: wharf adopt {name} --runtime {runtime} --rebind")
        }
        Advice::ShowStatus { name } => format!("see: wharf status {name}"),
        Advice::ShowUrl { name } => format!("see: wharf url {name}"),
        Advice::RotateSecret { name } => format!("to have a new one: wharf url {name} --rotate"),
        Advice::SetAuth { name, auth } => format!("run: wharf url {name} --auth {}", auth.as_str()),
        Advice::ImportToolhive => "run: wharf import toolhive".to_owned(),
        Advice::Choose { setting, value: Some(value) } => {
            format!("ask for it with {} {value}", option(*setting))
        }
        Advice::Choose { setting: Setting::NoInit, .. } => format!("try it with {}", option(Setting::NoInit)),
        Advice::Choose { setting, value: None } => format!("choose another {}", option(*setting)),
        Advice::Unknown => return None,
    };
    Some(text)
}

/// Several steps in one line.
pub(super) fn line(advice: &[Advice]) -> String {
    let texts: Vec<String> = advice.iter().filter_map(text).collect();
    escape::line(&texts.join("; ")).into_owned()
}

/// A sentence, followed by the next steps.
pub(super) fn after(sentence: &str, advice: &[Advice]) -> String {
    let steps = advice.iter().filter_map(text);
    std::iter::once(sentence.to_owned()).chain(steps).collect::<Vec<_>>().join("; ")
}

/// The options of a command that lead to a place of a runtime.
fn in_place(options: &BTreeMap<String, String>) -> String {
    let option = |(option, name): (&str, &str)| {
        let value = options.get(name)?;
        Some(format!(" {option} {}", word(value)))
    };
    PLACE_OPTIONS.into_iter().filter_map(option).collect()
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}

/// A text as one word of a shell.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

const fn option(setting: Setting) -> &'static str {
    match setting {
        Setting::Name => "--name",
        Setting::Runtime => "--runtime",
        Setting::ProxyPort => "--proxy-port",
        Setting::Transport => "--transport",
        Setting::TargetPath => "--target-path",
        Setting::TargetPort => "--target-port",
        Setting::Auth => "--auth",
        Setting::Restart => "--restart",
        Setting::Instances => "--instances",
        Setting::CapAdd => "--cap-add",
        Setting::NoInit => "--no-init",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_checked_in_the_place_that_is_meant() {
        let options = [("context", "it's dev"), ("namespace", "team-a"), ("of-a-newer-one", "x")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let step = Advice::check("kubernetes", BTreeMap::from(options));
        let told = "see: wharf runtime check kubernetes --kube-context 'it'\\''s dev' --namespace team-a";
        assert_eq!(text(&step).unwrap(), told);
        assert_eq!(text(&Advice::check("docker", BTreeMap::new())).unwrap(), "see: wharf runtime check");
    }
}
