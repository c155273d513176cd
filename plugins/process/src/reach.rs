//! What every workload can reach: these tables, and nothing else that was not asked for.
//!
//! A path that does not exist is passed over. What counts is the file that is meant, not its name ([`crate::places`]).
use crate::{places::Places, trail::Trail};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What everybody may read and execute.
const SYSTEM: &[(&str, &str)] = &[
    ("/usr", "programs, libraries, time zones, certificates"),
    ("/bin", "the same, where it is no link into /usr"),
    ("/sbin", "the same"),
    ("/lib", "the same"),
    ("/lib32", "the same"),
    ("/lib64", "the same"),
    ("/opt", "programs from elsewhere"),
    ("/nix/store", "programs of Nix"),
    ("/gnu/store", "programs of Guix"),
    ("/proc", "processes ask about themselves; others' memory, files and environments are closed to them"),
    ("/sys/devices/system", "the number of processors and what they are"),
    ("/sys/fs/cgroup", "runtimes of languages read their limits"),
    ("/sys/kernel/mm/transparent_hugepage", "allocators ask"),
    ("/run/systemd/resolve", "where /etc/resolv.conf leads"),
    ("/run/resolvconf", "the same"),
    ("/run/NetworkManager/resolv.conf", "the same"),
];

/// Of `/etc` only what programs need: there are keys and hashes of passwords beside it, and root could read them.
const ETC: &[(&str, &str)] = &[
    ("alternatives", "which of several programs"),
    ("ca-certificates", "whom TLS trusts"),
    ("ssl/certs", "the same"),
    ("ssl/cert.pem", "the same"),
    ("ssl/openssl.cnf", "how OpenSSL works"),
    ("pki/tls/certs", "the same on Fedora"),
    ("pki/ca-trust", "the same"),
    ("crypto-policies", "the same"),
    ("resolv.conf", "names of hosts are resolved"),
    ("hosts", "the same"),
    ("host.conf", "the same"),
    ("nsswitch.conf", "the same"),
    ("gai.conf", "the same"),
    ("services", "names of ports"),
    ("protocols", "names of protocols"),
    ("hostname", "the machine's name"),
    ("passwd", "names of users; it holds no passwords"),
    ("group", "names of groups"),
    ("ld.so.cache", "libraries are found"),
    ("ld.so.conf", "the same"),
    ("ld.so.conf.d", "the same"),
    ("ld.so.preload", "the same"),
    ("localtime", "the time zone"),
    ("timezone", "the same"),
    ("locale.alias", "languages"),
    ("locale.conf", "the same"),
    ("os-release", "which system it is"),
    ("debian_version", "the same"),
    ("mime.types", "kinds of files"),
    ("fonts", "fonts"),
    ("python3", "settings of Python"),
    ("inputrc", "settings of line editors"),
    ("terminfo", "terminals"),
];

/// Devices that may be read and written.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Below HOME: where managers of versions keep interpreters, without settings or keys among them.
const INTERPRETERS: &[&str] = &[
    ".local/bin",
    ".local/lib",
    ".local/share/uv/python",
    ".local/share/uv/tools",
    ".local/share/mise/installs",
    ".local/share/mise/shims",
    ".local/share/fnm",
    ".asdf/installs",
    ".asdf/shims",
    ".bun/bin",
    ".deno/bin",
    ".fnm",
    ".nvm/versions",
    ".pyenv",
    ".volta/bin",
    ".volta/tools",
];

/// Below HOME: where keys, tokens and conversations are. Never given as part of something else.
const KEYS: &[&str] = &[
    ".aws",
    ".azure",
    ".cargo",
    ".config",
    ".docker",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".mozilla",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pki",
    ".pypirc",
    ".ssh",
    ".thunderbird",
    ".git-credentials",
];

/// Folders that everybody uses: of what lies in them, nothing belongs to its neighbours.
const SHARED: &[&str] = &["/etc", "/home", "/root", "/run", "/tmp", "/var/lib", "/var/tmp", "/dev/shm"];

/// Without them nothing runs.
const PROGRAMS: &[&str] = &["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/bin", "/lib", "/proc"];
/// What lies beside a folder of programs and belongs to the same installation.
const BESIDE_PROGRAMS: &[&str] = &["lib", "lib64", "libexec", "pyvenv.cfg"];
/// Variables that name files or folders of certificates.
const CERTIFICATES: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"];

/// What the tables say for a workload with this environment.
pub(crate) fn of_everybody(env: &BTreeMap<String, String>, places: &mut Places<'_>) {
    let guard = places.guard;
    let mut system = Vec::new();
    for (path, _) in SYSTEM {
        guard.without_private(Path::new(path), &mut system);
    }
    system.extend(ETC.iter().map(|(name, _)| Path::new("/etc").join(name)));
    system.into_iter().for_each(|path| places.system(path, false));
    DEVICES.iter().for_each(|path| places.system(PathBuf::from(path), true));
    let certificates = CERTIFICATES.iter().filter_map(|name| env.get(*name));
    certificates.for_each(|path| places.derived(PathBuf::from(path)));
    if let Some(home) = &guard.home {
        INTERPRETERS.iter().for_each(|name| places.derived(home.join(name)));
    }
    let search_path = env.get("PATH").map_or("", String::as_str);
    for folder in std::env::split_paths(search_path).filter(|folder| folder.is_absolute()) {
        installation(&folder, places);
    }
}

