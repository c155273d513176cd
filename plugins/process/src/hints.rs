//! Warnings about files that well-known programs look for and will not find in their sandbox. Called when a workload is
//! created, by `pin` or `validate`; it opens nothing and refuses nothing.
use std::path::{Path, PathBuf};
use wharf_sdk::launch::Job;

/// Programs that look for packages in the folders above a script.
const LOOKS_ABOVE: [&str; 4] = ["node", "nodejs", "bun", "deno"];

/// A warning about the files that the program of a confined workload will not find, with a remedy. None if nothing is known
/// about the program.
pub(crate) fn of(job: &Job) -> Option<String> {
    let sandbox = job.sandbox.as_ref()?;
    let is_open =
        |path: &Path| sandbox.read.iter().chain(&sandbox.write).any(|place| path.starts_with(&place.path));
    let name = job.program.file_name()?.to_str()?;
    if name == "uv" && job.args.iter().any(|argument| argument == "run") {
        let cache = cache_of_uv(job)?;
        return (!is_open(&cache)).then(|| {
            format!(
                "'uv run' needs its cache, '{}', which is not open to the workload: name that folder in a \
                 --permission-profile, or run a package with uvx://",
                cache.display()
            )
        });
    }
    if !LOOKS_ABOVE.contains(&name) {
        return None;
    }
    let script = job.args.iter().find(|argument| !argument.starts_with('-'))?;
    let script = job.current_dir.join(script).canonicalize().ok()?;
    let folders = script.ancestors().skip(1).map(|folder| folder.join("node_modules"));
    let there: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
    let nearest = there.first()?;
    (!there.iter().any(|folder| is_open(folder))).then(|| {
        format!(
            "'{name}' looks for packages in '{}', which is not open to the workload: run it from the folder that holds \
             that, or name it in a --permission-profile",
            nearest.display()
        )
    })
}

fn cache_of_uv(job: &Job) -> Option<PathBuf> {
    let told = |name: &str| job.env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = told("UV_CACHE_DIR").or_else(|| told("XDG_CACHE_HOME").map(|cache| cache.join("uv")));
    let cache = cache.or_else(|| told("HOME").map(|home| home.join(".cache/uv")))?;
    Some(cache.canonicalize().unwrap_or(cache))
}
