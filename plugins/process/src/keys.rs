//! The places below a HOME where keys, tokens, passwords and conversations are kept. [`crate::guard`] asks for them, and
//! gives none of them to a workload as a part of something else. An entry names a folder if nothing else of use lies in it,
//! and otherwise a file.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Shells, version control and the session.
const SESSION: &[&str] = &[
    ".ICEauthority",
    ".Xauthority",
    ".bash_history",
    ".git-credentials",
    ".gnupg",
    ".kde/share/apps/kwallet",
    ".lesshst",
    ".local/share/atuin",
    ".local/share/fish",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".local/share/mc",
    ".mysql_history",
    ".node_repl_history",
    ".password-store",
    ".pki",
    ".psql_history",
    ".python_history",
    ".rediscli_history",
    ".sqlite_history",
    ".ssh",
    ".subversion",
    ".viminfo",
    ".zsh_history",
    ".zsh_sessions",
];

/// Registries and build tools.
const REGISTRIES: &[&str] = &[
    ".bundle",
    ".bunfig.toml",
    ".cargo",
    ".composer/auth.json",
    ".gem/credentials",
    ".gradle/gradle.properties",
    ".m2/settings-security.xml",
    ".m2/settings.xml",
    ".netrc",
    ".npmrc",
    ".nuget/NuGet",
    ".pypirc",
    ".yarnrc",
    ".yarnrc.yml",
];

/// Clouds, clusters, databases and file servers.
const SERVICES: &[&str] = &[
    ".authinfo",
    ".authinfo.gpg",
    ".aws",
    ".azure",
    ".bluemix",
    ".boto",
    ".databricks",
    ".databrickscfg",
    ".dbt",
    ".docker",
    ".fly",
    ".kaggle",
    ".kube",
    ".minikube",
    ".my.cnf",
    ".mylogin.cnf",
    ".oci",
    ".passwd-s3fs",
    ".pgpass",
    ".pulumi",
    ".rclone.conf",
    ".s3cfg",
    ".smbcredentials",
    ".snowflake",
    ".snowsql",
    ".terraform.d",
    ".terraformrc",
    ".vault-token",
    ".vnc",
];

/// Agents and models.
const AGENTS: &[&str] = &[
    ".aider.conf.yml",
    ".cache/huggingface/stored_tokens",
    ".cache/huggingface/token",
    ".claude",
    ".claude.json",
    ".codeium",
    ".codex",
    ".continue",
    ".copilot",
    ".cursor",
    ".gemini",
    ".huggingface",
    ".jupyter",
    ".local/share/opencode",
    ".ollama",
];

/// Browsers, mail, password managers and wallets. `.config` has the keys of many more programs, so it is an entry as a
/// whole.
const PROGRAMS: &[&str] = &[
    ".1password",
    ".age",
    ".bitcoin",
    ".config",
    ".electrum",
    ".ethereum",
    ".fetchmailrc",
    ".irssi",
    ".librewolf",
    ".minisign",
    ".mozilla",
    ".msmtprc",
    ".thunderbird",
    ".var/app",
    ".weechat",
    "snap",
];

/// Entries of `.config` that may be links to a folder with other settings, too. Their targets are guarded as well.
const IN_CONFIG: &[&str] = &[
    ".config/Bitwarden CLI",
    ".config/Code",
    ".config/Cursor",
    ".config/age",
    ".config/chromium",
    ".config/containers/auth.json",
    ".config/doctl",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/glab-cli",
    ".config/google-chrome",
    ".config/hub",
    ".config/op",
    ".config/rclone",
    ".config/sops",
    ".config/stripe",
];

/// Folders that hold only keys. The targets of links in them are guarded, too.
const OF_KEYS_ALONE: &[&str] = &[
    ".aws",
    ".azure",
    ".docker",
    ".gnupg",
    ".kube",
    ".password-store",
    ".ssh",
    ".age",
    ".local/share/keyrings",
];
/// The number of entries of such a folder that are looked at; nobody has so many keys.
const ENTRIES_MAX: usize = 4096;

/// All these paths below a home, whether they exist or not.
pub(crate) fn of(home: &Path) -> impl Iterator<Item = PathBuf> {
    let lists = [SESSION, REGISTRIES, SERVICES, AGENTS, PROGRAMS, IN_CONFIG];
    lists.into_iter().flatten().map(|name| home.join(name))
}

/// The links in a home's folders of keys: for instance, a key that its owner keeps elsewhere.
pub(crate) fn links_of(home: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = OF_KEYS_ALONE.iter().filter_map(|name| fs::read_dir(home.join(name)).ok());
    let entries = entries.flat_map(|entries| entries.take(ENTRIES_MAX).flatten());
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.map(|link| link.path())
}
