//! Starts a deployed workload and waits until its server answers; if it does not, finds out why.
use crate::deployment::Deployment;
use crate::session_servers::SessionServers;
use crate::workload_proxy::{WorkloadProxy, proxy_options};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use wharf_model::{Advice, Setting, how};
use wharf_model::{Error, ErrorKind, Result, chain};
use wharf_proxy::ConnectError;
use wharf_sdk::{Capability, Handle, LogOptions};

/// Why a server ends that has no fault to report.
pub(crate) const ENDS_BY_ITSELF: &str =
    "has nothing to do, or takes its parent process or its input for gone";
/// The number of lines of its log that the error of a failed start shows.
const SHOWN_LINES: u64 = 8;
/// How long a workload that closed its stdout may take to end before the runtime is asked for its exit.
const EXIT_GRACE: Duration = Duration::from_secs(2);

impl Deployment {
    /// Attaches, starts, and makes the handshake with a server on stdin and stdout.
    pub(crate) async fn start_stdio(&mut self, handle: &Handle) -> Result<()> {
        self.is_reattached = false;
        let stream = self.client.attach(handle).await?;
        let (stdout, stdin) = stream
            .into_sides()
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the workload cannot be attached", &error))?;
        self.client.start(handle).await?;
        if !self.run.instances.is_shared() && self.session_servers.is_none() {
            self.session_servers = Some(SessionServers::new(
                (&self.config, &self.store),
                &self.run,
                (&self.client, self.host_id.as_str()),
            ));
        }
        let proxy = self
            .proxy
            .get_or_insert_with(|| {
                let options =
                    proxy_options(&self.run, &self.access, &self.config.settings.proxy, &self.counts);
                WorkloadProxy::stdio(options, self.session_servers.as_ref())
            })
            .clone();
        let WorkloadProxy::Stdio(proxy) = proxy else {
            return Err(Error::new(ErrorKind::Failed, "the transport changed under the supervisor"));
        };
        let deadline = self.config.settings.start_timeout();
        let answered = tokio::select! {
            answered = proxy.connect(stdout, stdin, deadline) => answered,
            listening = self.listens_instead(handle) => return Err(self.wrong_transport(handle, listening).await),
        };
        match answered {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_ready(handle, &error).await),
        }
    }

    async fn not_ready(&self, handle: &Handle, error: &ConnectError) -> Error {
        let name = &self.run.name;
        match error {
            ConnectError::Exited { .. } => self.ended_early(handle).await,
            ConnectError::TimedOut { .. } => {
                let seconds = self.config.settings.start_timeout().as_secs_f64();
                let message = format!("'{name}' did not answer the MCP handshake within {seconds} s");
                self.with_output(handle, Error::new(ErrorKind::Deadline, message)).await
            }
            other => {
                let message = format!("'{name}' does not speak MCP as it should: {}", chain(other));
                self.with_output(handle, Error::new(ErrorKind::Runtime, message)).await
            }
        }
    }

    pub(crate) async fn ended_early(&self, handle: &Handle) -> Error {
        let exit = tokio::time::timeout(EXIT_GRACE, self.client.wait(handle)).await;
        let (how, by_itself) = match exit {
            Ok(Ok(exit)) => {
                self.count_end(&exit);
                (how(&exit), exit.code == Some(0))
            }
            Ok(Err(_)) => ("ended".to_owned(), false),
            Err(_) => ("closed its output".to_owned(), false),
        };
        let error = Error::new(ErrorKind::Runtime, format!("'{}' {how} before it was ready", self.run.name));
        let error = self.with_output(handle, error).await;
        if by_itself { self.with_parent(error) } else { error }
    }

    /// The error with what makes servers end that find no fault: some watch their parent process, which an init is not.
    fn with_parent(&self, error: Error) -> Error {
        let error = error.hint(format!("a server that ends with 0 {ENDS_BY_ITSELF}"));
        let has_init = !self.run.container.no_init && self.client.stamp().has(&Capability::NO_INIT);
        match has_init {
            true => error.advise(Advice::Choose { setting: Setting::NoInit, value: None }),
            false => error,
        }
    }

    /// The error with the last lines of the workload's output, which usually have the reason.
    pub(crate) async fn with_output(&self, handle: &Handle, error: Error) -> Error {
        const MAX_BYTES: u64 = 4096;
        let state = self.config.state();
        let path = state.logs().join(format!("{}.log", self.run.name));
        let error = if path.exists() { error.hint(format!("its log: {}", path.display())) } else { error };
        let options = LogOptions { tail: Some(SHOWN_LINES), ..LogOptions::default() };
        let Some(text) = self.output(handle, options, MAX_BYTES).await else { return error };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return error;
        }
        let error = error.hint(format!("its last output:\n{}", lines.join("\n")));
        if is_of_hardening(&text) && self.client.stamp().has(&Capability::CAP_ADD) {
            return error
                .hint("it runs without capabilities of the kernel, which a program that changes users or owners needs")
                .advise(Advice::Choose { setting: Setting::CapAdd, value: Some("SETUID".to_owned()) })
                .advise(Advice::Choose { setting: Setting::CapAdd, value: Some("SETGID".to_owned()) });
        }
        error
    }

    /// The wanted part of the workload's output, or its beginning; none if it cannot be had soon.
    pub(crate) async fn output(&self, handle: &Handle, options: LogOptions, most: u64) -> Option<String> {
        let reading = async {
            let stream = self.client.logs(handle, options).await.ok()?;
            let mut text = Vec::new();
            stream.into_reader().ok()?.take(most).read_to_end(&mut text).await.ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        };
        tokio::time::timeout(EXIT_GRACE, reading).await.ok().flatten()
    }
}

/// True of words with which programs end that lack a capability: those that drop from root to another user (gosu, su-exec,
/// setpriv), and those that change the owners of files.
fn is_of_hardening(output: &str) -> bool {
    const DOING: [&str; 8] =
        ["setgroups", "set groups", "setgid", "setuid", "setresuid", "setresgid", "chown", "setpriv"];
    let output = output.to_ascii_lowercase();
    output.contains("operation not permitted") && DOING.iter().any(|word| output.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_of_hardening;

    #[test]
    fn words_of_programs_that_lack_a_capability_are_known() {
        assert!(is_of_hardening("error: failed switching to \"node\": Operation not permitted: setgroups"));
        assert!(is_of_hardening("chown: /data: Operation not permitted\n"));
        assert!(is_of_hardening("start-stop-daemon: can't set groups: Operation not permitted"));
        assert!(!is_of_hardening("open /data/x: Operation not permitted"));
        assert!(!is_of_hardening("setuid is not called"));
    }
}
