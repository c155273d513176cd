//! Waits for the end of a container: through its engine, or through the kernel where the container's first process is
//! visible here.
//!
//! Docker reports the end of a container when it happens. Podman answers a wait by looking at the whole container again and
//! again, several times a second: fifty waits keep two processors busy, and a listing then takes too long. So where the
//! process is visible, Podman is asked only after that process has ended.
use crate::{
    engine::Engine,
    engine_liveness::Presence,
    error::{operation, unreachable},
    flavor::Flavor,
    memory_kills::MemoryKills,
    observe,
};
use bollard::{errors::Error as EngineError, query_parameters::WaitContainerOptionsBuilder};
use futures_util::{FutureExt, StreamExt};
use std::{fs, pin::pin, time::Duration};
use wharf_sdk::{Error, Result, pidfd::Process};

/// How long Podman may take to tell the code of a container that has ended, before the container is looked at. Its events
/// may be switched off, so none is sure to tell that somebody has started the container again, which leaves the wait open
/// until the next end. Podman usually tells the code within this time, and the looks end with that, with the next start, or
/// when the connection of the wait breaks.
const CODE_WAIT: Duration = Duration::from_millis(500);

/// The end of a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The exit code; none if it was started again before the code was told.
    pub(crate) code: Option<i64>,
    /// The kernel has killed a process of it for want of memory.
    pub(crate) had_memory_kills: bool,
}

/// Waits for a container's end. `pid` is the number of its first process, as the engine numbers it; `presence` is that of the
/// engine that holds its stdin open.
///
/// # Errors
/// `Unavailable`, too, if that engine went away meanwhile, even if another one answers by now: the server's stdin ended
/// with the engine, so its exit code does not tell how its work ended.
pub(crate) async fn of(
    engine: &Engine,
    container: &str,
    pid: Option<i32>,
    presence: Option<&mut Presence>,
) -> Result<End> {
    let pid = pid.filter(|_| engine.flavor == Flavor::Podman);
    let process = pid.and_then(|pid| process(container, pid));
    let pid = pid.filter(|_| process.is_some());
    let end = async move {
        let Some((process, kills)) = process else { return false };
        drop(process.ended().await);
        kills.is_some_and(|kills| kills.any())
    };
    match presence {
        Some(presence) => of_attached(engine, container, (end, pid), presence).await,
        None => {
            let had_memory_kills = end.await;
            let code = code_after(engine, container, pid).await?;
            Ok(End { code, had_memory_kills })
        }
    }
}

async fn of_attached(
    engine: &Engine,
    container: &str,
    (end, pid): (impl Future<Output = bool>, Option<i32>),
    presence: &mut Presence,
) -> Result<End> {
    let gone = |error| unreachable(engine.flavor, &engine.socket, &error);
    let mut end = pin!(end);
    let had_memory_kills = tokio::select! {
        biased;
        told = presence.over() => {
            told.map_err(gone)?;
            end.as_mut().now_or_never().unwrap_or_default()
        }
        had_memory_kills = end.as_mut() => had_memory_kills,
    };
    // If the engine goes away, its connection breaks before the server sees the end of its stdin. So a broken presence is
    // noticed before the exit that follows it; `biased` looks at it first.
    tokio::select! {
        biased;
        Err(error) = presence.over() => Err(gone(error)),
        code = code_after(engine, container, pid) => Ok(End { code: code?, had_memory_kills }),
    }
}

/// The exit code after the end of a container's first process, `pid`. None if somebody has started the container again
/// since: then a wait for it would be one for its next end.
async fn code_after(engine: &Engine, container: &str, pid: Option<i32>) -> Result<Option<i64>> {
    let Some(pid) = pid else { return code(engine, container).await.map(Some) };
    let mut code = pin!(code(engine, container));
    loop {
        tokio::select! {
            biased;
            code = &mut code => return code.map(Some),
            () = tokio::time::sleep(CODE_WAIT) => {}
        }
        // If it cannot be asked, the wait tells why.
        if let Ok(seen) = engine.inspect(container).await
            && observe::runs(&seen)
            && seen.pid().is_some_and(|now| now > 0 && now != pid)
        {
            return Ok(None);
        }
    }
}

