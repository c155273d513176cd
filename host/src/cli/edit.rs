//! `edit`: makes the changed request of the arguments, and prints the result.
use super::argument_paths::written_out;
use super::console::{Console, Format};
use super::edit_arguments::{Clear, Edit};
use super::failure::{DONE, Failure, Outcome};
use super::progress::Steps;
use super::run_options::{environment, recorded_profile, volume_from};
use std::path::Path;
use std::sync::Arc;
use wharf::commands::{self, Context, EditResult, Edited, RunRequest};
use wharf_model::{Error, ErrorKind, Result};

impl Edit {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        // Files and variables of this command are read before anything is waited for.
        let env = environment(&self.env, &self.env_file)?;
        let profile = self.permission_profile.as_deref().map(recorded_profile).transpose()?;
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
        .await?;
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
        /// Replaces a value by one that was given.
        fn put<T: Clone>(place: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *place = given;
            }
        }
        /// The same for a list, where none was given if it is empty.
        fn put_all<T: Clone>(place: &mut Vec<T>, given: Vec<T>) {
            if !given.is_empty() {
                *place = given;
            }
        }
        for key in &self.unset {
            if request.env.remove(key).is_none() {
                let message = format!("--unset {key}: '{}' has no such variable", self.name);
                return Err(Error::new(ErrorKind::Usage, message));
            }
        }
        put(&mut request.server, self.server.clone());
        let args = written_out(&request.server, &self.args, current_dir);
        put_all(&mut request.args, args);
        put(&mut request.transport, self.transport.map(Into::into));
        put(&mut request.instances, self.instances.map(Into::into));
        put(&mut request.proxy_port, self.proxy_port);
        put(&mut request.target_port, self.target_port);
        put(&mut request.host, self.host.clone());
        put(&mut request.unix_socket, self.unix_socket);
        put_all(&mut request.allowed_origins, self.allow_origin.clone());
        put_all(&mut request.allowed_hosts, self.allow_host.clone());
        put(&mut request.target_path, self.target_path.clone());
        if let Some(folder) = &self.workdir {
            request.working_dir = Some(current_dir.join(folder).display().to_string());
        }
        put_all(&mut request.secrets, self.secret.clone());
        let volumes = self.volume.iter().map(|volume| volume_from(volume, current_dir));
        put_all(&mut request.volumes, volumes.collect::<Result<_>>()?);
        request.labels.extend(self.label.iter().cloned());
        put(&mut request.group, self.group.clone());
        request.user = self.user.clone().or(request.user);
        request.pull = self.pull.map(Into::into).or(request.pull);
        request.cpus = self.cpus.or(request.cpus);
        request.memory_bytes = self.memory.or(request.memory_bytes);
        request.pids_limit = self.pids_limit.or(request.pids_limit);
        put(&mut request.allow_weaker, self.allow_weaker);
        put(&mut request.restart, self.restart.map(Into::into));
        Ok(request)
    }
}
