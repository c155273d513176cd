//! Loads runtimes one after the other in a process of its own, and prints after each step what is mapped there.
//!
//! `wharf-test-load PLUGINS DATA NAME...`. It prints a line of JSON for the search and one for each name, and waits for a
//! line on its standard input after each; at the end it asks every runtime for its instance and prints those.
use serde_json::json;
use std::{env, io::stdin, path::PathBuf};
use wharf_tests::{HOST_ID, mapped, mapped_memory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let plugins = PathBuf::from(args.next().ok_or("no folder of plugins")?);
    let data = PathBuf::from(args.next().ok_or("no folder for data")?);
    let host = wharf_runtimes::Plugins::new(wharf_tests::options(&plugins, &data));
    let found: Vec<&str> =
        host.catalog().runtimes().iter().map(|provided| provided.runtime.name.as_str()).collect();
    let there = || {
        let copies = mapped(&data.join("cache"));
        json!({ "in_place": mapped(&plugins), "copies": copies, "memory": mapped_memory().len() })
    };
    tell(&json!({ "found": found, "mapped": there() }))?;
    let mut clients = Vec::new();
    for name in args {
        clients.push(host.connect(&name, None, HOST_ID).await?);
        tell(&json!({ "connected": name, "mapped": there() }))?;
    }
    let mut instances = Vec::new();
    for client in clients {
        instances.push(client.instance().await?.instance);
    }
    tell(&json!({ "instances": instances, "mapped": there() }))?;
    wharf_runtimes::leave(0)
}

#[expect(clippy::print_stdout, reason = "its output is what the test reads")]
fn tell(value: &serde_json::Value) -> std::io::Result<()> {
    println!("{value}");
    stdin().read_line(&mut String::new())?;
    Ok(())
}
