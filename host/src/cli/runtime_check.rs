//! `runtime check`: tries runtimes. `doctor` does, too.
use super::advice;
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome, ended};
use super::table::Table;
use clap::Args;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wharf::commands::{Context, check_runtime_options, network_verdicts, probe_network};
use wharf_model::{Error, ErrorKind, Result};
use wharf_runtimes::{Catalog, Plugins};
use wharf_sdk::{Confinement, Health, HealthState, Measure, NetworkVerdict};

const CHECK_EXAMPLES: &str = "Examples:
  wharf runtime check
  wharf runtime check process --format json
  wharf runtime check kubernetes --kube-context dev --namespace team-a
  wharf runtime check kubernetes --probe-network";

/// How long a runtime may take to say whether it can be used, and who answers. Nothing is done because of the answer, so an
/// engine that has much to do is not waited for as by who starts something.
const PATIENCE: Duration = Duration::from_secs(10);

/// Load runtimes and try whether they can be used here and now
///
/// Succeeds if all that are named can be used, or any one where none is named.
///
/// JSON: an array of name, state (healthy, unhealthy, undetected, failed), message, remedy, instance, endpoint,
/// confinement (what can be enforced here: enforced, weaker, arrays of what, how), network (the last verdict on the instance's
/// networks: instance, enforced, at, how).
#[derive(Args)]
#[command(after_long_help = CHECK_EXAMPLES)]
pub(super) struct Check {
    /// The runtimes' names; all of them where none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Try out whether networks can be closed, and keep the verdict for later workloads; starts two short ones of the
    /// runtime's own
    #[arg(long, requires = "names")]
    probe_network: bool,
    /// The context of the kubeconfig that says which cluster is tried [default: the current one]
    #[arg(long, value_name = "NAME", requires = "names")]
    kube_context: Option<String>,
    /// The namespace of the cluster that is tried [default: the context's]
    #[arg(long, value_name = "NAME", requires = "names")]
    namespace: Option<String>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// The state of a runtime, here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum RuntimeState {
    /// It can be used.
    Healthy,
    /// It is here and cannot be used.
    Unhealthy,
    /// Nothing of it is here.
    Undetected,
    /// It could not be asked.
    Failed,
}

impl RuntimeState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Undetected => "undetected",
            Self::Failed => "failed",
        }
    }
}

/// The outcome of trying a runtime.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RuntimeCheck"))]
pub(super) struct Tried {
    /// Its name.
    pub(super) name: String,
    /// Its state.
    pub(super) state: RuntimeState,
    /// The reason for the state.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    /// The remedy, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
    /// The instance that answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    instance: String,
    /// The endpoint through which it was reached.
    #[serde(skip_serializing_if = "String::is_empty")]
    endpoint: String,
    /// The confinement that it can enforce here.
    #[serde(skip_serializing_if = "Option::is_none")]
    confinement: Option<Confinement>,
    /// The last verdict on its networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
}

/// Whether an instance enforces the rules of networks, as was tried out.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "NetworkTrial"))]
pub(super) struct Network {
    /// The instance in which it was tried.
    instance: String,
    /// Whether it does.
    enforced: bool,
    /// When it was tried.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    at: Timestamp,
    /// The trial and its outcome.
    #[serde(skip_serializing_if = "String::is_empty")]
    how: String,
}

impl From<NetworkVerdict> for Network {
    fn from(verdict: NetworkVerdict) -> Self {
        let NetworkVerdict { instance, enforced, at_ms, how } = verdict;
        let at = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self { instance, enforced, at: at.unwrap_or_default(), how }
    }
}

impl Tried {
    pub(super) fn is_healthy(&self) -> bool {
        self.state == RuntimeState::Healthy
    }
}

impl Check {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let (plugins, host_id) = (context.plugins(), context.known_host_id()?);
        let names = if self.names.is_empty() { names(plugins.catalog()) } else { self.names.clone() };
        let options = self.options();
        for name in &self.names {
            // An unknown name or option is an error of the request, unlike a runtime that does not work.
            check_runtime_options(context, name, &options)?;
        }
        let mut tried = join_all(names.iter().map(|name| attempt(plugins, &host_id, name, &options))).await;
        for row in &mut tried {
            let verdict = match self.probe_network {
                true => Some(probe_network(context, &row.name, &options).await?),
                false => network_verdicts(context).on(&row.name, &row.instance),
            };
            row.network = verdict.map(Network::from);
        }
        let printed = match self.format {
            Format::Json => console.json(&tried),
            Format::Text => tell(&tried, console),
        };
        let fine = if self.names.is_empty() {
            tried.iter().any(Tried::is_healthy)
        } else {
            tried.iter().all(Tried::is_healthy)
        };
        ended(if fine { DONE } else { ErrorKind::Owner.exit_code() }, printed)
    }

    /// The options of workloads that lead to another cluster, or to another place in it.
    fn options(&self) -> BTreeMap<String, String> {
        let values = [&self.kube_context, &self.namespace];
        let options = advice::PLACE_OPTIONS.into_iter().map(|(_, name)| name).zip(values);
        let given = options.filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        given.collect()
    }
}

