//! Where keys, tokens, passwords and conversations are kept below a HOME. Asked by [`crate::guard`], which gives none of them
//! to a workload as part of something else. Whatever can be named here is named by its folder, where nothing else of use
//! lies in it, else by its file.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Of shells, version control and the session.
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

/// Of registries and build tools.
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

/// Of clouds, clusters, databases and file servers.
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

/// Of agents and models.
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

/// Of browsers, mail, password managers and wallets. `.config` holds those of many more, and is one of them as a whole.
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

/// What in `.config` may be a link to a folder where other settings lie too: where these lead is guarded, beside what they
/// are called.
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

/// Folders that hold keys and nothing else: of links in them, where they lead is guarded too.
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
/// How many entries of such a folder are looked at: more than anybody has of keys.
const ENTRIES_MAX: usize = 4096;

/// What a home calls them, whether they are there or not.
pub(crate) fn of(home: &Path) -> impl Iterator<Item = PathBuf> {
    let lists = [SESSION, REGISTRIES, SERVICES, AGENTS, PROGRAMS, IN_CONFIG];
    lists.into_iter().flatten().map(|name| home.join(name))
}

/// The links in its folders of keys, such as a key that is kept with other files of its owner's.
pub(crate) fn links_of(home: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = OF_KEYS_ALONE.iter().filter_map(|name| fs::read_dir(home.join(name)).ok());
    let entries = entries.flat_map(|entries| entries.take(ENTRIES_MAX).flatten());
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.map(|link| link.path())
}
