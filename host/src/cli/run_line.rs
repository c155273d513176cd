//! The line of `run`: everything after SERVER is SERVER's own, as with `docker run`, and everything after a first `--` is
//! SERVER and its arguments, as the clients of MCP write it.
//!
//! Called before the arguments are parsed. An option of `run` that stands right after SERVER was one in earlier builds, and may be one
//! that protects something: it is refused with the line that was meant, and never silently passed on.
use clap::Command;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use wharf_model::{Error, ErrorKind};

/// The arguments with a `--` between SERVER and what is its own, for the parser.
///
/// # Errors
/// An option of `run` stands after SERVER.
pub(super) fn separated(arguments: Vec<OsString>, command: &Command) -> Result<Vec<OsString>, Error> {
    let options = Options::of(command);
    let Some(run) = options.first_word(&arguments, 1).filter(|at| arguments[*at] == "run") else {
        return Ok(arguments);
    };
    let Some(server) = options.first_word(&arguments, run + 1) else { return Ok(arguments) };
    let (head, rest) = arguments.split_at(server);
    if rest[0] == "--" {
        return Ok(match rest {
            [separator, server, own @ ..] => [head, &[server.clone(), separator.clone()], own].concat(),
            _ => arguments,
        });
    }
    let (server, own) = (&rest[0], &rest[1..]);
    if own.first().is_none_or(|first| first == "--") {
        return Ok(arguments);
    }
    match options.misplaced(own) {
        0 => Ok([head, &[server.clone(), OsString::from("--")], own].concat()),
        count => Err(misplaced(&arguments[run..], server, own, count)),
    }
}

/// The options of `run` and those of every command, by their names; true for one that takes a value.
struct Options {
    long: HashMap<String, bool>,
    short: HashMap<char, bool>,
}

impl Options {
    fn of(command: &Command) -> Self {
        let mut options = Self { long: HashMap::new(), short: HashMap::new() };
        let own = command.find_subcommand("run").into_iter().flat_map(Command::get_arguments);
        let ours = command.get_arguments().chain(own).filter(|argument| !argument.is_positional());
        for argument in ours {
            let takes = argument.get_action().takes_values();
            options.long.extend(argument.get_long().map(|name| (name.to_owned(), takes)));
            options.short.extend(argument.get_short().map(|name| (name, takes)));
        }
        options
    }

    /// The place of the first word that is no option of ours and no value of one; `--` is such a word. None if there is none,
    /// or if an option comes before that is not known: the parser knows what to say.
    fn first_word(&self, arguments: &[OsString], mut at: usize) -> Option<usize> {
        loop {
            let word = arguments.get(at)?;
            if word == "--" || !is_option(word) {
                return Some(at);
            }
            at += self.words(word)?;
        }
    }

    /// The number of words that an option takes, if it is one of ours.
    fn words(&self, word: &OsStr) -> Option<usize> {
        let word = word.to_str()?;
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let takes = matches!(name, "help" | "version") || *self.long.get(name)?;
            let is_flag = matches!(name, "help" | "version") || !takes;
            return Some(if is_flag || value.is_some() { 1 } else { 2 });
        }
        let letters = word.strip_prefix('-')?;
        for (at, letter) in letters.char_indices() {
            if matches!(letter, 'h' | 'V') {
                continue;
            }
            if *self.short.get(&letter)? {
                let is_last = at + letter.len_utf8() == letters.len();
                return Some(if is_last { 2 } else { 1 });
            }
        }
        Some(1)
    }

    /// The number of words at the beginning that are options of `run`. Short ones are common to many commands: they count
    /// where their value has the form that ours have.
    fn misplaced(&self, own: &[OsString]) -> usize {
        let mut count = 0;
        while let Some(word) =
            own.get(count).filter(|word| is_option(word) && self.is_ours(word, own.get(count + 1)))
        {
            count += self.words(word).unwrap_or(1);
        }
        count.min(own.len())
    }

    fn is_ours(&self, word: &OsStr, next: Option<&OsString>) -> bool {
        let Some(word) = word.to_str() else { return false };
        if let Some(long) = word.strip_prefix("--") {
            return self.long.contains_key(long.split('=').next().unwrap_or(long));
        }
        let Some(letter) = word.chars().nth(1).filter(|letter| self.short.contains_key(letter)) else {
            return false;
        };
        let attached = &word[1 + letter.len_utf8()..];
        let value = if attached.is_empty() {
            next.and_then(|next| next.to_str()).unwrap_or_default()
        } else {
            attached
        };
        match letter {
            'e' | 'l' => value.split_once('=').is_some_and(|(name, _)| is_name(name)),
            'v' => value.contains(':') || value.starts_with(['/', '.', '~']),
            _ => false,
        }
    }
}

