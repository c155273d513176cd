//! [`Guard`]: the files that a workload must not get as a part of something else: homes, keys, the host's own files, and
//! folders that everybody uses. [`crate::places`] asks it about each name, [`crate::permission_profile`] about the names in
//! a profile.
use crate::{devices::DEVICES, environment::SEARCH_PATH, keys, trail::Trail};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    path::{Path, PathBuf},
};

/// Folders that everybody uses: a file in them has nothing to do with its neighbours.
const SHARED: &[&str] = &["/etc", "/home", "/root", "/run", "/tmp", "/var/lib", "/var/tmp", "/dev/shm"];

/// Folders without which no program runs.
const PROGRAMS: &[&str] = &["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/bin", "/lib", "/proc"];

/// The paths that are not given as a part of something else.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// The home in the workload's environment.
    pub(crate) home: Option<PathBuf>,
    /// The homes: that one, and the user's own ones.
    homes: Vec<PathBuf>,
    /// The host's own folders: records, secrets, logs, files of other workloads.
    host: Vec<PathBuf>,
    /// The places of keys: each as it is named, and where that name leads.
    keys: Vec<(PathBuf, PathBuf)>,
    /// The links through which the host's folders are reached.
    host_ways: Vec<PathBuf>,
    /// The keys and the host's folders, for [`Guard::lets`]: hundreds of paths are asked about.
    closed: BTreeSet<PathBuf>,
    /// The homes, and the links through which homes, keys and the host's folders are reached. A workload that could
    /// replace such a link could put something else there.
    around: BTreeSet<PathBuf>,
    /// The folders of `PATH`, and where links in the homes whose names begin with a dot lead (`.bashrc`): what lies in them
    /// is run by their user.
    programs: BTreeSet<PathBuf>,
}

impl Guard {
    /// The files that a workload with this environment must not get as a part of something else; `launcher` is the command
    /// that starts it, `host` are the host's own folders. The workload may have been given another `PATH` than the one by
    /// which its user runs programs; wharf itself is run, too.
    pub(crate) fn of_workload(env: &BTreeMap<String, String>, launcher: &[String], host: &[PathBuf]) -> Self {
        let searched = std::env::var_os(SEARCH_PATH).unwrap_or_default();
        let own = launcher.first().and_then(|program| Path::new(program).parent());
        let run = std::env::split_paths(&searched).chain(own.map(Path::to_owned));
        Self::new(env, &homes_of_user(), host).with_programs(run)
    }

    /// `users` are the user's own homes, `env` is the workload's environment.
    pub(crate) fn new(env: &BTreeMap<String, String>, users: &[PathBuf], host: &[PathBuf]) -> Self {
        let trail = Trail::new(Vec::new());
        let real = |path: &Path, ways: &mut Vec<PathBuf>| {
            let Some(led) = trail.lead_to_be(path) else { return path.to_owned() };
            ways.extend(led.links);
            led.path
        };
        let (mut ways, mut host_ways) = (Vec::new(), Vec::new());
        let told = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let named: Vec<&PathBuf> =
            told.iter().chain(users.iter().filter(|home| home.is_absolute())).collect();
        let homes: Vec<PathBuf> = named.iter().map(|home| real(home, &mut ways)).collect();
        let home = told.as_ref().map(|home| real(home, &mut ways));
        let mut all_homes: Vec<&Path> = homes.iter().chain(named).map(PathBuf::as_path).collect();
        // They are one and the same for most users.
        all_homes.sort();
        all_homes.dedup();
        let mut called: Vec<PathBuf> = all_homes.iter().flat_map(|home| keys::of(home)).collect();
        called.sort();
        called.dedup();
        let mut keys: Vec<(PathBuf, PathBuf)> =
            called.into_iter().map(|key| (key.clone(), real(&key, &mut ways))).collect();
        // A link that leads to known keys adds nothing.
        let links = all_homes.iter().flat_map(|home| keys::links_of(home));
        let links: Vec<_> = links.map(|link| (link.clone(), real(&link, &mut ways))).collect();
        if !links.is_empty() {
            let known: BTreeSet<PathBuf> = keys.iter().map(|(_, key)| key.clone()).collect();
            keys.extend(links.into_iter().filter(|(_, led)| !lies_in(&known, led)));
        }
        let host: Vec<PathBuf> = host.iter().map(|folder| real(folder, &mut host_ways)).collect();
        let elsewhere = keys.iter().filter(|(called, led)| called != led).map(|(called, _)| called);
        let closed = keys.iter().map(|(_, led)| led).chain(elsewhere).chain(&host).cloned().collect();
        let around = homes.iter().chain(&ways).chain(&host_ways).cloned().collect();
        let settings = all_homes.iter().flat_map(|home| keys::linked_settings(home));
        let settings = settings.map(|link| real(&link, &mut Vec::new()));
        // A link to a home says nothing of the files in it.
        let programs = settings.filter(|led| !homes.iter().any(|home| home.starts_with(led))).collect();
        let guard = Self { home, homes, host, keys, host_ways, closed, around, programs };
        guard.with_programs(std::env::split_paths(env.get("PATH").map_or("", String::as_str)))
    }

