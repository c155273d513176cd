//! The same server behind wharf.
use crate::{
    Result,
    list::Server,
    place::Place,
    report::brief,
    tools::{Started, settled},
};
use std::time::Instant;
use wharf_tests::client::Client;

/// The name of the one workload.
const NAME: &str = "compared";

/// Runs a server, lists its tools as a client of its proxy, and removes it.
pub(crate) fn start(place: &Place, server: &Server) -> Result<Started> {
    let Place { host, folder, .. } = place;
    let mut arguments = Vec::from(["run", "--quiet", "--name", NAME].map(str::to_owned));
    for (name, value) in server.environment(folder) {
        arguments.extend(["-e".to_owned(), format!("{name}={value}")]);
    }
    if server.has_folder() {
        arguments.extend(["-v".to_owned(), folder.display().to_string()]);
    }
    arguments.extend([server.url(), "--".to_owned()]);
    arguments.extend(server.arguments(folder));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let began = Instant::now();
    let said = host.wharf(&arguments);
    let started = match said.code {
        0 => list(said.stdout.trim(), began),
        code => Err(format!("wharf run ended with code {code}: {}", brief(&said.stderr)).into()),
    };
    let removed = host.wharf(&["rm", NAME]);
    let started = started?;
    if removed.code != 0 {
        let code = removed.code;
        return Err(format!("wharf rm ended with code {code}: {}", brief(&removed.stderr)).into());
    }
    host.assert_nothing_runs();
    Ok(started)
}

/// Ready is a server whose client has its answer to `initialize`, as it is without wharf.
fn list(url: &str, began: Instant) -> Result<Started> {
    let mut client = Client::open(url)?;
    let ready = began.elapsed();
    let tools = settled(|params| Ok(client.request("tools/list", params.clone())?))?;
    client.leave()?;
    Ok(Started { ready, tools })
}
