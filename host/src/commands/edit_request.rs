//! The workload that an edit makes: the request that describes it now, changed, and checked as that of a creation is.
//!
//! Called by the edit, under the operation lock. Changes nothing.
use crate::commands::choose_runtime::as_accepted;
use crate::commands::context::Context;
use crate::commands::described::{
    check_instances, check_request, check_restart_policy, refused, run_config, source_of, surroundings,
};
use crate::commands::group::check_group;
use crate::commands::lookup::connect_to_owner;
use crate::commands::request::RunRequest;
use std::collections::BTreeMap;
use std::sync::Arc;
use wharf_model::{Advice, Error, ErrorKind, Result, RunConfig};
use wharf_runtimes::RuntimeClient;
use wharf_sdk::{Pins, Source, WorkloadSpec};
use wharf_supervisor::{check_client_socket, check_port, source as server, specification};

/// Makes the request for the changed workload of the one that it is described by now.
pub type Change<'a> = dyn Fn(RunRequest) -> Result<RunRequest> + Send + Sync + 'a;

/// A workload as an edit makes it.
pub(crate) struct Changed {
    /// Its owner.
    pub(crate) client: Arc<RuntimeClient>,
    /// Its new RunConfig.
    pub(crate) run: RunConfig,
    /// Its specification, which the owner has accepted; none if nothing is changed.
    pub(crate) spec: Option<WorkloadSpec>,
}

/// The workload that `change` makes of `old`.
///
/// # Errors
/// The request asks for what an edit cannot change; or it is refused as that of a creation is.
pub(crate) async fn changed(context: &Context, old: &RunConfig, change: &Change<'_>) -> Result<Changed> {
    let before = RunRequest::from_config(old);
    let request = change(before.clone())?;
    refuse_another(old, &before, &request)?;
    check_request(&request)?;
    // One of an earlier version may be in a group whose name is refused by now, and stays in it.
    if request.group != before.group && !request.group.is_empty() {
        check_group(&request.group)?;
    }
    let client = connect_to_owner(context, old).await?;
    let (source, text) = if request.server == before.server {
        (recorded_source(context, old)?, before.server)
    } else {
        let (source, text) = source_of(context, &request)?;
        (as_accepted(context, &request, source, &client), text)
    };
    let mut run = carry_over(old, run_config(&request, old.name.clone(), &text, &source)?);
    run.working_dir = match (request.working_dir, &source) {
        (Some(folder), Source::Image { .. }) => folder,
        (Some(folder), _) => context.config().current_dir.join(folder).display().to_string(),
        (None, _) => String::new(),
    };
    if request.proxy_port == 0 {
        // Clients have it in their configurations.
        run.port = old.port;
    }
    if run == *old {
        return Ok(Changed { client, run, spec: None });
    }
    if run.unix_socket {
        check_client_socket(context.store().state(), &run.name)?;
    }
    if (run.port, &run.host) != (old.port, &old.host) && run.port != old.port && run.port != 0 {
        check_port(&run).await?;
    }
    check_restart_policy(&run, client.stamp())?;
    check_instances(&run, client.stamp())?;
    run.pinned = None;
    let host_id = context.host_id()?;
    let spec = specification(context.config(), &run, client.stamp(), &host_id, run.target_port.max(1))?;
    let refused = |error| refused(context, (&spec, client.stamp()), error);
    let mut before = old.pins()?;
    if run.server != old.server || run.env_vars.get("PATH") != old.env_vars.get("PATH") {
        // What was searched in the folders of before is no longer what is searched, or where.
        before.iter_mut().for_each(|pins| pins.search_path = None);
    }
    let mut now = client.pin(&spec).await.map_err(refused)?;
    if let Some(now) = &mut now {
        now.closed.clear();
    }
    let pinned = now.clone().map(|now| keep_pins(now, before.as_ref()));
    run.set_pins(pinned.as_ref())?;
    let is_accepted = now.is_some() && pinned == now;
    let spec = WorkloadSpec { pinned, ..spec.clone() };
    // The call for the pins knew nothing of those that are kept.
    if !is_accepted {
        client.validate(&spec).await.map_err(refused)?;
    }
    Ok(Changed { client, run, spec: Some(spec) })
}