    /// Notes further folders whose files are run by their user, also those that do not exist yet.
    pub(crate) fn with_programs(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let trail = Trail::new(Vec::new());
        let folders = folders.into_iter().filter(|folder| folder.is_absolute());
        self.programs.extend(folders.map(|folder| trail.lead_to_be(&folder).map_or(folder, |led| led.path)));
        self
    }

    /// Whether a path without links may be given although nobody asked for it. It must hold no home, no folder that
    /// everybody uses, no keys and nothing of the host's, and must not lie in a folder of keys or of the host's.
    pub(crate) fn lets(&self, path: &Path) -> bool {
        path.parent().is_some()
            && SHARED.iter().all(|shared| !Path::new(shared).starts_with(path))
            && !has_within(&self.around, path)
            && !has_within(&self.closed, path)
            && !lies_in(&self.closed, path)
    }

    /// Whether a path without links is a place of keys or of the host's, or lies in one.
    pub(crate) fn is_closed(&self, path: &Path) -> bool {
        lies_in(&self.closed, path)
    }

    /// Whether a path without links holds homes, keys or files of the host's, or the place of some; and is no place of keys
    /// itself.
    pub(crate) fn is_around(&self, path: &Path) -> bool {
        !lies_in(&self.closed, path) && (has_within(&self.around, path) || has_within(&self.closed, path))
    }

    /// Whether a path without links, which may not be given as a whole, is a folder whose entries have to do with each other:
    /// a home, or a folder that holds keys or files of the host's; and neither a folder of keys nor one that everybody uses.
    pub(crate) fn may_be_split(&self, path: &Path) -> bool {
        let is_shared = || SHARED.iter().any(|shared| Path::new(shared).starts_with(path));
        path.parent().is_some()
            && !lies_in(&self.closed, path)
            && (self.homes.iter().any(|home| home == path) || !is_shared())
    }

    /// Whether a path without links holds what its user runs, or lies in a folder of such: a folder of `PATH`, settings of a
    /// shell that its user keeps elsewhere. Much else lies in a home.
    pub(crate) fn is_run(&self, path: &Path) -> bool {
        let holds_home = || self.homes.iter().any(|home| home.starts_with(path));
        lies_in(&self.programs, path) || has_within(&self.programs, path) && !holds_home()
    }

    /// The homes and the host's folders. The home of a system user may be a folder of programs; that one is left out, since
    /// nobody's files are in it.
    pub(crate) fn private(&self) -> impl Iterator<Item = &PathBuf> {
        let is_of_system = |home: &&PathBuf| {
            let programs = PROGRAMS.iter().chain(DEVICES);
            programs.into_iter().any(|program| Path::new(program).starts_with(home))
        };
        self.host.iter().chain(self.homes.iter().filter(move |home| !is_of_system(home)))
    }

    /// Adds a folder without its private parts: as a whole if it has none, else its other entries one by one.
    pub(crate) fn without_private(&self, path: &Path, given: &mut Vec<PathBuf>) {
        let Ok(real) = path.canonicalize() else { return };
        if self.private().any(|private| real.starts_with(private)) {
            return;
        }
        if !self.private().any(|private| private.starts_with(&real)) {
            given.push(path.to_owned());
            return;
        }
        // A folder that cannot be listed is not given at all.
        for entry in path.read_dir().into_iter().flatten().flatten() {
            self.without_private(&entry.path(), given);
        }
    }

    /// Whether a path without links holds a folder of the host's or a link to one, or lies in such a folder.
    pub(crate) fn is_hosts(&self, path: &Path) -> bool {
        self.host.iter().any(|folder| folder.starts_with(path) || path.starts_with(folder))
            || self.host_ways.iter().any(|way| way.starts_with(path))
    }

    /// Whether a path without links lies in a folder of the host's.
    pub(crate) fn lies_in_hosts(&self, path: &Path) -> bool {
        self.host.iter().any(|folder| path.starts_with(folder))
    }