/// The exit code, as the engine reports it.
async fn code(engine: &Engine, container: &str) -> Result<i64> {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    let mut ended = pin!(engine.client.wait_container(container, Some(options)));
    match ended.next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        // bollard turns every code but 0 into an error.
        Some(Err(EngineError::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(operation(engine.flavor, "the container cannot be waited for", &error)),
        None => Err(Error::unavailable("the engine ended the wait without an answer")),
    }
}

/// A container's first process, by its number on this machine, and the kernel's count of kills in its control group. None if
/// it is not proven to be one of this container: the engine may be on another machine, with other numbers.
pub(crate) fn process(container: &str, pid: i32) -> Option<(Process, Option<MemoryKills>)> {
    let process = Process::open(pid).ok()??;
    // Read after the descriptor was opened: if the number has been used again by now, the control groups are another
    // process's and the check fails.
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    is_in(&groups, container).then(|| (process, MemoryKills::of(&groups)))
}

/// True if a process is in a control group that is named after a container, or below one.
fn is_in(groups: &str, container: &str) -> bool {
    const ID_LENGTH: usize = 64;
    container.len() == ID_LENGTH && groups.contains(container)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
        sync::oneshot,
    };
    use wharf_sdk::ErrorCode;

    #[test]
    fn only_a_control_group_with_the_whole_id_is_a_containers() {
        let id = "e1198522bb2e7c62bc0a1298bbbb1a8256bfad2b2466318c42f24837cb1139ce";
        assert!(is_in(&format!("8:pids:/libpod_parent/libpod-{id}\n"), id));
        assert!(is_in(&format!("0::/machine.slice/libpod-{id}.scope/container\n"), id));
        assert!(!is_in("0::/user.slice\n", id));
        assert!(!is_in("0::/user.slice\n", ""));
        assert!(!is_in("0::/libpod-e119\n", "e119"), "that is no whole id");
    }

    /// The behaviour of a simulated Podman towards the request that shows its presence.
    #[derive(Clone, Copy)]
    enum Held {
        /// It stays, and the request stays open.
        Stays,
        /// It refuses.
        Refused,
        /// It goes away at once, before anybody waits, and another one answers from then on.
        Lost,
        /// It goes away once the process has ended, and another one answers from then on.
        Broken,
    }

    /// Waits for a server whose process ends once its engine is watched, with such an engine.
    async fn code_with(held: Held) -> Result<Option<i64>> {
        end_with(held).await.map(|end| end.code)
    }

    async fn end_with(held: Held) -> Result<End> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (watched, is_watched) = oneshot::channel();
        tokio::spawn(async move {
            let (mut watched, mut kept) = (Some(watched), None);
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let count = client.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..count]);
                let answer = match (request.contains("condition=removing"), held) {
                    (true, Held::Refused) => "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
                    (true, Held::Lost) => continue,
                    (true, _) => {
                        kept = Some(client);
                        watched.take().map(|watched| watched.send(()));
                        continue;
                    }
                    (false, _) if request.contains("/_ping") => {
                        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\nContent-Length: 0\r\n\r\n"
                    }
                    (false, _) => {
                        kept = kept.filter(|_| !matches!(held, Held::Broken));
                        "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"StatusCode\": 0}"
                    }
                };
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let engine = Engine::reach(&socket).await.unwrap();
        let mut presence = Presence::of(&engine, "e119").await.unwrap();
        let end = async { is_watched.await.is_err() };
        let code = of_attached(&engine, "e119", (end, None), &mut presence);
        tokio::time::timeout(Duration::from_secs(20), code).await.unwrap()
    }

    #[tokio::test]
    async fn a_code_says_nothing_if_the_engine_went_first() {
        assert_eq!(code_with(Held::Stays).await.unwrap(), Some(0));
        assert_eq!(code_with(Held::Refused).await.unwrap(), Some(0));
        assert_eq!(code_with(Held::Lost).await.unwrap_err().code, ErrorCode::Unavailable);
        for _ in 0..50 {
            assert_eq!(code_with(Held::Broken).await.unwrap_err().code, ErrorCode::Unavailable);
        }
    }

    #[tokio::test]
    async fn a_process_outside_the_container_is_not_waited_for() {
        // The test's own process, which is in no container.
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(process(&"0".repeat(64), own).is_none());
        assert!(process(&"0".repeat(64), 0).is_none());
    }
}
