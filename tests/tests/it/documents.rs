//! The documents name tests; each of these exists, and the contract names every test of a rule.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of all tests in a folder's sources.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                tests_below(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.extend(tests_in(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The names of the functions that stand behind an attribute of a test.
fn tests_in(text: &str) -> Vec<String> {
    let mut is_test = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            found.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
            is_test = false;
        }
    }
    found
}

/// The words in backticks that have the form of a test's name: at least four parts, so that no field is among them.
fn named_in(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("docs").join(document)).unwrap();
    let is_name = |word: &&str| {
        word.split('_').count() > 3
            && word.split('_').all(|part| !part.is_empty())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split('`').filter(is_name).map(str::to_owned).collect()
}

fn is_of_a_rule(name: &str) -> bool {
    let number = name.strip_prefix('r').and_then(|rest| rest.split_once('_'));
    number.is_some_and(|(number, _)| number.len() == 2 && number.chars().all(|c| c.is_ascii_digit()))
}

#[test]
fn the_documents_name_tests_that_exist_and_the_contract_names_all_of_its_rules() {
    let mut tests = BTreeSet::new();
    for folder in ["host", "sdk", "plugins", "tests", "fuzz"] {
        tests_below(&repository().join(folder), &mut tests);
    }
    assert!(tests.len() > 1000, "only {} tests were found", tests.len());
    let contract = named_in("contract.md");
    let missing: Vec<_> =
        tests.iter().filter(|name| is_of_a_rule(name) && !contract.contains(*name)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "docs/contract.md does not name them");
    for document in ["contract.md", "threat-model.md"] {
        let unknown: Vec<_> = named_in(document).difference(&tests).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "docs/{document} names no test of this repository");
    }
}

#[test]
fn a_test_is_found_behind_its_attributes() {
    let text = "#[test]\n#[expect(x)]\nfn one() {}\nfn no() {}\n#[tokio::test(start_paused = true)]\nasync fn two() {}";
    assert_eq!(tests_in(text), ["one", "two"]);
}
