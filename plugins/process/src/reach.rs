//! What every workload can reach: these tables, and nothing else that was not asked for.
//!
//! A path that does not exist is passed over. Links are followed when a workload is started: what counts is the file
//! that is meant, not its name.
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

/// What the tables say for a workload with this environment: to be read, and to be written.
pub(crate) fn of_everybody(env: &BTreeMap<String, String>, guard: &Guard) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut read = Vec::new();
    for (path, _) in SYSTEM {
        guard.without_private(Path::new(path), &mut read);
    }
    read.extend(ETC.iter().map(|(name, _)| Path::new("/etc").join(name)));
    let certificates = CERTIFICATES.iter().filter_map(|name| env.get(*name)).map(PathBuf::from);
    read.extend(certificates.filter(|path| guard.lets(path)));
    if let Some(home) = &guard.home {
        let interpreters = INTERPRETERS.iter().map(|name| home.join(name));
        read.extend(interpreters.filter(|path| guard.lets(path)));
    }
    let search_path = env.get("PATH").map_or("", String::as_str);
    for folder in std::env::split_paths(search_path).filter(|folder| folder.is_absolute()) {
        read.extend(installation(&folder, guard));
    }
    (read, DEVICES.iter().map(PathBuf::from).collect())
}

/// A program with what it needs beside it: its folder where that may be given, else the file alone.
pub(crate) fn of_program(program: &Path, guard: &Guard) -> Vec<PathBuf> {
    // What cannot be read cannot be executed, wherever it lies.
    let mut read = beside(program, guard);
    read.push(program.to_owned());
    read
}

/// A file that an argument names, with what it needs beside it, as far as they may be given.
pub(crate) fn of_named(file: &Path, guard: &Guard) -> Vec<PathBuf> {
    let mut read = beside(file, guard);
    read.extend(guard.lets(file).then(|| file.to_owned()));
    read
}

/// A link's own place, and the place of what it means.
fn beside(file: &Path, guard: &Guard) -> Vec<PathBuf> {
    let means = file.canonicalize().ok();
    let places = [Some(file), means.as_deref()].into_iter().flatten().filter_map(Path::parent);
    places.flat_map(|folder| installation(folder, guard)).collect()
}

/// A workload that can write here can make links, and is deployed again when it is restarted: what leads out of the
/// installation is no part of it.
fn installation(folder: &Path, guard: &Guard) -> Vec<PathBuf> {
    if !guard.lets(folder) {
        return Vec::new();
    }
    let mut parts = vec![folder.to_owned()];
    if folder.file_name().is_some_and(|name| name == "bin")
        && let Some(prefix) = folder.parent()
        && let Ok(real) = prefix.canonicalize()
    {
        let lies_within = |part: &PathBuf| part.canonicalize().is_ok_and(|part| part.starts_with(&real));
        let beside = BESIDE_PROGRAMS.iter().map(|name| prefix.join(name));
        parts.extend(beside.filter(|part| lies_within(part) && guard.lets(part)));
    }
    parts
}

/// What is not given as part of something else.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// The user's home.
    pub(crate) home: Option<PathBuf>,
    /// The host's own folders: records, secrets, logs, other workloads' files.
    pub(crate) host: Vec<PathBuf>,
}

impl Guard {
    pub(crate) fn new(env: &BTreeMap<String, String>, host: &[PathBuf]) -> Self {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let home = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self { home: home.as_ref().map(real), host: host.iter().map(real).collect() }
    }

    /// Whether a file or folder may be given though nobody asked for it: it holds neither the home nor a folder that
    /// everybody uses, neither keys nor anything of the host's, and lies in none of the last two.
    pub(crate) fn lets(&self, path: &Path) -> bool {
        let Ok(folder) = path.canonicalize() else { return false };
        let keys = self.home.iter().flat_map(|home| KEYS.iter().map(|name| home.join(name)));
        let closed: Vec<PathBuf> = self.host.iter().cloned().chain(keys).collect();
        folder.parent().is_some()
            && SHARED.iter().all(|shared| !Path::new(shared).starts_with(&folder))
            && self.home.as_ref().is_none_or(|home| !home.starts_with(&folder))
            && closed.iter().all(|closed| !closed.starts_with(&folder) && !folder.starts_with(closed))
    }

