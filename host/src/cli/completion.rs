//! `completion`.
use super::failure::{DONE, Outcome};
use super::output;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::io::Write;
use wharf::commands::{self, Context};

const EXAMPLES: &str = "Examples:
  wharf completion bash > ~/.local/share/bash-completion/completions/wharf
  wharf completion zsh > ~/.zfunc/_wharf
  wharf completion fish > ~/.config/fish/completions/wharf.fish";

/// The commands whose arguments are names of workloads.
const TAKE_NAMES: &str = "status url start stop restart rm remove logs export adopt reconcile";

/// Print a script that completes wharf's commands in a shell
///
/// The script asks wharf for the names of workloads, runtimes and groups.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Completion {
    /// The shell
    #[arg(required_unless_present = "words")]
    shell: Option<Shell>,
    /// Print the words for the script instead
    #[arg(long, hide = true, conflicts_with = "shell")]
    words: Option<Words>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Words that are known only at the moment.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Words {
    Names,
    Runtimes,
    Groups,
}

impl Completion {
    /// True if it needs nothing of this machine.
    pub(super) fn is_script(&self) -> bool {
        self.words.is_none()
    }

    /// `command` is the definition of the whole command line.
    pub(super) fn execute(&self, command: &mut clap::Command) -> Outcome {
        let Some(shell) = self.shell else { return Ok(DONE) };
        let generator = match shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(generator, command, "wharf", &mut script);
        let script = String::from_utf8_lossy(&script);
        let script = match shell {
            Shell::Bash => format!("{script}\n{}", BASH.replace("TAKE_NAMES", &TAKE_NAMES.replace(' ', "|"))),
            Shell::Zsh => zsh(&script),
            Shell::Fish => format!("{script}\n{}", FISH.replace("TAKE_NAMES", TAKE_NAMES)),
        };
        output::writer()?.write_all(script.as_bytes())?;
        Ok(DONE)
    }

    /// Prints the words, one a line. Only plain ones: a shell may expand what it reads, and a name of a group is anybody's.
    pub(super) fn say_words(&self, context: &Context) -> Outcome {
        let words: BTreeSet<String> = match self.words {
            None => BTreeSet::new(),
            Some(Words::Names) => commands::names(context, None)?.iter().map(ToString::to_string).collect(),
            Some(Words::Groups) => commands::groups(context)?,
            Some(Words::Runtimes) => {
                let provided = context.plugins().catalog().runtimes();
                provided.iter().map(|provided| provided.runtime.name.clone()).collect()
            }
        };
        let mut stdout = output::writer()?;
        for word in words.iter().filter(|word| is_plain(word)) {
            writeln!(stdout, "{word}")?;
        }
        Ok(DONE)
    }
}

fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && !word.starts_with('-')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Goes before the generated function, and asks it for all other words.
const BASH: &str = r#"# Names, runtimes and groups, as they are at the moment.
_wharf_words() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" words="" word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $word != -* ]]; then command=$word; break; fi
    done
    case "$previous" in
        --runtime) words=runtimes ;;
        --group) words=groups ;;
        *) case "$current" in -*) ;; *) case "$command" in TAKE_NAMES) words=names ;; esac ;; esac ;;
    esac
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" completion --words "$words" 2>/dev/null)" -- "$current"))
    else
        _wharf "$@"
    fi
}
complete -F _wharf_words -o bashdefault -o default wharf
"#;

const FISH: &str = r#"# Names, runtimes and groups, as they are at the moment.
complete -c wharf -n "__fish_seen_subcommand_from TAKE_NAMES" -f -a "(wharf completion --words names 2>/dev/null)"
complete -c wharf -l runtime -x -a "(wharf completion --words runtimes 2>/dev/null)"
complete -c wharf -l group -x -a "(wharf completion --words groups 2>/dev/null)"
"#;

/// Where a word of the moment stands, its action names a function in the place of the file names.
fn zsh(script: &str) -> String {
    let functions: String = ["names", "runtimes", "groups"]
        .map(|words| {
            format!(
                "_wharf_{words}() {{ local -a words; words=(${{(f)\"$(wharf completion --words {words} 2>/dev/null)\"}}); \
                 compadd -a words }}\n"
            )
        })
        .concat();
    let action = |line: &str| {
        let is_name = line.contains(":name -- The workload") || line.contains("::names -- The workloads");
        match line.trim_start() {
            option if option.starts_with("'--runtime=") => Some("runtimes"),
            option if option.starts_with("'--group=") => Some("groups"),
            _ if is_name => Some("names"),
            _ => None,
        }
    };
    let mut lines = script.lines();
    let mut out = format!("{}\n\n{functions}", lines.next().unwrap_or_default());
    for line in lines {
        let changed = action(line).map(|words| line.replace(":_default'", &format!(":_wharf_{words}'")));
        out.push_str(&changed.unwrap_or_else(|| line.to_owned()));
        out.push('\n');
    }
    out
}
