//! `completion`.
use super::app::Cli;
use super::console::Console;
use super::failure::{DONE, Outcome};
use super::output;
use clap::{Args, CommandFactory, ValueEnum};
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
    pub(super) fn execute(&self, _console: &Console) -> Outcome {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut script);
        output::writer()?.write_all(&script)?;
        Ok(DONE)
    }
}