fn tell(tried: &[Tried], console: &Console) -> std::io::Result<()> {
    if tried.is_empty() {
        console.note("no plugins were found");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATE", "INSTANCE", "MESSAGE"]);
    for row in tried {
        let separator = if row.remedy.is_empty() { "" } else { "; " };
        let message = format!("{}{separator}{}", row.message, row.remedy);
        table.row([&row.name, row.state.as_str(), &row.instance, &message]);
    }
    for line in table.render(None, &[]) {
        console.line(&line)?;
    }
    tried.iter().try_for_each(|row| tell_confinement(row, console))?;
    tried.iter().try_for_each(|row| tell_network(row, console))
}

/// Prints the verdict on the networks of a runtime's instance.
fn tell_network(row: &Tried, console: &Console) -> std::io::Result<()> {
    let Some(Network { instance, enforced, at, how }) = &row.network else { return Ok(()) };
    let verb = if *enforced { "closes" } else { "does not close" };
    let seconds = Timestamp::from_second(at.as_second()).unwrap_or_default();
    let line = format!("{} {verb} networks in {instance}, as was tried at {seconds}: {how}", row.name);
    console.line(&format!("\n{}", escape::line(&line)))
}

/// Prints the confinement that a runtime can enforce here, one part in each line.
fn tell_confinement(row: &Tried, console: &Console) -> std::io::Result<()> {
    let Some(confinement) = &row.confinement else { return Ok(()) };
    let lists = [("enforces", &confinement.enforced), ("does not enforce", &confinement.weaker)];
    for (verb, measures) in lists.into_iter().filter(|(_, measures)| !measures.is_empty()) {
        console.line(&format!("\n{} {verb} here:", row.name))?;
        for Measure { what, how } in measures {
            console.line(&escape::line(&format!("  {what}: {how}")))?;
        }
    }
    Ok(())
}

/// The names of all runtimes, each once.
pub(super) fn names(catalog: &Catalog) -> Vec<String> {
    let mut names: Vec<String> =
        catalog.runtimes().iter().map(|provided| provided.runtime.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn silent() -> Error {
    let message = format!("it gave no answer within {} s", PATIENCE.as_secs());
    Error::new(ErrorKind::Deadline, message).hint("it may be busy: try again")
}

/// Loads a runtime and asks it whether it can be used, in the place that these options lead to.
pub(super) async fn attempt(
    plugins: &Plugins,
    host_id: &str,
    name: &str,
    options: &BTreeMap<String, String>,
) -> Tried {
    let asked = async {
        let client = plugins.connect_with(name, options, host_id).await?;
        let deadline = Instant::now() + PATIENCE;
        let health = timeout_at(deadline, client.health()).await.map_err(|_| silent())??;
        let instance = timeout_at(deadline, client.instance()).await.ok().and_then(std::result::Result::ok);
        let confinement = client.confinement().await?;
        Ok::<_, Error>((health, instance, confinement))
    };
    let outcome: Result<_> = asked.await;
    let name = name.to_owned();
    match outcome {
        Err(error) => {
            let remedy = advice::line(&error.advice);
            let (instance, endpoint) = (String::new(), String::new());
            Tried {
                name,
                state: RuntimeState::Failed,
                message: error.message,
                remedy,
                instance,
                endpoint,
                confinement: None,
                network: None,
            }
        }
        Ok((health, instance, confinement)) => {
            let state = match health.state {
                HealthState::Healthy => RuntimeState::Healthy,
                HealthState::Unhealthy => RuntimeState::Unhealthy,
                HealthState::Undetected => RuntimeState::Undetected,
            };
            let (instance, endpoint) =
                instance.map(|instance| (instance.instance, instance.endpoint)).unwrap_or_default();
            let Health { message, remedy, .. } = health;
            Tried { name, state, message, remedy, instance, endpoint, confinement, network: None }
        }
    }
}