fn is_option(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.len() > 1 && bytes[0] == b'-'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn misplaced(line: &[OsString], server: &OsStr, own: &[OsString], count: usize) -> Error {
    let before = &line[..line.len() - own.len() - 1];
    let (ours, own_rest) = own.split_at(count);
    let option = ours[0].to_string_lossy();
    let option = option.split('=').next().unwrap_or_default();
    let server = std::slice::from_ref(&server);
    let meant: Vec<&OsStr> =
        words(before).chain(words(ours)).chain(server.iter().copied()).chain(words(own_rest)).collect();
    let separator = OsStr::new("--");
    let passed: Vec<&OsStr> =
        words(before).chain(server.iter().copied()).chain([separator]).chain(words(own)).collect();
    Error::new(ErrorKind::Usage, format!("'{option}' stands after SERVER, where everything is SERVER's own"))
        .hint(format!("as an option of run: wharf {}", shown(&meant)))
        .hint(format!("as an argument of SERVER: wharf {}", shown(&passed)))
}

fn words(words: &[OsString]) -> impl Iterator<Item = &OsStr> {
    words.iter().map(OsString::as_os_str)
}

/// The words as a shell takes them. Values of variables may be secrets, and are left out.
fn shown(words: &[&OsStr]) -> String {
    let mut hides = false;
    let quoted = words.iter().map(|word| {
        let word = word.to_string_lossy();
        let was_named = std::mem::replace(&mut hides, matches!(&*word, "-e" | "--env"));
        let attached = word
            .strip_prefix("--env=")
            .or_else(|| word.strip_prefix("-e").filter(|_| !word.starts_with("--")));
        match word.split_once('=') {
            Some((name, _)) if was_named => super::advice::word(&format!("{name}=")) + "…",
            _ => match attached.and_then(|pair| pair.split_once('=')) {
                Some((name, _)) => format!("-e {}=…", super::advice::word(name.trim_start_matches('='))),
                None => super::advice::word(&word),
            },
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn line(text: &str) -> Result<String, Error> {
        let arguments = text.split(' ').map(OsString::from).collect();
        let words = separated(arguments, &super::super::app::Cli::command())?;
        Ok(words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn everything_after_the_server_is_its_own() {
        for (given, parsed) in [
            ("wharf run npx -y pkg", "wharf run npx -- -y pkg"),
            ("wharf run --name y ./x --root /srv", "wharf run --name y ./x -- --root /srv"),
            ("wharf run -e A=b --quiet ./x -v", "wharf run -e A=b --quiet ./x -- -v"),
            ("wharf run -qe A=b ./x --help", "wharf run -qe A=b ./x -- --help"),
            ("wharf run -eA=b ./x y -- z", "wharf run -eA=b ./x -- y -- z"),
            ("wharf run ./x run --name y", "wharf run ./x -- run --name y"),
            ("wharf run node -e 1+1", "wharf run node -- -e 1+1"),
            ("wharf --log-level debug run ./x a", "wharf --log-level debug run ./x -- a"),
        ] {
            assert_eq!(line(given).unwrap(), parsed);
        }
    }

    #[test]
    fn one_separator_after_the_server_or_before_it_is_dropped() {
        for (given, parsed) in [
            ("wharf run ./x -- -y --name z", "wharf run ./x -- -y --name z"),
            ("wharf run ./x -- -- y", "wharf run ./x -- -- y"),
            ("wharf run --name y -- npx -y pkg", "wharf run --name y npx -- -y pkg"),
            ("wharf run -- ./x", "wharf run ./x --"),
            ("wharf run --", "wharf run --"),
        ] {
            assert_eq!(line(given).unwrap(), parsed);
        }
    }

    #[test]
    fn what_is_not_ours_to_judge_is_left_to_the_parser() {
        for given in [
            "wharf",
            "wharf run",
            "wharf run --nmae y ./x a",
            "wharf list run ./x a",
            "wharf run ./x",
            "wharf run --from-config -",
            "wharf run --help",
        ] {
            assert_eq!(line(given).unwrap(), given);
        }
    }

    #[test]
    fn an_option_after_the_server_is_told_with_the_corrected_lines() {
        let error = line("wharf run --quiet npx://pkg --name y -e KEY=s3cret --root /srv").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert_eq!(error.message, "'--name' stands after SERVER, where everything is SERVER's own");
        let hints: Vec<String> = error.advice.iter().filter_map(super::super::advice::text).collect();
        assert_eq!(
            hints,
            [
                "as an option of run: wharf run --quiet --name y -e KEY=… npx://pkg --root /srv",
                "as an argument of SERVER: wharf run --quiet npx://pkg -- --name y -e KEY=… --root /srv",
            ]
        );
        for given in [
            "wharf run ./x -e A=b",
            "wharf run ./x -v ./data:/data",
            "wharf run ./x --permission-profile=none",
        ] {
            assert!(line(given).is_err(), "{given}");
        }
    }

    #[test]
    fn every_option_of_run_is_known() {
        let command = super::super::app::Cli::command();
        let options = Options::of(&command);
        let run = command.find_subcommand("run").unwrap();
        for name in run.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(options.words(OsStr::new(&format!("--{name}"))).is_some(), "{name}");
        }
    }
}
