//! The supervisor's first steps: reads the RunConfig, connects the owner and proves it, binds the proxy's port.
use crate::access;
use crate::client::protocol::SupervisorRequest;
use crate::client_socket::ClientSocket;
use crate::deployment::Deployment;
use crate::port::{bind, free_port};
use tokio::net::{TcpListener, UnixListener};
use wharf_descriptors as descriptors;
use wharf_failpoint::{Point, reach};
use wharf_model::{Error, ErrorKind, Result, Transport};
use wharf_proxy::Access;
use wharf_records::Store;
use wharf_runtimes::connect_owner;
use wharf_runtimes::{EventListener, Plugins};
use wharf_sdk::Capability;

/// The port of a server in a network of its own, if the user asked for none. It is the same each time, since a changed
/// specification would make another container.
const OWN_PORT: u16 = 8080;

/// Reads the RunConfig, connects the owner and proves it.
pub(crate) async fn connect(task: &SupervisorRequest, events: Option<EventListener>) -> Result<Deployment> {
    let config = task.config.clone();
    let store = Store::new(config.state());
    let run = store.read_run_config(&task.name)?;
    if run.uid != task.uid {
        return Err(Error::new(ErrorKind::Conflict, format!("'{}' is another workload by now", task.name)));
    }
    let access = Access::new(access::rule(&store, &run)?);
    let host_id = store.make_host_id()?.to_string();
    let mut options = config.connect_options();
    options.launcher.extend(descriptors::launcher_argument());
    let plugins = Plugins::new(options);
    let plugins = match events {
        Some(events) => plugins.listened_to_by(events),
        None => plugins,
    };
    let client = connect_owner(&plugins, &host_id, &run).await?;
    let target_port = match (run.transport, run.target_port) {
        (Transport::Stdio, _) => 0,
        (_, 0) if client.stamp().has(&Capability::PORT_MAPPING) => OWN_PORT,
        (_, 0) => free_port()
            .await
            .map_err(|error| Error::caused(ErrorKind::Failed, "no free port can be found", &error))?,
        (_, port) => port,
    };
    Ok(Deployment {
        config,
        store,
        run,
        host_id,
        client,
        target_port,
        access,
        proxy: None,
        is_reattached: false,
        session_servers: None,
        handle: None,
        recorded: None,
        earlier: None,
        resumed: None,
        zero_ends: std::sync::Arc::default(),
        counts: crate::counts::Counts::default(),
    })
}

/// The places where the proxy listens.
pub(crate) struct Listening {
    pub(crate) port: TcpListener,
    pub(crate) own_socket: Option<(ClientSocket, UnixListener)>,
}

/// Binds the proxy's port, and the user's own socket. A port that was chosen once is recorded and kept: clients have it in
/// their configurations.
pub(crate) async fn bind_port(deployment: &mut Deployment, is_free: bool) -> Result<Listening> {
    let listener = bind(&deployment.run, is_free).await?;
    let own_socket = ClientSocket::bind(deployment.store.state(), &deployment.run)?;
    reach(Point::PortBound);
    let port = listener
        .local_addr()
        .map_err(|error| Error::caused(ErrorKind::Failed, "the proxy's port cannot be told", &error))?
        .port();
    if deployment.run.port != port {
        let run = &deployment.run;
        deployment.run = deployment.store.update_run_config(&run.name, &run.uid, |run| run.port = port)?;
    }
    Ok(Listening { port: listener, own_socket })
}
