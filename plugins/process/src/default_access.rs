//! The files that every workload can use: these tables together with that of [`crate::devices`]. Everything else must have
//! been asked for.
//!
//! A path that does not exist is passed over. A rule is about the file that a name leads to, not about the name
//! ([`crate::places`]).
use crate::{devices::DEVICES, git_settings, places::Places};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Paths that every workload may read and execute.
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

/// Only these files of `/etc`, which programs need: others in that folder are keys and hashes of passwords, and a workload
/// of root could read them.
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
    ("gitconfig", "settings of Git, which does nothing where it cannot read them"),
    ("inputrc", "settings of line editors"),
    ("terminfo", "terminals"),
];

/// Folders below HOME in which version managers keep interpreters, and no settings or keys.
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
    ".goenv/versions",
    ".nodenv/versions",
    ".nvm/versions",
    ".pyenv",
    ".rbenv/versions",
    ".volta/bin",
    ".volta/tools",
];

/// Names beside a folder of programs that belong to the same installation.
const BESIDE_PROGRAMS: &[&str] = &["lib", "lib64", "libexec", "pyvenv.cfg"];
/// The same of an environment of conda, whose libraries look there for certificates and data.
const BESIDE_PROGRAMS_OF_CONDA: &[&str] = &["ssl", "share"];
/// A folder that each environment of conda has.
const MARK_OF_CONDA: &str = "conda-meta";
/// The folder of Homebrew on Linux, which its programs know by this name.
const HOMEBREW: &str = "/home/linuxbrew/.linuxbrew";
/// Variables that name files or folders of certificates.
const CERTIFICATES: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
];

/// Adds the places of the tables, for a workload with this environment.
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
    places.derived(PathBuf::from(HOMEBREW));
    git_settings::add(places);
    let search_path = env.get("PATH").map_or("", String::as_str);
    for folder in std::env::split_paths(search_path).filter(|folder| folder.is_absolute()) {
        installation(&folder, places);
    }
}

/// Adds a folder of programs with its neighbours. A workload that can write there can make links in it, and is deployed
/// again at its next restart; so a neighbour that leads out of the installation is not added.
pub(crate) fn installation(folder: &Path, places: &mut Places<'_>) {
    places.derived(folder.to_owned());
    if !places.trail.lead(folder).is_some_and(|led| places.guard.lets(&led.path)) {
        return;
    }
    if folder.file_name().is_some_and(|name| name == "bin")
        && let Some(prefix) = folder.parent()
        && let Some(real) = places.trail.lead(prefix)
    {
        let of_conda = if prefix.join(MARK_OF_CONDA).is_dir() { BESIDE_PROGRAMS_OF_CONDA } else { &[] };
        for name in BESIDE_PROGRAMS.iter().chain(of_conda) {
            let part = prefix.join(name);
            if places.trail.lead(&part).is_some_and(|led| led.path.starts_with(&real.path)) {
                places.derived(part);
            }
        }
    }
}

/// Whether a path without links lies in one of the system's folders of the table.
pub(crate) fn is_of_system(path: &Path) -> bool {
    SYSTEM.iter().any(|(system, _)| path.starts_with(system))
}

/// Whether a folder holds the programs of a Python environment, rather than documents of a user.
pub(crate) fn is_environment(folder: &Path) -> bool {
    let marker = folder.parent().map(|prefix| prefix.join("pyvenv.cfg"));
    folder.file_name().is_some_and(|name| name == "bin") && marker.is_some_and(|marker| marker.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::Guard, trail::Trail};
    use std::os::unix::fs::symlink;

    /// The names that are opened for reading.
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
    fn a_home_below_a_system_folder_is_not_opened_with_it() {
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
        // The home is a link: paths are compared with the folder that it leads to.
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
        let bundles: Vec<PathBuf> = ["requests.pem", "npm.pem"].map(|name| home.join(name)).into();
        for (name, bundle) in ["REQUESTS_CA_BUNDLE", "npm_config_cafile"].into_iter().zip(&bundles) {
            std::fs::File::create(bundle).unwrap();
            env.insert(name.to_owned(), bundle.display().to_string());
        }
        let read = opened(&Guard::new(&env, &[], &[]), |places| of_everybody(&env, places));
        assert!(bundles.iter().all(|bundle| read.contains(bundle)), "{read:?}");
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
    fn an_environment_of_conda_brings_its_certificates_and_another_folder_with_that_name_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["conda/bin", "conda/ssl", "conda/conda-meta", "plain/bin", "plain/ssl"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let guard = Guard::new(&BTreeMap::new(), &[], &[]);
        let given =
            |name: &str| opened(&guard, |places| installation(&folder.path().join(name).join("bin"), places));
        assert_eq!(given("conda"), ["bin", "ssl"].map(|name| folder.path().join("conda").join(name)));
        assert_eq!(given("plain"), [folder.path().join("plain/bin")]);
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
}
