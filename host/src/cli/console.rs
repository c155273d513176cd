//! [`Console`]: prints results, notes and errors. All commands print through it.
use super::{advice, escape, output};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{isatty, tcgetwinsize};
use serde::Serialize;
use std::io::{self, Write};
use wharf_model::Error;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; stable.
    Json,
}

/// The process' stdout and stderr.
pub(super) struct Console {
    /// The width of the terminal that stdout is; none if it is no terminal.
    pub(super) columns: Option<usize>,
    /// Whether stdout is a terminal.
    pub(super) stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub(super) stderr_is_terminal: bool,
    /// Whether stderr may be coloured.
    colour: bool,
    /// Whether stdout understands the codes that clear a terminal.
    clears: bool,
}

impl Console {
    /// The console of this process.
    pub(super) fn of_process() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let stdout_is_terminal = isatty(&stdout);
        let stderr_is_terminal = isatty(&stderr);
        let size = if stdout_is_terminal { tcgetwinsize(&stdout).ok() } else { None };
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self {
            columns: size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0),
            stdout_is_terminal,
            stderr_is_terminal,
            colour: stderr_is_terminal && !is_set("NO_COLOR") && !is_dumb,
            clears: stdout_is_terminal && !is_dumb,
        }
    }

    /// Prints a line of the result. Text from servers, engines and records must be escaped before.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        let mut stdout = output::writer()?;
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")
    }

    /// Prints a result as JSON.
    pub(super) fn json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.line(&escape::json(&serde_json::to_string_pretty(value)?))
    }

    /// Prints a result as JSON in one line.
    pub(super) fn json_line<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.line(&escape::json(&serde_json::to_string(value)?))
    }

    /// Clears the terminal for the next output. Does nothing if stdout is no terminal.
    pub(super) fn clear(&self) -> io::Result<()> {
        if self.clears { output::writer()?.write_all(b"\x1b[H\x1b[2J") } else { Ok(()) }
    }

    /// Resolves when nobody can read the output any more.
    pub(super) async fn unread(&self) {
        let waiting = tokio::task::spawn_blocking(|| {
            let stdout = output::descriptor()?;
            // poll(2) reports errors and hang-ups even if they are not asked for.
            let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
            rustix::io::retry_on_intr(|| poll(&mut asked, None)).map_err(io::Error::from)
        });
        if !matches!(waiting.await, Ok(Ok(_))) {
            // It cannot be found out here; the next write will fail.
            std::future::pending::<()>().await;
        }
    }

    /// Prints a note beside the result. A failure to write it is ignored.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", escape::lines(text));
    }

    /// Overwrites the terminal's last line.
    pub(super) fn redraw(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K{}", escape::line(text));
        let _ = stderr.flush();
    }

    /// Reports a failure; no other code does.
    pub(super) fn error(&self, error: &Error, format: Format) {
        let text = match format {
            Format::Json => json_error(error),
            Format::Text => self.text_error(error),
        };
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn text_error(&self, error: &Error) -> String {
        let (on, off) = if self.colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        let mut text = format!("{on}error:{off} {}", escape::line(&error.message));
        for hint in error.advice.iter().filter_map(advice::text) {
            text.push_str("\nhint: ");
            text.push_str(&escape::lines(&hint).replace('\n', "\n  "));
        }
        text
    }

    /// Flushes the output. An error means that some of it did not arrive.
    pub(super) fn flush(&self) -> io::Result<()> {
        // Without a writer, nothing was printed.
        output::writer().map_or(Ok(()), |mut stdout| stdout.flush())
    }
}

/// Stderr as the destination of the log: writes always succeed. A command must not fail in the middle of a change because a
/// log record cannot be written.
pub(super) struct Unheeded<W>(pub(super) W);

impl<W: Write> Write for Unheeded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// A failure as programs are told it, on stderr.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Failure"))]
pub(super) struct Reported<'a> {
    /// The failure.
    error: &'a Error,
}

/// `{"error": {"kind", "message", "advice"}}` in one line.
fn json_error(error: &Error) -> String {
    // Strings can always be written as JSON.
    let text = serde_json::to_string(&Reported { error }).unwrap_or_default();
    escape::json(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::ErrorKind;

    fn error() -> Error {
        Error::new(ErrorKind::Runtime, "it said \u{1b}[2J").hint("its last output:\nbad\u{7}")
    }

    fn console(colour: bool) -> Console {
        Console {
            columns: None,
            stdout_is_terminal: false,
            stderr_is_terminal: colour,
            colour,
            clears: false,
        }
    }

    #[test]
    fn an_error_is_escaped_and_its_advice_follows() {
        assert_eq!(
            console(false).text_error(&error()),
            "error: it said \\u{1b}[2J\nhint: its last output:\n  bad\\u{7}"
        );
    }

    #[test]
    fn colour_is_put_around_our_own_word_alone() {
        assert!(
            console(true).text_error(&error()).starts_with("\u{1b}[1;31merror:\u{1b}[0m it said \\u{1b}")
        );
    }

    #[test]
    fn an_error_for_programs_is_one_line() {
        assert_eq!(
            json_error(&error()),
            r#"{"error":{"kind":"runtime","message":"it said \u001b[2J","advice":[{"do":"note","text":"its last output:\nbad\u0007"}]}}"#
        );
    }
}
