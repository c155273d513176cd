//! [`Catalog`]: the plugins that were found: folders in their order, libraries by their manifests, names to libraries.
//! [`crate::registry`] and `wharf runtime list` use it.
use crate::error::PluginError;
use crate::{manifest, trust};
use std::path::{Path, PathBuf};
use wharf_model::nearest;
use wharf_sdk::stamp::{RuntimeStamp, Stamp};

/// In a folder that is not made for plugins alone, only files with this prefix count.
const OWN_PREFIX: &str = "libwharf_plugin_";

/// A folder in which plugins are searched.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PluginDir {
    /// The folder.
    pub path: PathBuf,
    /// Whether every `.so` in it is taken for a plugin; otherwise only `libwharf_plugin_*.so`.
    pub dedicated: bool,
}

/// A library that was found, usable or not.
#[derive(Debug)]
pub struct Library {
    /// Its file.
    pub path: PathBuf,
    /// The position of its folder among the folders, counted from 0.
    pub rank: usize,
    /// Its manifest, or the reason why it cannot be used.
    pub stamp: Result<Stamp, PluginError>,
}

/// A runtime of a name, and the library that provides it.
#[derive(Debug)]
pub struct Provided<'a> {
    /// The runtime's part of the manifest.
    pub runtime: &'a RuntimeStamp,
    /// The library.
    pub library: &'a Library,
    /// Set if an earlier folder has the same name, which is used instead.
    pub shadowed: bool,
}

/// All libraries of all folders. It is made without running any of their code.
#[derive(Debug, Default)]
pub struct Catalog {
    libraries: Vec<Library>,
}

impl Catalog {
    /// Searches the folders. A missing folder has no plugins; an unreadable one is logged.
    pub fn of(dirs: &[PluginDir]) -> Self {
        let mut libraries: Vec<Library> = Vec::new();
        for (rank, dir) in dirs.iter().enumerate() {
            for path in candidates(dir) {
                // A folder may be named twice (by an option and by a variable).
                let known = libraries.iter().any(|library| same_file(&library.path, &path));
                if !known {
                    libraries.push(Library { rank, stamp: read(&path), path });
                }
            }
        }
        Self { libraries }
    }

    /// A catalog with only this library, wherever it lies.
    pub fn only(path: &Path) -> Self {
        Self { libraries: vec![Library { path: path.to_owned(), rank: 0, stamp: read(path) }] }
    }

    /// The libraries, in the order of the search.
    pub fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// The runtimes, in the order of the search.
    pub fn runtimes(&self) -> Vec<Provided<'_>> {
        let mut found: Vec<Provided<'_>> = Vec::new();
        for library in &self.libraries {
            let Ok(stamp) = &library.stamp else { continue };
            for runtime in &stamp.runtimes {
                let shadowed = found
                    .iter()
                    .any(|other| other.runtime.name == runtime.name && other.library.rank < library.rank);
                found.push(Provided { runtime, library, shadowed });
            }
        }
        found
    }

    /// The one library that provides a runtime of exactly this name.
    ///
    /// # Errors
    /// [`PluginError::UnknownRuntime`], and [`PluginError::Duplicate`] where a folder has it twice.
    pub fn find(&self, name: &str) -> Result<Provided<'_>, PluginError> {
        let mut matching = self
            .runtimes()
            .into_iter()
            .filter(|provided| provided.runtime.name == name && !provided.shadowed);
        let Some(first) = matching.next() else { return Err(self.unknown(name)) };
        match matching.next() {
            None => Ok(first),
            Some(second) => Err(PluginError::Duplicate {
                name: name.to_owned(),
                first: first.library.path.clone(),
                second: second.library.path.clone(),
            }),
        }
    }

    fn unknown(&self, name: &str) -> PluginError {
        let mut available: Vec<String> =
            self.runtimes().into_iter().map(|provided| provided.runtime.name.clone()).collect();
        available.sort();
        available.dedup();
        let nearest = nearest(name, available.iter().map(String::as_str)).map(str::to_owned);
        let unusable = self.libraries.iter().filter(|library| library.stamp.is_err());
        let unusable = unusable.map(|library| library.path.clone()).collect();
        PluginError::UnknownRuntime { name: name.to_owned(), available, nearest, unusable }
    }
}

pub(crate) fn candidates(dir: &PluginDir) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(&dir.path) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(folder = %dir.path.display(), %error, "a plugin folder cannot be read");
            }
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .filter(|path| dir.dedicated || file_name(path).starts_with(OWN_PREFIX))
        .collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default()
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn read(path: &Path) -> Result<Stamp, PluginError> {
    let file =
        trust::check(path).map_err(|source| PluginError::Untrusted { path: path.to_owned(), source })?;
    let stamp =
        manifest::read(&file).map_err(|why| PluginError::NotAPlugin { path: path.to_owned(), why })?.stamp;
    manifest::check(&stamp).map_err(|why| PluginError::Incompatible { path: path.to_owned(), why })?;
    Ok(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::stamp::{ABI_VERSION, SDK_VERSION, STAMP_VERSION, TARGET};

    fn library(path: &str, rank: usize, names: &[&str]) -> Library {
        let runtimes = names
            .iter()
            .map(|name| RuntimeStamp {
                name: (*name).into(),
                capabilities: vec![],
                accepts: vec![],
                priority: 0,
            })
            .collect();
        let stamp = Stamp {
            stamp: STAMP_VERSION,
            abi: ABI_VERSION.into(),
            sdk: SDK_VERSION.into(),
            documents: wharf_sdk::document::VERSION,
            plugin: "p".into(),
            version: "1".into(),
            panic: "unwind".into(),
            target: TARGET.into(),
            rustc: String::new(),
            runtimes,
        };
        Library { path: path.into(), rank, stamp: Ok(stamp) }
    }

    #[test]
    fn a_name_twice_in_one_folder_names_both_files() {
        let catalog = Catalog { libraries: vec![library("/a", 0, &["x"]), library("/b", 0, &["x"])] };
        let error = catalog.find("x").unwrap_err().to_string();
        assert!(error.contains("/a") && error.contains("/b"), "{error}");
    }

    #[test]
    fn the_earlier_folder_wins_and_the_other_is_shown_as_shadowed() {
        let catalog = Catalog { libraries: vec![library("/a", 0, &["x"]), library("/b", 1, &["x", "y"])] };
        assert_eq!(catalog.find("x").unwrap().library.path, Path::new("/a"));
        let shadowed: Vec<bool> = catalog.runtimes().iter().map(|provided| provided.shadowed).collect();
        assert_eq!(shadowed, [false, true, false]);
    }

    #[test]
    fn an_unknown_name_is_told_what_there_is_and_what_is_like_it() {
        let catalog = Catalog { libraries: vec![library("/a", 0, &["docker", "podman"])] };
        let error = catalog.find("dokcer").unwrap_err().to_string();
        assert_eq!(
            error,
            "no plugin provides a runtime named 'dokcer'; there are: docker, podman; did you mean 'docker'?"
        );
    }
}
