//! systemd's own program that speaks to D-Bus, busctl(1), for the one call of `systemd_scope.rs`: a library that does the
//! same would be larger than all of that. It has a deadline, a bounded complaint, and an environment of its own.
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Where systemd's program is. It is looked for nowhere else: a `PATH` may have any other one.
const PLACES: [&str; 2] = ["/usr/bin/busctl", "/bin/busctl"];
/// How long it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How much of its complaint is read.
const MAX_COMPLAINT_BYTES: u64 = 1024;

/// Runs it with these arguments, as this user.
///
/// # Errors
/// What it complains of, in a line; or that it is not there, or has been killed at the deadline.
pub(crate) async fn call(arguments: &[String], user: u32) -> Result<(), String> {
    match PLACES.into_iter().map(Path::new).find(|path| path.is_file()) {
        Some(program) => run(program, arguments, user, DEADLINE).await,
        None => Err(format!("there is no {}", PLACES[0])),
    }
}

async fn run(program: &Path, arguments: &[String], user: u32, deadline: Duration) -> Result<(), String> {
    let mut question = tokio::process::Command::new(program);
    question.args(arguments).env_clear().env("XDG_RUNTIME_DIR", format!("/run/user/{user}"));
    question.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let shown = program.display();
    let mut asked =
        question.kill_on_drop(true).spawn().map_err(|error| format!("{shown} cannot be run: {error}"))?;
    let stderr = asked.stderr.take();
    let answer = async {
        let complaint = complaint_of(stderr).await;
        (asked.wait().await, complaint)
    };
    let answered = tokio::time::timeout(deadline, answer).await;
    match answered {
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), complaint)) if complaint.is_empty() => Err(format!("{shown}: {status}")),
        Ok((Ok(_), complaint)) => Err(complaint),
        Ok((Err(error), _)) => Err(format!("{shown}: {error}")),
        Err(_) => {
            let _ = asked.kill().await;
            Err(format!("{shown} has given no answer within {} ms", deadline.as_millis()))
        }
    }
}

/// The first line of a complaint. What does not fit is not waited for.
async fn complaint_of(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is the complaint.
        let _ = pipe.take(MAX_COMPLAINT_BYTES).read_to_end(&mut bytes).await;
    }
    let text = String::from_utf8_lossy(&bytes);
    text.lines().next().unwrap_or_default().trim().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A shell in the place of busctl.
    async fn stand_in(script: &str, deadline: Duration) -> Result<(), String> {
        run(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], 7, deadline).await
    }

    #[tokio::test]
    async fn a_call_is_told_by_its_result_and_its_first_line_and_has_no_environment_but_its_own() {
        let long = Duration::from_secs(60);
        assert_eq!(stand_in("exit 0", long).await, Ok(()));
        let bus =
            r#"test "$XDG_RUNTIME_DIR" = /run/user/7 && test -z "$CARGO_MANIFEST_DIR" && test "$PWD" = /"#;
        assert_eq!(stand_in(bus, long).await, Ok(()));
        let said = stand_in("echo yes; echo 'Call failed: \x1b no' >&2; echo more >&2; exit 1", long).await;
        assert_eq!(said, Err("Call failed: \\u{1b} no".to_owned()));
        assert_eq!(stand_in("exit 3", long).await, Err("/bin/sh: exit status: 3".to_owned()));
        let missing = run(Path::new("/no/such/busctl"), &[], 7, long).await.unwrap_err();
        assert!(missing.starts_with("/no/such/busctl cannot be run: "), "{missing}");
    }

    #[tokio::test]
    async fn a_flood_of_words_is_not_read_to_its_end() {
        let flood = "while :; do echo flood >&2 || exit 1; done";
        assert!(stand_in(flood, Duration::from_secs(60)).await.is_err_and(|said| said == "flood"));
    }

    #[tokio::test]
    async fn a_call_without_an_answer_is_killed_at_its_deadline() {
        let begun = Instant::now();
        let said = stand_in("exec sleep 600", Duration::from_millis(100)).await;
        assert_eq!(said, Err("/bin/sh has given no answer within 100 ms".to_owned()));
        assert!(begun.elapsed() < Duration::from_secs(300));
    }
}