/// Refuses a request for another workload: its name, its runtime, and the way to it stay; who may use its proxy is changed
/// in another way, which gives it another secret.
fn refuse_another(old: &RunConfig, before: &RunRequest, request: &RunRequest) -> Result<()> {
    let name = old.name.as_str();
    let fixed = [
        ("name", request.name.as_deref() != Some(name)),
        ("runtime", request.runtime != before.runtime),
        ("options of its runtime", request.runtime_options != before.runtime_options),
    ];
    if let Some((what, _)) = fixed.into_iter().find(|(_, is_other)| *is_other) {
        let message = format!("the {what} of a workload cannot be changed");
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("create another workload in its place")
            .advise(Advice::Remove { name: name.to_owned() }));
    }
    if request.auth != before.auth {
        let message = format!("an edit of '{name}' does not change whom its proxy serves");
        return Err(Error::new(ErrorKind::Usage, message)
            .advise(Advice::SetAuth { name: name.to_owned(), auth: request.auth }));
    }
    Ok(())
}

/// The source as it was recorded: a command may have the name of an image by now.
fn recorded_source(context: &Context, old: &RunConfig) -> Result<Source> {
    if !old.image.is_empty() {
        return Ok(Source::Image { reference: old.image.clone() });
    }
    let (source, _) = server::parse(&old.server, surroundings(context))
        .map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
    Ok(match source {
        Source::Image { reference } => Source::Command { program: reference },
        other => other,
    })
}

/// The new RunConfig with the fields of the old one that an edit does not change.
fn carry_over(old: &RunConfig, new: RunConfig) -> RunConfig {
    RunConfig {
        schema_version: old.schema_version,
        uid: old.uid.clone(),
        runtime_name: old.runtime_name.clone(),
        runtime_instance: old.runtime_instance.clone(),
        runtime_endpoint: old.runtime_endpoint.clone(),
        runtime_options: old.runtime_options.clone(),
        proxy_mode: old.proxy_mode,
        proxy_auth: old.proxy_auth,
        target_host: old.target_host.clone(),
        pinned: old.pinned.clone(),
        created_at: old.created_at,
        imported: old.imported.clone(),
        ..new
    }
}

/// A name that was pinned and is still used must lead where it led: the workload may have exchanged it.
fn keep_pins(now: Pins, before: Option<&Pins>) -> Pins {
    let Some(before) = before else { return now };
    let kept = |now: BTreeMap<String, String>| {
        let keep = |(name, path): (String, String)| {
            let earlier = before.paths.get(&name).or_else(|| before.fixed.get(&name));
            let path = earlier.cloned().unwrap_or(path);
            (name, path)
        };
        now.into_iter().map(keep).collect()
    };
    // A name may have gone over from one group to the other, since others can write its folder by now.
    // An edit may come from another terminal than the creation, with another PATH.
    let search_path = before.search_path.clone().or(now.search_path);
    Pins { paths: kept(now.paths), fixed: kept(now.fixed), closed: now.closed, search_path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(paths: &[(&str, &str)], fixed: &[(&str, &str)]) -> Pins {
        let map = |of: &[(&str, &str)]| {
            of.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
        };
        Pins { paths: map(paths), fixed: map(fixed), closed: Vec::new(), search_path: None }
    }

    #[test]
    fn a_name_that_was_exchanged_since_leads_where_it_led() {
        let before = pins(&[("/work/a", "/work/a"), ("/work/gone", "/x")], &[("sh", "/bin/dash")]);
        let now = pins(&[("/work/a", "/home/secret"), ("/work/new", "/work/new")], &[("sh", "/bin/sh")]);
        let kept = keep_pins(now.clone(), Some(&before));
        let expected = pins(&[("/work/a", "/work/a"), ("/work/new", "/work/new")], &[("sh", "/bin/dash")]);
        assert_eq!(kept, expected);
        assert_eq!(keep_pins(now.clone(), None), now);
    }

    #[test]
    fn an_edit_from_a_place_with_another_path_keeps_the_one_of_the_creation() {
        let of = |path: Option<&str>| Pins { search_path: path.map(str::to_owned), ..Pins::default() };
        let kept = |before| keep_pins(of(Some("/bin")), Some(&of(before))).search_path.unwrap();
        assert_eq!(kept(Some("/home/u/bin:/bin")), "/home/u/bin:/bin");
        assert_eq!(kept(None), "/bin");
    }
}
