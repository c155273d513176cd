//! Turns ToolHive's names into wharf's: ToolHive also allows dots, capitals, underscores and other characters.
use wharf_model::{NAME_LENGTH_MAX, WorkloadName};

/// The number of names that are tried.
const CANDIDATES: u32 = 99;
/// The name if no character of the original can be used.
const NOTHING_LEFT: &str = "mcp";

/// Whether a workload can keep its name.
pub fn is_name(name: &str) -> bool {
    WorkloadName::new(name).is_ok()
}

/// Names for a workload, the closest first. A name that can be kept is the only one: the copy must not look like another
/// workload.
pub fn candidates(name: &str) -> Vec<WorkloadName> {
    if let Ok(name) = WorkloadName::new(name) {
        return vec![name];
    }
    let base = usable(name);
    let numbered = (2..=CANDIDATES).map(|number| {
        let suffix = format!("-{number}");
        let room = NAME_LENGTH_MAX - suffix.len();
        format!("{}{suffix}", base.get(..room).unwrap_or(&base))
    });
    let first = base.get(..NAME_LENGTH_MAX).unwrap_or(&base).to_owned();
    std::iter::once(first).chain(numbered).filter_map(|name| WorkloadName::new(name).ok()).collect()
}

/// ASCII only, so that it can be cut at any byte.
fn usable(name: &str) -> String {
    let mut base = String::new();
    for character in name.chars().map(|character| character.to_ascii_lowercase()) {
        match character {
            'a'..='z' | '0'..='9' => base.push(character),
            _ if base.is_empty() || base.ends_with('-') => {}
            _ => base.push('-'),
        }
    }
    let base = base.trim_end_matches('-');
    if base.is_empty() { NOTHING_LEFT } else { base }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_toolhive_name_is_kept() {
        let names = candidates("mcp-time-2");
        assert_eq!(names.iter().map(WorkloadName::as_str).collect::<Vec<_>>(), ["mcp-time-2"]);
    }

    #[test]
    fn an_invalid_toolhive_name_becomes_the_nearest_valid_one_with_a_number_if_taken() {
        let long = "x".repeat(100);
        let cut = "x".repeat(NAME_LENGTH_MAX);
        let cases = [
            ("Time.Server_1", "time-server-1"),
            ("..a..b..", "a-b"),
            ("io.github.Foo", "io-github-foo"),
            ("X", "x"),
            ("___", "mcp"),
            ("\u{e9}t\u{e9}", "t"),
            (&long, &cut),
        ];
        for (name, wanted) in cases {
            let names = candidates(name);
            assert_eq!((names[0].as_str(), names.len()), (wanted, 99), "{name}");
            assert!(names[1].as_str().ends_with("-2") && names[98].as_str().ends_with("-99"));
        }
    }
}
