//! `run`: makes a request from the arguments, and prints the result.
use super::argument_paths::{self, written_out};
use super::console::{Console, Format};
use super::failure::{DONE, Failure, Outcome};
use super::foreground;
use super::from_config;
use super::progress::{Steps, say_ready};
use super::run_arguments::Run;
use super::run_options::{environment, in_options, recorded_profile, refuse_unsupported};
use super::script::{self, Script};
use super::stop_timeout::milliseconds;
use std::path::Path;
use std::sync::Arc;
use wharf::commands::{self, Context, RunRequest, Started};
use wharf_model::Result;
use wharf_model::{ProxyAuth, RestartPolicy};
use wharf_supervisor::Config;

impl Run {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        refuse_unsupported(self)?;
        let mut request = self.request(context.config(), console)?;
        let is_asked = !self.quiet
            && self.format == Format::Text
            && argument_paths::ask(context, &mut request, console).await.map_err(in_options)?;
        if self.foreground {
            return foreground::run(context, &request, console, is_asked, self.quiet, self.format).await;
        }
        let mut steps = Steps::new(console, self.quiet, "");
        steps.was_asked(is_asked);
        let started = commands::run(context, &request, !self.no_wait, &mut steps).await;
        let started = started.map_err(|error| steps.explained(in_options(error)))?;
        drop(steps);
        let done = if self.no_wait { "is being started" } else { "runs" };
        let done = format!("'{name}' {done}; its URL: wharf url {name}", name = started.name);
        self.tell(&started, console).map_err(Failure::untold(done))?;
        if request.auth == ProxyAuth::Bearer && !self.quiet && self.format == Format::Text {
            console.note(&format!("its clients send a token: wharf url {} --token", started.name));
        }
        Ok(DONE)
    }

    fn tell(&self, started: &Started, console: &Console) -> std::io::Result<()> {
        match (self.format, self.no_wait) {
            (Format::Json, _) => console.json(started)?,
            (Format::Text, true) => console.line(&started.name)?,
            (Format::Text, false) => console.line(&started.url)?,
        }
        if !self.quiet && !self.no_wait && self.format == Format::Text {
            say_ready(console, &started.name, &started.runtime_name);
        }
        Ok(())
    }

    fn request(&self, config: &Config, console: &Console) -> Result<RunRequest> {
        let mut request = match (&self.from_config, &self.server) {
            (Some(path), _) => from_config::read(path)?,
            (None, server) => {
                let server = server.as_deref().unwrap_or_default();
                let script = script::find(server, &config.current_dir, &config.search_path)?;
                let request = self.described(server, &config.current_dir)?;
                self.interpreted(request, script, console)
            }
        };
        request.allow_weaker |= self.allow_weaker;
        request.unix_socket |= self.unix_socket;
        if let Some(name) = &self.name {
            // A copy under another name runs beside the original, so it gets a port of its own.
            if request.name.as_deref().is_some_and(|other| other != name.as_str()) {
                request.proxy_port = 0;
            }
            request.name = Some(name.to_string());
        }
        if let Some(runtime) = &self.runtime {
            request.runtime = Some(runtime.clone());
        }
        if let Some(port) = self.wire.proxy_port {
            request.proxy_port = port;
        }
        // A copy may be made in another cluster or namespace, so these options are allowed, too.
        for (option, value) in [("context", &self.kube_context), ("namespace", &self.namespace)] {
            if let Some(value) = value {
                request.runtime_options.insert(option.to_owned(), value.clone());
            }
        }
        Ok(request)
    }

    /// The request for a script, with its interpreter.
    fn interpreted(&self, mut request: RunRequest, script: Option<Script>, console: &Console) -> RunRequest {
        let Some(script) = script else { return request };
        if let Some(file) = script.argument {
            request.named_after = Some(std::mem::replace(&mut request.server, script.server));
            request.args.insert(0, file);
        } else {
            request.server = script.server;
        }
        if let Some(interpreter) = script.interpreter.filter(|_| !self.quiet && self.format == Format::Text) {
            let script = request.named_after.as_deref().unwrap_or_default();
            console.note(&format!("note: '{script}' is run with {}", interpreter.display()));
        }
        request
    }

    /// The request for a SERVER with these options.
    pub(super) fn described(&self, server: &str, current_dir: &Path) -> Result<RunRequest> {
        let mut request = RunRequest::new(server);
        request.args = written_out(server, &self.args, current_dir);
        self.wire.put_into(&mut request);
        request.auth = self.auth.map_or(request.auth, ProxyAuth::from);
        request.env = environment(&self.variables.env, &self.variables.env_file)?;
        self.given.put_into(&mut request, current_dir)?;
        if let Some(given) = &self.limits.permission_profile {
            request.permission_profile = Some(recorded_profile(given)?);
        }
        self.container.put_into(&mut request);
        request.container.no_init = self.no_init;
        request.stop_timeout_ms = self.stop_timeout.map(milliseconds);
        self.limits.put_into(&mut request);
        request.restart = self.restart.map(RestartPolicy::from).unwrap_or_default();
        Ok(request)
    }
}
