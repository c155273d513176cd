//! No sentence of one front end stands in the code below it: a command to type, or an option's name, means nothing to a
//! user of an API. What to do next is data there (`wharf_model::Advice`), and the front ends have the words.
use crate::circles::{production, source_folders};
use std::path::{Path, PathBuf};
use std::{collections::BTreeSet, fs, process::Command};
use wharf_tests::host::built;

/// Texts that look like an option and are none of the command line's, with the reason.
const NO_OPTIONS: [(&str, &str); 4] = [
    // An option of cargo, for developers of wharf.
    ("launcher/src/error.rs", "--workspace"),
    // The launcher's own argument, which no user types.
    ("descriptors/src/lib.rs", "--descriptors"),
    // Those of systemd's busctl.
    ("supervisor/src/systemd_scope.rs", "--system"),
    ("supervisor/src/systemd_scope.rs", "--user"),
];

/// The names of the commands and their aliases, from the command line itself.
fn commands() -> BTreeSet<String> {
    let help = Command::new(built("wharf")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    let aliases =
        listed.split("[alias: ").skip(1).filter_map(|rest| Some(rest.split(']').next()?.to_owned()));
    names.chain(aliases).filter(|name| name != "help").collect()
}

/// The string literals of a text without comments.
fn literals(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            // A character, unless it is a lifetime.
            '\'' if chars.get(at + 1) == Some(&'\\') => {
                at += 3;
                while chars.get(at).is_some_and(|&c| c != '\'') {
                    at += 1;
                }
            }
            '\'' if chars.get(at + 2) == Some(&'\'') => at += 2,
            '"' => {
                let hashes = chars[..at].iter().rev().take_while(|&&c| c == '#').count();
                let is_raw = at > hashes && chars[at - hashes - 1] == 'r';
                let mut literal = String::new();
                at += 1;
                while let Some(&c) = chars.get(at) {
                    let closes =
                        c == '"' && (!is_raw || (1..=hashes).all(|i| chars.get(at + i) == Some(&'#')));
                    if closes {
                        break;
                    }
                    if c == '\\' && !is_raw {
                        at += 1;
                        // A line that goes on.
                        if chars.get(at) != Some(&'\n') {
                            literal.push(' ');
                        }
                    } else {
                        literal.push(c);
                    }
                    at += 1;
                }
                found.push(literal);
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The reason why a literal belongs to one front end, if it does.
fn fault(literal: &str, commands: &BTreeSet<String>) -> Option<String> {
    let words: Vec<&str> = literal.split_whitespace().collect();
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-').to_owned();
    let command = words.windows(2).find(|pair| bare(pair[0]) == "wharf" && commands.contains(&bare(pair[1])));
    if let Some(pair) = command {
        return Some(pair.join(" "));
    }
    // A clause that tells to type something: "it is gone; restart it".
    let begins = |at: usize| {
        at == 0 || words[at - 1].ends_with([';', ':', ',']) || ["or", "and", "then"].contains(&words[at - 1])
    };
    let order = (0..words.len().saturating_sub(1)).find(|&at| {
        // A file that is in the way is removed by other means.
        let is_command = commands.contains(words[at]) && words[at] != "remove";
        begins(at) && is_command && ["it", "them"].contains(&bare(words[at + 1]).as_str())
    });
    if let Some(at) = order {
        return Some(words[at..=at + 1].join(" "));
    }
    let is_option = |word: &String| {
        word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let trimmed =
        words.iter().map(|word| word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    let name = |word: &str| -> String {
        word.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '-').collect()
    };
    trimmed.map(name).find(is_option)
}

/// The files of production code in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !name.ends_with("tests")
            && name != "test_process"
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_library_code_names_a_command_or_an_option() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host");
    let commands = commands();
    assert!(commands.contains("rm") && commands.contains("ls") && commands.contains("adopt"), "{commands:?}");
    let mut faults = Vec::new();
    for folder in source_folders().into_iter().filter(|folder| folder.starts_with(&host)) {
        for file in files(&folder) {
            let name = file.strip_prefix(&host).unwrap().display().to_string();
            if name.starts_with("src/cli/") || name == "src/main.rs" {
                continue;
            }
            for literal in literals(&production(&fs::read_to_string(&file).unwrap())) {
                let fault = fault(&literal, &commands);
                let excused = |fault: &str| {
                    NO_OPTIONS.iter().any(|&(file, option)| (file, option) == (name.as_str(), fault))
                };
                faults.extend(fault.filter(|fault| !excused(fault)).map(|fault| format!("{name}: {fault}")));
            }
        }
    }
    assert_eq!(
        faults,
        Vec::<String>::new(),
        "say it with an Advice, and render that in host/src/cli/advice.rs"
    );
}

#[test]
fn the_search_finds_commands_and_options_in_strings() {
    let commands: BTreeSet<String> = ["rm".to_owned(), "url".to_owned()].into();
    let found = |code: &str| literals(code).iter().filter_map(|literal| fault(literal, &commands)).count();
    for code in [
        r#"format!("to remove it: wharf rm {name}")"#,
        r##"let x = r#"say "wharf url x" to it"#;"##,
        r#"hint("it's so; choose another --name")"#,
        r#"fn f<'a>(x: &'a str) { g('"', "(--auth bearer)") }"#,
        "\"a line \\\n that goes on: wharf \\\n rm x\"",
    ] {
        assert_eq!(found(code), 1, "{code}");
    }
    for code in [r#"fresh(Unhealthy, "it runs; rm it")"#, r#""mend it, or rm it""#] {
        assert_eq!(found(code), 1, "{code}");
    }
    for code in [
        r#"hint("this wharf knows no such schema -- a newer wharf does")"#,
        r#"let _ = '"'; call(a --b)"#,
        r#"format!("wharf-{uid} is a group")"#,
        r#"hint("its url is told: it is url them that matters")"#,
    ] {
        assert_eq!(found(code), 0, "{code}");
    }
}