/// A folder of programs with what lies beside it. A workload that can write here can make links, and is deployed again
/// when it is restarted: what leads out of the installation is no part of it.
pub(crate) fn installation(folder: &Path, places: &mut Places<'_>) {
    places.derived(folder.to_owned());
    if !places.trail.lead(folder).is_some_and(|led| places.guard.lets(&led.path)) {
        return;
    }
    if folder.file_name().is_some_and(|name| name == "bin")
        && let Some(prefix) = folder.parent()
        && let Some(real) = places.trail.lead(prefix)
    {
        for name in BESIDE_PROGRAMS {
            let part = prefix.join(name);
            if places.trail.lead(&part).is_some_and(|led| led.path.starts_with(&real.path)) {
                places.derived(part);
            }
        }
    }
}

/// Whether a folder holds the programs of a Python environment: it then is nobody's folder of documents.
pub(crate) fn is_environment(folder: &Path) -> bool {
    let marker = folder.parent().map(|prefix| prefix.join("pyvenv.cfg"));
    folder.file_name().is_some_and(|name| name == "bin") && marker.is_some_and(|marker| marker.is_file())
}

/// What is not given as part of something else.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// The home that the workload is told.
    pub(crate) home: Option<PathBuf>,
    /// That one and the user's own, whatever the workload is told.
    homes: Vec<PathBuf>,
    /// The host's own folders: records, secrets, logs, other workloads' files.
    host: Vec<PathBuf>,
    /// Where keys are: as they are called, and where that leads.
    keys: Vec<(PathBuf, PathBuf)>,
    /// The links through which homes and keys are reached: who could exchange them could put something else there.
    ways: Vec<PathBuf>,
    /// The same for the host's folders.
    host_ways: Vec<PathBuf>,
}

impl Guard {
    /// `users`: the user's own homes; `env`: the workload's environment.
    pub(crate) fn new(env: &BTreeMap<String, String>, users: &[PathBuf], host: &[PathBuf]) -> Self {
        let trail = Trail::new(Vec::new());
        let real = |path: &Path, ways: &mut Vec<PathBuf>| match trail.lead(path) {
            Some(led) => {
                ways.extend(led.links);
                led.path
            }
            None => path.to_owned(),
        };
        let (mut ways, mut host_ways) = (Vec::new(), Vec::new());
        let told = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let named: Vec<&PathBuf> =
            told.iter().chain(users.iter().filter(|home| home.is_absolute())).collect();
        let homes: Vec<PathBuf> = named.iter().map(|home| real(home, &mut ways)).collect();
        let home = told.as_ref().map(|home| real(home, &mut ways));
        let mut called: Vec<PathBuf> =
            homes.iter().chain(named).flat_map(|home| KEYS.iter().map(|name| home.join(name))).collect();
        called.sort();
        called.dedup();
        let keys = called.into_iter().map(|key| (key.clone(), real(&key, &mut ways))).collect();
        let host = host.iter().map(|folder| real(folder, &mut host_ways)).collect();
        Self { home, homes, host, keys, ways, host_ways }
    }

    /// Whether a file or folder, named without a link, may be given though nobody asked for it: it holds neither a home
    /// nor a folder that everybody uses, neither keys nor anything of the host's, and lies in none of the last two.
    pub(crate) fn lets(&self, path: &Path) -> bool {
        let keys = self.keys.iter().flat_map(|(called, led)| [called, led]);
        let mut closed = self.host.iter().chain(keys);
        let mut inside = self.homes.iter().chain(&self.ways).chain(&self.host_ways);
        path.parent().is_some()
            && SHARED.iter().all(|shared| !Path::new(shared).starts_with(path))
            && inside.all(|inside| !inside.starts_with(path))
            && closed.all(|closed| !closed.starts_with(path) && !path.starts_with(closed))
    }

    /// The homes and the host's folders. The home of a system's user may be a folder of programs; it is no place of
    /// anybody's files.
    pub(crate) fn private(&self) -> impl Iterator<Item = &PathBuf> {
        let is_of_system = |home: &&PathBuf| {
            let programs = PROGRAMS.iter().chain(DEVICES);
            programs.into_iter().any(|program| Path::new(program).starts_with(home))
        };
        self.host.iter().chain(self.homes.iter().filter(move |home| !is_of_system(home)))
    }

    /// A folder without these: as a whole, or, where it holds one of these, what else lies in
    /// it, one by one.
    fn without_private(&self, path: &Path, given: &mut Vec<PathBuf>) {
        let Ok(real) = path.canonicalize() else { return };
        if self.private().any(|private| real.starts_with(private)) {
            return;
        }
        if !self.private().any(|private| private.starts_with(&real)) {
            given.push(path.to_owned());
            return;
        }
        // One that cannot be listed is not given at all.
        for entry in path.read_dir().into_iter().flatten().flatten() {
            self.without_private(&entry.path(), given);
        }
    }