    /// The keys that a name in a profile would open without naming them. `led` is where the name leads, `granted` are the
    /// paths that all names of the profile lead to.
    pub(crate) fn unnamed_keys(&self, name: &Path, led: &Path, granted: &[PathBuf]) -> Option<&Path> {
        let opened = |(called, key): &(PathBuf, PathBuf)| {
            if led.starts_with(key) {
                return !self.is_named(key, name);
            }
            let lies_in_it = called.starts_with(led) || key.starts_with(led);
            lies_in_it && called.symlink_metadata().is_ok() && !granted.contains(key)
        };
        self.keys.iter().find(|key| opened(key)).map(|(_, key)| key.as_path())
    }

    /// The place of keys that a name leads into without naming it.
    pub(crate) fn unnamed_around(&self, name: &Path, led: &Path) -> Option<&Path> {
        let mut around = self.keys.iter().filter(|(_, key)| led.starts_with(key));
        around.find(|(_, key)| !self.is_named(key, name)).map(|(_, key)| key.as_path())
    }

    /// Whether a name is one of those of a place of keys, or of something in it. If the name itself is a link, naming it is
    /// not naming the keys that it leads to.
    fn is_named(&self, key: &Path, name: &Path) -> bool {
        self.keys.iter().filter(|(_, other)| other == key).any(|(called, _)| name.starts_with(called))
    }
}

/// The homes of the user that this process runs as: the one in the system's records, and `HOME` of this process. The
/// workload may have been given another one.
fn homes_of_user() -> Vec<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    let recorded = user.ok().flatten().map(|user| user.dir);
    recorded.into_iter().chain(std::env::var_os("HOME").map(PathBuf::from)).collect()
}

/// Whether one of these paths is this one or lies below it. Paths are in the order of their components, so those below a
/// path follow it.
fn has_within(paths: &BTreeSet<PathBuf>, path: &Path) -> bool {
    let from = (Bound::Included(path), Bound::Unbounded);
    paths.range::<Path, _>(from).next().is_some_and(|next| next.starts_with(path))
}

