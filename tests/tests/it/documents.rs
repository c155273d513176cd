//! The documents name tests; each of these exists, and the contract names every test of a rule. Words that the glossary
//! does not allow stand in no document and no comment.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources and documents in a folder.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                files_below(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "md") {
            found.push(path);
        }
    }
}

/// The sources and documents of this repository.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["docs", "fuzz", "host", "packaging", "plugins", "sdk", "tests"] {
        files_below(&repository().join(folder), &mut found);
    }
    for document in ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"] {
        found.push(repository().join(document));
    }
    found
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rs")
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
    let sources = files().into_iter().filter(|path| is_source(path));
    let tests: BTreeSet<_> = sources.flat_map(|path| tests_in(&fs::read_to_string(path).unwrap())).collect();
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

/// The words that the glossary allows nowhere: those in the paragraph of that beginning.
fn words_not_to_use() -> Vec<String> {
    let glossary = fs::read_to_string(repository().join("docs/glossary.md")).unwrap();
    let (_, list) = glossary.split_once("\nNowhere in ").expect("the glossary has a list of them");
    let list = list.split("\n\n").next().unwrap();
    list.split('*').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The lines of a document, or the comments of a source.
fn prose<'a>(path: &Path, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let is_source = is_source(path);
    let said =
        move |line: &'a str| if is_source { line.split_once("//").map(|(_, said)| said) } else { Some(line) };
    text.lines().enumerate().filter_map(move |(at, line)| Some((at + 1, said(line)?)))
}

/// True if a text has the word, or its plural.
fn has_word(text: &str, word: &str) -> bool {
    let words = text.to_lowercase();
    let words: Vec<_> = words.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let text = format!(" {} ", words.join(" "));
    text.contains(&format!(" {word} ")) || text.contains(&format!(" {word}s "))
}

#[test]
fn no_document_and_no_comment_has_a_word_that_the_glossary_does_not_allow() {
    let words = words_not_to_use();
    assert!(words.len() > 5, "{words:?}");
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| !path.ends_with("docs/glossary.md")) {
        let text = fs::read_to_string(&path).unwrap();
        for (line, said) in prose(&path, &text) {
            let unwanted = words.iter().filter(|word| has_word(said, word));
            found.extend(unwanted.map(|word| format!("{}:{line}: {word}", path.display())));
        }
    }
    assert_eq!(
        found,
        Vec::<String>::new(),
        "docs/glossary.md, \"Words not to use\", has other words for them"
    );
}

#[test]
fn a_word_is_found_in_prose_and_in_no_name() {
    assert!(has_word("Two Lanes, or more", "lane") && has_word("at stage two.", "stage two"));
    assert!(!has_word("planes, a lane_number", "lane"));
    let source: Vec<_> = prose(Path::new("x.rs"), "let lane = 1;\nlet a = 2; // said").collect();
    assert_eq!(source, [(2, " said")]);
}
