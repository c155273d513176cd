//! No file of production code imports one that imports it in turn, directly or by a detour: a reader of one would have to
//! read all of them. Files that only declare modules (`lib.rs`, `mod.rs`) do not count.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path inside its package, such as `["file", "store"]`.
type Module = Vec<String>;

/// The modules of one package, with the text of each file without its tests.
struct Package {
    files: BTreeMap<Module, (PathBuf, String)>,
    /// The names that a module re-exports: (module, name) to a path.
    passed_on: BTreeMap<(Module, String), Vec<String>>,
}

impl Package {
    fn read(root: &Path) -> Self {
        let mut package = Self { files: BTreeMap::new(), passed_on: BTreeMap::new() };
        package.read_folder(root, &mut Vec::new());
        for (module, (_, text)) in &package.files {
            for path in uses(text).into_iter().filter(|(is_public, _)| *is_public).map(|(_, path)| path) {
                if let Some(last) = path.last() {
                    package.passed_on.insert((module.clone(), last.clone()), path.clone());
                }
            }
        }
        package
    }

    fn read_folder(&mut self, folder: &Path, module: &mut Module) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            // The tests of a file, and helpers of tests.
            if name.ends_with("tests") || name == "test_process" {
                continue;
            }
            if path.is_dir() {
                module.push(name);
                self.read_folder(&path, module);
                module.pop();
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let mut own = module.clone();
                if !matches!(name.as_str(), "mod" | "lib" | "main") {
                    own.push(name);
                }
                self.files.insert(own, (path.clone(), production(&fs::read_to_string(&path).unwrap())));
            }
        }
    }

    /// The module that a path of this package leads to, re-exports followed.
    fn resolve(&self, path: &[String], from: &Module, depth: usize) -> Option<Module> {
        let mut module = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (module, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                module.push(first.to_owned());
                if !self.files.contains_key(&module) {
                    return None;
                }
                module.pop();
            }
        }
        while let Some(part) = rest.first() {
            module.push(part.clone());
            if !self.files.contains_key(&module) {
                module.pop();
                break;
            }
            rest = &rest[1..];
        }
        let passed_on = rest.first().and_then(|name| self.passed_on.get(&(module.clone(), name.clone())));
        match passed_on {
            Some(path) if depth < 8 => self.resolve(path, &module, depth + 1),
            _ => Some(module),
        }
    }

    /// Which files each file imports.
    fn imports(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let declares = |path: &Path| path.ends_with("mod.rs") || path.ends_with("lib.rs");
        let mut imports = BTreeMap::new();
        for (module, (file, text)) in &self.files {
            if declares(file) {
                continue;
            }
            let named = uses(text).into_iter().map(|(_, path)| path).chain(inline_paths(text));
            let found = named
                .filter_map(|path| self.resolve(&path, module, 0))
                .filter_map(|module| self.files.get(&module))
                .map(|(path, _)| path.as_path())
                .filter(|path| path != file && !declares(path));
            imports.insert(file.as_path(), found.collect());
        }
        imports
    }
}

/// A file without its comments and without its tests, which stand at its end.
pub(crate) fn production(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that a `use` names, and whether it is passed on.
fn uses(text: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("use ") {
        let line = &text[text[..start].rfind('\n').map_or(0, |at| at + 1)..start];
        let is_public = line.trim_start().starts_with("pub");
        if !(line.trim().is_empty() || is_public) {
            continue;
        }
        let tree = text[start + 4..].split(';').next().unwrap_or_default();
        expand(&[], tree, &mut |path| found.push((is_public, path)));
    }
    found
}

/// The paths of a tree such as `a::{b, c::d as e}`.
fn expand(prefix: &[String], tree: &str, found: &mut impl FnMut(Vec<String>)) {
    let (mut depth, mut start) = (0, 0);
    let mut branches = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&tree[start..]);
    for branch in branches.into_iter().map(str::trim).filter(|branch| !branch.is_empty()) {
        let parts = |text: &str| -> Vec<String> {
            let text = text.split(" as ").next().unwrap_or_default();
            text.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        };
        match branch.split_once('{') {
            Some((head, inner)) => {
                let below = [prefix, &parts(head)].concat();
                expand(&below, inner.rsplit_once('}').map_or(inner, |(inner, _)| inner), found);
            }
            None => found([prefix, &parts(branch)].concat()),
        }
    }
}

