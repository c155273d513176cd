//! `completion`.
use super::failure::{DONE, Outcome};
use super::output;
use clap::{Args, ValueEnum};
use std::io::Write;

const EXAMPLES: &str = "Examples:
  wharf completion bash > ~/.local/share/bash-completion/completions/wharf
  wharf completion zsh > ~/.zfunc/_wharf
  wharf completion fish > ~/.config/fish/completions/wharf.fish";

/// Print a script that completes wharf's commands in a shell
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// `command` is the definition of the whole command line.
    pub(super) fn execute(&self, command: &mut clap::Command) -> Outcome {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, command, "wharf", &mut script);
        output::writer()?.write_all(&script)?;
        Ok(DONE)
    }
}
