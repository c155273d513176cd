//! `edit`: makes the changed request of the arguments, and prints the result.
use super::argument_paths::written_out;
use super::console::{Console, Format};
use super::edit_arguments::{Clear, Edit};
use super::failure::{DONE, Failure, Outcome};
use super::progress::Steps;
use super::run_options::{environment, in_options, recorded_profile};
use super::shared_arguments::{put, put_all};
use super::stop_timeout::milliseconds;
use std::path::Path;
use std::sync::Arc;
use wharf::commands::{self, Context, EditResult, Edited, RunRequest};
use wharf_model::{Error, ErrorKind, Result};

impl Edit {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        // Files and variables of this command are read before anything is waited for.
        let env = environment(&self.variables.env, &self.variables.env_file)?;
        let profile = self.limits.permission_profile.as_deref().map(recorded_profile).transpose()?;
        let current_dir = &context.config().current_dir;
        let change = |before: RunRequest| {
            let mut request = self.cleared(before);
            request.env.extend(env.clone());
            request.permission_profile = profile.clone().or(request.permission_profile);
            self.changed(request, current_dir)
        };
        let mut steps = Steps::new(console, self.quiet, "");
        let edited = commands::edit(
            context,
            &self.name,
            &change,
            self.stop_timeout.of(context, &self.name),
            &mut steps,
        )
        .await
        .map_err(in_options)?;
        drop(steps);
        let done = format!("'{}' was changed; see: wharf export {0}", self.name);
        self.tell(&edited, console).map_err(Failure::untold(done))?;
        Ok(DONE)
    }

    fn tell(&self, edited: &Edited, console: &Console) -> std::io::Result<()> {
        if self.format == Format::Json {
            return console.json(edited);
        }
        match edited.result {
            EditResult::Restarted => console.line(&edited.url),
            EditResult::Recorded => console.line(&format!("{} is changed; it does not run", edited.name)),
            EditResult::Unchanged => console.line(&format!("{} is so already", edited.name)),
        }
    }

    /// The request without what is to be emptied.
    fn cleared(&self, mut request: RunRequest) -> RunRequest {
        for clear in &self.clear {
            match clear {
                Clear::Args => request.args.clear(),
                Clear::Env => request.env.clear(),
                Clear::Secrets => request.secrets.clear(),
                Clear::Volumes => request.volumes.clear(),
                Clear::Labels => request.labels.clear(),
                Clear::Origins => request.allowed_origins.clear(),
                Clear::Hosts => request.allowed_hosts.clear(),
                Clear::User => request.user = None,
                Clear::Entrypoint => request.container.entrypoint = None,
                Clear::Network => request.container.network = None,
                Clear::AddHosts => request.container.add_hosts.clear(),
                Clear::Tmpfs => request.container.tmpfs.clear(),
                Clear::ShmSize => request.container.shm_size_bytes = None,
                Clear::CapAdd => request.container.cap_add.clear(),
                Clear::Ulimits => request.container.ulimits.clear(),
                Clear::Platform => request.container.platform = None,
                Clear::StopTimeout => request.stop_timeout_ms = None,
                Clear::Pull => request.pull = None,
                Clear::PermissionProfile => request.permission_profile = None,
                Clear::Cpus => request.cpus = None,
                Clear::Memory => request.memory_bytes = None,
                Clear::PidsLimit => request.pids_limit = None,
                Clear::TargetPort => request.target_port = 0,
                Clear::TargetPath => request.target_path.clear(),
                Clear::Workdir => request.working_dir = None,
            }
        }
        request
    }

    fn changed(&self, mut request: RunRequest, current_dir: &Path) -> Result<RunRequest> {
        for key in &self.unset {
            if request.env.remove(key).is_none() {
                let message = format!("--unset {key}: '{}' has no such variable", self.name);
                return Err(Error::new(ErrorKind::Usage, message));
            }
        }
        put(&mut request.server, self.server.clone());
        let args = written_out(&request.server, &self.args, current_dir);
        put_all(&mut request.args, args);
        self.wire.put_into(&mut request);
        put(&mut request.unix_socket, self.unix_socket);
        self.given.put_into(&mut request, current_dir)?;
        self.container.put_into(&mut request);
        put(&mut request.container.no_init, self.no_init);
        put(&mut request.stop_timeout_ms, self.kept_stop_timeout.map(|time| Some(milliseconds(time))));
        self.limits.put_into(&mut request);
        put(&mut request.allow_weaker, self.allow_weaker);
        put(&mut request.restart, self.restart.map(Into::into));
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::super::run_arguments::Run;
    use super::*;
    use clap::{Args, Parser};

    #[derive(Parser)]
    struct Line<T: Args> {
        #[command(flatten)]
        given: T,
    }

    const OPTIONS: [&str; 26] = [
        "--ulimit",
        "nofile=64:128",
        "--cap-add",
        "SETUID",
        "--network",
        "none",
        "--add-host",
        "db:10.1.2.3",
        "--working-dir",
        "app",
        "--entrypoint",
        "/bin/sh",
        "--shm-size",
        "2m",
        "--tmpfs",
        "/tmp",
        "--stop-timeout",
        "1.5",
        "--platform",
        "linux/arm64",
        "--user",
        "nobody",
        "--memory",
        "64m",
        "--pids-limit",
        "8",
    ];

    #[test]
    fn a_workload_is_edited_to_what_run_makes_of_the_same_options() {
        let options = || OPTIONS.into_iter().chain(["--no-init"]);
        let run: Line<Run> = Line::parse_from(["run"].into_iter().chain(options()).chain(["sh"]));
        let made = run.given.described("sh", Path::new("/here")).unwrap();
        let edit = |options: Vec<&str>, before: RunRequest| {
            let edit: Line<Edit> = Line::parse_from(["edit", "demo"].into_iter().chain(options));
            edit.given.changed(edit.given.cleared(before), Path::new("/here")).unwrap()
        };
        let plain = RunRequest::new("sh");
        assert_ne!(made, plain);
        assert_eq!(edit(options().collect(), plain.clone()), made);
        // Nothing is named, and everything is.
        assert_eq!(edit(vec![], made.clone()), made);
        let all = [
            "ulimits",
            "cap-add",
            "network",
            "add-hosts",
            "workdir",
            "entrypoint",
            "shm-size",
            "tmpfs",
            "stop-timeout",
            "platform",
            "user",
            "memory",
            "pids-limit",
        ];
        let clear = all.into_iter().flat_map(|what| ["--clear", what]).chain(["--no-init=false"]);
        assert_eq!(edit(clear.collect(), made), plain);
    }
}
