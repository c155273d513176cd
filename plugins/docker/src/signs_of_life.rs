//! Tells an engine that has much to do from one that is silent.
//!
//! Situation: forty workloads are started at once, and an answer that takes Podman a fifth of a second takes half a minute. A
//! deadline that finds out a frozen engine soon is too short for that, and one that is long enough leaves whoever asks a
//! frozen engine waiting. Conclusion: who waits for an answer asks for a sign of life meanwhile, on a connection of its own:
//! a ping, which costs an engine next to nothing. As long as there are such signs, the answer is waited for; how long in
//! all is the host's choice, by what it wants to do with the answer.
use std::{io, pin::pin, time::Duration};
use tokio::time::timeout;

/// An engine without a sign of life for so long is silent.
const SILENCE: Duration = Duration::from_secs(9);
/// The pause before each question for a sign of life. Nearly all answers come sooner.
const PAUSE: Duration = Duration::from_secs(3);

/// Waits for an answer as long as there are signs of life, each of which `ping` asks for.
///
/// # Errors
/// `TimedOut` if there was none; and those of the answer and of the ping.
pub(crate) async fn while_alive<T, E: From<io::Error>, P: Future<Output = io::Result<()>>>(
    answer: impl Future<Output = Result<T, E>>,
    ping: impl Fn() -> P,
) -> Result<T, E> {
    let mut answer = pin!(answer);
    loop {
        if let Ok(answer) = timeout(PAUSE, &mut answer).await {
            return answer;
        }
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            alive = timeout(SILENCE.saturating_sub(PAUSE), ping()) => alive.unwrap_or_else(|_| Err(silent()))?,
        }
    }
}

/// Waits for an answer that costs an engine next to nothing.
///
/// # Errors
/// `TimedOut` if it does not come; and those of the answer.
pub(crate) async fn at_once<T>(answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::{Instant, sleep};

    async fn answer_after(seconds: u64) -> io::Result<u64> {
        sleep(Duration::from_secs(seconds)).await;
        Ok(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_answers_pings_is_waited_for() {
        let slow_ping = || sleep(Duration::from_secs(5));
        assert_eq!(while_alive(answer_after(1), pending).await.unwrap(), 1, "nothing else is asked");
        assert_eq!(
            while_alive(answer_after(8), pending).await.unwrap(),
            8,
            "it comes before the ping is missed"
        );
        let pinged = || async {
            slow_ping().await;
            Ok(())
        };
        assert_eq!(while_alive(answer_after(50), pinged).await.unwrap(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_without_a_sign_of_life_is_silent_and_one_that_is_gone_is_told_as_that() {
        let began = Instant::now();
        let error = while_alive(pending::<io::Result<()>>(), pending).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), SILENCE.as_secs());
        let gone = || async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) };
        let error = while_alive(pending::<io::Result<()>>(), gone).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = at_once(pending::<io::Result<()>>()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