    /// Whether what is named without a link holds a folder of the host's or a way to one, or lies in one.
    pub(crate) fn is_hosts(&self, path: &Path) -> bool {
        self.host.iter().any(|folder| folder.starts_with(path) || path.starts_with(folder))
            || self.host_ways.iter().any(|way| way.starts_with(path))
    }

    /// The keys that a name of a profile would open without naming them: `led` is what it means, `granted` what all of
    /// them mean.
    pub(crate) fn unnamed_keys(&self, name: &Path, led: &Path, granted: &[PathBuf]) -> Option<&Path> {
        let opened = |(called, key): &(PathBuf, PathBuf)| {
            if led.starts_with(key) {
                // A link is no name of what it leads to.
                let mut names = self.keys.iter().filter(|(_, other)| other == key);
                return !names.any(|(called, _)| name.starts_with(called));
            }
            let lies_in_it = called.starts_with(led) || key.starts_with(led);
            lies_in_it && called.symlink_metadata().is_ok() && !granted.contains(key)
        };
        self.keys.iter().find(|key| opened(key)).map(|(_, key)| key.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// What is opened to be read, as it is called.
    fn opened(guard: &Guard, add: impl FnOnce(&mut Places<'_>)) -> Vec<PathBuf> {
        let trail = Trail::new(Vec::new());
        let mut places = Places::new(&trail, guard, "demo", None);
        add(&mut places);
        places.settle().unwrap().0.into_iter().map(|place| place.name).collect()
    }

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
        // Whatever the workload is told of its home, the user's own is guarded.
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

    #[test]
    fn a_home_below_a_folder_of_the_systems_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().canonicalize().unwrap();
        for name in ["bin", "local/home/.ssh", "local/lib", "state"] {
            std::fs::create_dir_all(system.join(name)).unwrap();
        }
        symlink("local/home", system.join("link")).unwrap();
        let guard = Guard::new(&home_of(&system.join("link")), &[], &[system.join("state")]);
        let given = |name: &str| {
            let mut given = Vec::new();
            guard.without_private(&system.join(name), &mut given);
            given.sort();
            given
        };
        // A link is no home: what it leads to is one.
        assert_eq!(given(""), ["bin", "local/lib"].map(|name| system.join(name)));
        assert_eq!(given("bin"), [system.join("bin")]);
        assert!(given("state").is_empty() && given("local/home/.ssh").is_empty() && given("none").is_empty());
        let guard = Guard::new(&home_of(Path::new("/usr/sbin")), &[], &[]);
        let given = opened(&guard, |places| of_everybody(&BTreeMap::new(), places));
        assert!(given.contains(&PathBuf::from("/usr")));
    }

    #[test]
    fn certificates_and_interpreters_are_not_given_where_keys_are() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".ssh", ".pyenv", ".nvm"] {
            std::fs::create_dir(home.join(name)).unwrap();
        }
        symlink(home.join(".ssh"), home.join(".nvm/versions")).unwrap();
        let mut env = home_of(&home);
        env.insert("SSL_CERT_DIR".to_owned(), home.join(".ssh").display().to_string());
        let read = opened(&Guard::new(&env, &[], &[]), |places| of_everybody(&env, places));
        assert!(read.contains(&home.join(".pyenv")));
        assert!(!read.contains(&home.join(".ssh")) && !read.contains(&home.join(".nvm/versions")));
    }

    #[test]
    fn an_installation_is_a_folder_of_programs_with_its_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("node/bin");
        for name in ["bin", "lib"] {
            std::fs::create_dir_all(folder.path().join("node").join(name)).unwrap();
        }
        let guard = Guard::new(&BTreeMap::new(), &[], &[]);
        let given = opened(&guard, |places| installation(&bin, places));
        assert!(given.contains(&bin) && given.contains(&folder.path().join("node/lib")));
        assert!(!given.contains(&folder.path().join("node")));
    }

    #[test]
    fn a_link_out_of_an_installation_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("venv");
        for name in ["venv/bin", "venv/lib", "elsewhere"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        symlink("lib", prefix.join("lib64")).unwrap();
        symlink("/", prefix.join("pyvenv.cfg")).unwrap();
        symlink(folder.path().join("elsewhere"), prefix.join("libexec")).unwrap();
        let guard = Guard::new(&BTreeMap::new(), &[], &[]);
        let given = opened(&guard, |places| installation(&prefix.join("bin"), places));
        assert_eq!(given, ["bin", "lib", "lib64"].map(|name| prefix.join(name)));
    }

    #[test]
    fn a_folder_that_everybody_uses_is_not_given() {
        let guard = Guard::new(&BTreeMap::new(), &[], &[]);
        assert!(["/etc", "/tmp", "/var", "/home"].iter().all(|path| !guard.lets(Path::new(path))));
    }
}