    /// The home and the host's folders. The home of a system's user may be a folder of programs; it is no place of
    /// anybody's files.
    pub(crate) fn private(&self) -> impl Iterator<Item = &PathBuf> {
        let is_of_system =
            |home: &&PathBuf| PROGRAMS.iter().any(|program| Path::new(program).starts_with(home));
        self.host.iter().chain(self.home.iter().filter(move |home| !is_of_system(home)))
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

    /// The folder of the host's that a path holds or lies in, if there is one.
    pub(crate) fn of_host(&self, path: &Path) -> Option<&Path> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let touches = |folder: &&PathBuf| folder.starts_with(&path) || path.starts_with(folder);
        self.host.iter().find(touches).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_homes_and_the_hosts_folders_are_not_given_as_part_of_something() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap().join("home");
        for name in ["home/.ssh", "home/.config/wharf", "home/project", "home/.local/bin", "state"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let env = [("HOME".to_owned(), home.display().to_string())].into();
        let guard = Guard::new(&env, &[folder.path().join("state")]);
        assert!(guard.lets(&home.join("project")) && guard.lets(&home.join(".local/bin")));
        for closed in ["", ".ssh", ".config", ".config/wharf", "../state", "..", "../missing"] {
            assert!(!guard.lets(&home.join(closed)), "{closed}");
        }
        assert!(!guard.lets(Path::new("/")));
        assert!(guard.of_host(folder.path()).is_some() && guard.of_host(&home).is_none());
    }

    #[test]
    fn a_home_below_a_folder_of_the_systems_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().canonicalize().unwrap();
        for name in ["bin", "local/home/.ssh", "local/lib", "state"] {
            std::fs::create_dir_all(system.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("local/home", system.join("link")).unwrap();
        let env = [("HOME".to_owned(), system.join("link").display().to_string())].into();
        let guard = Guard::new(&env, &[system.join("state")]);
        let given = |name: &str| {
            let mut given = Vec::new();
            guard.without_private(&system.join(name), &mut given);
            given.sort();
            given
        };
        assert_eq!(given(""), ["bin", "local/lib"].map(|name| system.join(name)));
        assert_eq!(given("bin"), [system.join("bin")]);
        assert!(given("state").is_empty() && given("local/home/.ssh").is_empty() && given("none").is_empty());
        let guard = Guard::new(&[("HOME".to_owned(), "/usr/sbin".to_owned())].into(), &[]);
        assert!(of_everybody(&BTreeMap::new(), &guard).0.contains(&PathBuf::from("/usr")));
    }

    #[test]
    fn certificates_and_interpreters_are_not_given_where_keys_are() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".ssh", ".pyenv", ".nvm"] {
            std::fs::create_dir(home.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(home.join(".ssh"), home.join(".nvm/versions")).unwrap();
        let name = |path: &Path| path.display().to_string();
        let env = [("HOME", name(&home)), ("SSL_CERT_DIR", name(&home.join(".ssh")))];
        let env = env.map(|(name, value)| (name.to_owned(), value)).into();
        let (read, _) = of_everybody(&env, &Guard::new(&env, &[]));
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
        let guard = Guard::new(&BTreeMap::new(), &[]);
        let given = installation(&bin, &guard);
        assert!(given.contains(&bin) && given.contains(&folder.path().join("node/lib")));
        assert!(!given.contains(&folder.path().join("node")));
    }

    #[test]
    fn a_link_out_of_an_installation_is_no_part_of_it() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("venv");
        for name in ["venv/bin", "venv/lib", "elsewhere"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        symlink("lib", prefix.join("lib64")).unwrap();
        symlink("/", prefix.join("pyvenv.cfg")).unwrap();
        symlink(folder.path().join("elsewhere"), prefix.join("libexec")).unwrap();
        let given = installation(&prefix.join("bin"), &Guard::new(&BTreeMap::new(), &[]));
        assert_eq!(given, ["bin", "lib", "lib64"].map(|name| prefix.join(name)));
    }

    #[test]
    fn a_file_in_a_folder_that_everybody_uses_is_given_alone() {
        let guard = Guard::new(&BTreeMap::new(), &[]);
        assert_eq!(of_named(Path::new("/etc/passwd"), &guard), [Path::new("/etc/passwd")]);
        let script = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        assert_eq!(of_named(script.path(), &guard), [script.path()]);
        assert!(!guard.lets(Path::new("/var")));
    }

    #[test]
    fn a_key_is_not_given_because_an_argument_names_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        let key = home.path().join(".ssh/id");
        std::fs::File::create(&key).unwrap();
        let guard = Guard::new(&[("HOME".to_owned(), home.path().display().to_string())].into(), &[]);
        assert!(of_named(&key, &guard).is_empty());
    }
}