/// Paths that stand in the code itself.
fn inline_paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"].iter().flat_map(|root| text.match_indices(root)) {
        let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        let before = text[..start.0].chars().next_back();
        if before.is_some_and(is_path) {
            continue;
        }
        let path: String = text[start.0..].chars().take_while(|&c| is_path(c)).collect();
        found.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
    }
    found
}

/// The files that can be reached from a file by imports and reach it again.
fn circle<'a>(start: &'a Path, imports: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> Option<Vec<&'a Path>> {
    let mut came_from: BTreeMap<&Path, &Path> = BTreeMap::new();
    let mut queue = vec![start];
    while let Some(file) = queue.pop() {
        for &next in imports.get(file).into_iter().flatten() {
            if next == start {
                let mut way = vec![file];
                while let Some(&earlier) = came_from.get(way[way.len() - 1]) {
                    way.push(earlier);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, file);
                queue.push(next);
            }
        }
    }
    None
}

/// The folders with production code of every package.
pub(crate) fn source_folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![root.join("host/src"), root.join("sdk/src"), root.join("sdk/abi/src")];
    for parent in ["host", "plugins"] {
        for entry in fs::read_dir(root.join(parent)).unwrap() {
            let folder = entry.unwrap().path().join("src");
            if folder.is_dir() {
                folders.push(folder);
            }
        }
    }
    folders
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for folder in source_folders() {
        let package = Package::read(&folder);
        let imports = package.imports();
        for file in imports.keys() {
            if let Some(way) = circle(file, &imports) {
                let shown = way.iter().map(|file| file.strip_prefix(&folder).unwrap().display().to_string());
                circles.push(format!("{}: {}", folder.display(), shown.collect::<Vec<_>>().join(" -> ")));
            }
        }
    }
    assert_eq!(circles, Vec::<String>::new(), "{} circles", circles.len());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "files of a test, not records")]
fn the_search_for_circles_follows_re_exports_and_paths_in_code() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("room")).unwrap();
    fs::write(root.path().join("lib.rs"), "mod a;\nmod room;\n").unwrap();
    fs::write(root.path().join("a.rs"), "use crate::room::{Thing, self};\npub(crate) struct A;\n").unwrap();
    fs::write(root.path().join("room/mod.rs"), "mod b;\npub(crate) use b::Thing;\n").unwrap();
    fs::write(root.path().join("room/b.rs"), "pub(crate) struct Thing(crate::a::A);\n").unwrap();
    let package = Package::read(root.path());
    let imports = package.imports();
    let (a, b) = (root.path().join("a.rs"), root.path().join("room/b.rs"));
    assert_eq!(circle(&a, &imports), Some(vec![a.as_path(), b.as_path()]));
}

#[test]
fn every_failpoint_is_named_by_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host");
    let points = fs::read_to_string(root.join("failpoint/src/lib.rs")).unwrap();
    let points = points.split("points! {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = points.lines().filter_map(|line| line.trim().split_once(" = \"")).map(|(name, _)| name);
    let mut code = String::new();
    for folder in source_folders().iter().filter(|folder| !folder.ends_with("failpoint/src")) {
        for (_, text) in Package::read(folder).files.values() {
            code.push_str(text);
        }
    }
    let unused: Vec<_> = names.filter(|name| !code.contains(&format!("Point::{name}"))).collect();
    assert_eq!(unused, Vec::<&str>::new(), "points that no code reaches");
}
