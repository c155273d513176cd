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
    ".ash_history",
    ".bash_history",
    ".git-credentials",
    ".gnupg",
    ".histfile",
    ".irb_history",
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
    ".pry_history",
    ".psql_history",
    ".purple",
    ".putty",
    ".python_history",
    ".rediscli_history",
    ".sqlite_history",
    ".ssh",
    ".ssh2",
    ".subversion",
    ".viminfo",
    ".zhistory",
    ".zsh_history",
    ".zsh_sessions",
];

/// Registries and build tools.
const REGISTRIES: &[&str] = &[
    ".bundle",
    ".bunfig.toml",
    ".cabal/config",
    ".cargo",
    ".composer/auth.json",
    ".condarc",
    ".gem/credentials",
    ".gradle/gradle.properties",
    ".ivy2/.credentials",
    ".jfrog",
    ".lein/credentials.clj.gpg",
    ".m2/settings-security.xml",
    ".m2/settings.xml",
    ".netrc",
    ".npmrc",
    ".nuget/NuGet",
    ".pip/pip.conf",
    ".pub-cache/credentials.json",
    ".pypirc",
    ".sbt/.credentials",
    ".sentryclirc",
    ".yarnrc",
    ".yarnrc.yml",
];

/// Clouds, clusters, databases and file servers.
const SERVICES: &[&str] = &[
    ".aliyun",
    ".android",
    ".ansible",
    ".authinfo",
    ".authinfo.gpg",
    ".aws",
    ".azure",
    ".bluemix",
    ".boto",
    ".chef",
    ".cloudflared",
    ".consul-token",
    ".databricks",
    ".databrickscfg",
    ".davfs2",
    ".dbt",
    ".docker",
    ".edgerc",
    ".fly",
    ".influxdbv2",
    ".kaggle",
    ".kube",
    ".linode-cli",
    ".local/share/containers/auth.json",
    ".minikube",
    ".my.cnf",
    ".mylogin.cnf",
    ".netlify",
    ".ngrok2",
    ".nomad-token",
    ".oci",
    ".okta",
    ".ossutilconfig",
    ".passwd-s3fs",
    ".pgpass",
    ".pulumi",
    ".rclone.conf",
    ".s3cfg",
    ".saml2aws",
    ".smbcredentials",
    ".snowflake",
    ".snowsql",
    ".step",
    ".terraform.d",
    ".terraformrc",
    ".tsh",
    ".vault-token",
    ".vnc",
    ".wrangler",
];

/// Agents and models.
const AGENTS: &[&str] = &[
    ".aider.conf.yml",
    ".amazonq",
    ".anthropic",
    ".cache/huggingface/stored_tokens",
    ".cache/huggingface/token",
    ".claude",
    ".claude.json",
    ".clawdbot",
    ".cline",
    ".codeium",
    ".codex",
    ".continue",
    ".copilot",
    ".cursor",
    ".factory/auth.json",
    ".gemini",
    ".goose",
    ".grok",
    ".huggingface",
    ".jupyter",
    ".kimi",
    ".local/share/goose",
    ".local/share/opencode",
    ".mcp-auth",
    ".ollama",
    ".openai",
    ".openclaw",
    ".openhands",
    ".qwen",
    ".roo",
    ".windsurf",
];

/// Browsers, mail, password managers and wallets. `.config` has the keys of many more programs, so it is an entry as a
/// whole.
const PROGRAMS: &[&str] = &[
    ".1password",
    ".age",
    ".aptos",
    ".bitcoin",
    ".config",
    ".electrum",
    ".ethereum",
    ".fetchmailrc",
    ".foundry/keystores",
    ".getmail",
    ".irssi",
    ".isyncrc",
    ".librewolf",
    ".litecoin",
    ".mbsyncrc",
    ".minisign",
    ".monero",
    ".mozilla",
    ".msmtprc",
    ".mutt",
    ".muttrc",
    ".near-credentials",
    ".offlineimaprc",
    ".solana",
    ".sui",
    ".thunderbird",
    ".var/app",
    ".weechat",
    ".zcash",
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
/// The number of entries of a folder that are looked at; nobody has so many keys, or settings.
const ENTRIES_MAX: usize = 4096;

/// All these paths below a home, whether they exist or not.
pub(crate) fn of(home: &Path) -> impl Iterator<Item = PathBuf> {
    let lists = [SESSION, REGISTRIES, SERVICES, AGENTS, PROGRAMS, IN_CONFIG];
    lists.into_iter().flatten().map(|name| home.join(name))
}

/// The links in a home's folders of keys: for instance, a key that its owner keeps elsewhere.
pub(crate) fn links_of(home: &Path) -> impl Iterator<Item = PathBuf> {
    OF_KEYS_ALONE.iter().flat_map(|name| links_in(&home.join(name)))
}

/// The links in a home whose names begin with a dot, and those in its folder of settings: what they lead to is run by shells
/// and editors, wherever their user keeps it.
pub(crate) fn linked_settings(home: &Path) -> impl Iterator<Item = PathBuf> {
    let is_hidden =
        |link: &PathBuf| link.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    links_in(home).filter(is_hidden).chain(links_in(&home.join(".config")))
}

fn links_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX).flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.map(|link| link.path())
}