/// Whether this path is one of these or lies below one.
fn lies_in(paths: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.ancestors().any(|ancestor| paths.contains(ancestor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn home_of(path: &Path) -> BTreeMap<String, String> {
        [("HOME".to_owned(), path.display().to_string())].into()
    }

    #[test]
    fn keys_homes_and_the_hosts_folders_are_not_given_as_part_of_something() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let home = folder.join("home");
        for name in ["home/.ssh", "home/.config/wharf", "home/project", "home/.local/bin", "state"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let state = [folder.join("state")];
        // Even if the workload is given another home, the user's own one is guarded.
        for env in [home_of(&home), home_of(Path::new("/nowhere")), BTreeMap::new()] {
            let guard = Guard::new(&env, std::slice::from_ref(&home), &state);
            assert!(guard.lets(&home.join("project")) && guard.lets(&home.join(".local/bin")));
            for closed in [".ssh", ".config", ".config/wharf"] {
                assert!(!guard.lets(&home.join(closed)), "{closed}");
            }
            assert!(!guard.lets(&home) && !guard.lets(&folder) && !guard.lets(&state[0]));
            assert!(!guard.lets(Path::new("/")));
            assert!(guard.is_hosts(&folder) && !guard.is_hosts(&home));
        }
        let guard = Guard::new(&home_of(&folder.join("state")), &[], &[]);
        assert!(guard.lets(&home) && !guard.lets(&folder));
    }

    #[test]
    fn a_way_to_keys_or_to_the_hosts_folders_is_guarded_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["home/share", "elsewhere/state", "elsewhere/keys"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let home = folder.join("home");
        symlink(folder.join("elsewhere/state"), home.join("share/wharf")).unwrap();
        symlink(folder.join("elsewhere/keys"), home.join(".ssh")).unwrap();
        let guard = Guard::new(&home_of(&home), &[], &[home.join("share/wharf")]);
        for closed in ["home/share", "elsewhere", "elsewhere/state", "elsewhere/keys"] {
            assert!(!guard.lets(&folder.join(closed)), "{closed}");
        }
        assert!(guard.is_hosts(&home.join("share")) && guard.is_hosts(&folder.join("elsewhere/state")));
        // The same for what does not exist yet: a workload could make it.
        let guard = Guard::new(&home_of(&home), &[], &[home.join("share/wharf/later")]);
        let later = folder.join("elsewhere/state/later");
        assert!(!guard.lets(&folder.join("elsewhere/state")) && guard.lies_in_hosts(&later.join("secrets")));
        assert!(!guard.lies_in_hosts(&folder.join("elsewhere/state")), "it holds it");
    }

    #[test]
    fn keys_are_opened_by_their_own_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".ssh", ".docker", "project"] {
            std::fs::create_dir(home.join(name)).unwrap();
        }
        symlink("../.ssh", home.join(".docker/link")).unwrap();
        let guard = Guard::new(&home_of(&home), &[], &[]);
        let (ssh, docker) = (home.join(".ssh"), home.join(".docker"));
        let keys = |name: &str, led: &Path, open: &[PathBuf]| {
            guard.unnamed_keys(&home.join(name), led, open).map(Path::to_owned)
        };
        assert_eq!(keys("project", &home.join("project"), &[]), None);
        assert_eq!(keys(".ssh/id", &ssh.join("id"), &[]), None);
        assert_eq!(keys("project/link", &ssh, &[]), Some(ssh.clone()));
        assert_eq!(keys(".docker/link", &ssh, &[]), Some(ssh.clone()));
        assert!(keys("", &home, &[]).is_some() && keys("", &home, &[home.clone(), ssh.clone()]).is_some());
        assert_eq!(keys("", &home, &[home.clone(), ssh, docker]), None);
    }

    /// The key itself lies elsewhere, such as in a folder of settings that is under version control.
    #[test]
    fn a_key_that_a_link_in_a_folder_of_keys_leads_to_is_guarded_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".ssh", ".config", "settings/keys", "settings/editor"] {
            std::fs::create_dir_all(home.join(name)).unwrap();
        }
        for name in ["settings/keys/id", "settings/editor/init"] {
            std::fs::File::create(home.join(name)).unwrap();
        }
        let (id, editor) = (home.join("settings/keys/id"), home.join("settings/editor"));
        symlink(&id, home.join(".ssh/id")).unwrap();
        symlink(&editor, home.join(".config/editor")).unwrap();
        let guard = Guard::new(&home_of(&home), &[], &[]);
        for closed in [&home.join("settings"), &home.join("settings/keys"), &id] {
            assert!(!guard.lets(closed), "{}", closed.display());
        }
        assert!(guard.lets(&editor), "it is no key");
        let keys = |name: &Path, led: &Path| guard.unnamed_keys(name, led, &[]).map(Path::to_owned);
        assert_eq!(keys(&home.join("settings"), &home.join("settings")), Some(id.clone()));
        assert_eq!(keys(&id, &id), Some(id.clone()), "it is not named as a key");
        assert_eq!(keys(&home.join(".ssh/id"), &id), None);
    }

    #[test]
    fn well_known_files_of_credentials_are_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let guard = Guard::new(&home_of(&home), &[], &[]);
        for name in [
            ".pgpass",
            ".vault-token",
            ".claude/.credentials.json",
            ".claude.json",
            ".codex/auth.json",
            ".gemini/oauth_creds.json",
            ".cursor/mcp.json",
            ".netrc",
            ".terraform.d/credentials.tfrc.json",
            ".snowflake/config.toml",
            ".databrickscfg",
            ".bash_history",
            ".m2/settings.xml",
            ".cache/huggingface/token",
            ".var/app/org.mozilla.firefox",
            ".local/share/keyrings/login.keyring",
            ".mcp-auth/mcp-remote/tokens.json",
            ".qwen/oauth_creds.json",
            ".pub-cache/credentials.json",
            ".tsh/keys",
            ".purple/accounts.xml",
            ".solana/id.json",
            ".ansible/galaxy_token",
        ] {
            assert!(!guard.lets(&home.join(name)), "{name}");
        }
        // A folder that holds keys is refused as a whole; folders in it without keys are not.
        assert!(!guard.lets(&home.join(".m2")) && guard.lets(&home.join(".m2/repository")));
        assert!(guard.lets(&home.join(".cache/uv")) && guard.lets(&home.join("project/.claude")));
    }

    #[test]
    fn wharf_itself_is_a_program_that_its_user_runs() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let launcher = [folder.join("wharf/wharf").display().to_string()];
        let guard = Guard::of_workload(&BTreeMap::new(), &launcher, &[]);
        assert!(guard.is_run(&folder.join("wharf")) && !guard.is_run(&folder.join("docs")));
    }

    #[test]
    fn a_folder_that_everybody_uses_is_not_given() {
        let guard = Guard::new(&BTreeMap::new(), &[], &[]);
        assert!(["/etc", "/tmp", "/var", "/home"].iter().all(|path| !guard.lets(Path::new(path))));
    }
}
