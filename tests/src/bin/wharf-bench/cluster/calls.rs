//! Calls a second through attached stdio and through connections over the API server, compared with `kubectl port-forward`
//! to the same server; and the memory of the supervisors that carried them.
use super::{NAME, PORT, STDIO, Side};
use crate::{
    Result,
    client::{Load, Sample},
    host::{Memory, memory},
};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};
use wharf_tests::{cluster::Cluster, host::kill};

const ROUNDS: usize = 5;
const LASTS: Duration = Duration::from_secs(1);
/// The number of clients at once, and the bytes of each call's argument.
const LOADS: [(usize, usize); 3] = [(1, 32), (16, 32), (1, 64 * 1024)];

#[derive(Serialize)]
struct Report {
    calls: Vec<Row>,
    memory: Vec<Kept>,
}

#[derive(Serialize)]
struct Row {
    way: &'static str,
    clients: usize,
    payload_bytes: usize,
    #[serde(flatten)]
    sample: Sample,
    /// Calls a second, as a multiple of those over `kubectl port-forward`.
    ratio: f64,
}

#[derive(Serialize)]
struct Kept {
    of: &'static str,
    #[serde(flatten)]
    memory: Memory,
    /// Its PSS, as a multiple of that of `kubectl port-forward`.
    ratio: f64,
}

/// `kubectl port-forward`, for as long as it is held.
struct Forward {
    kubectl: Child,
    target: String,
    /// It ends when nobody can read what it says of each connection.
    _output: BufReader<ChildStdout>,
}

impl Forward {
    fn to(side: &Side<'_>) -> Result<Self> {
        let port = side.field("services", ".spec.ports[0].port");
        let pod = format!("pod/{}", side.field("pods", ".metadata.name"));
        let mut command = side.namespace.command(&["port-forward", &pod, &format!(":{port}")]);
        let mut kubectl = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut output = BufReader::new(kubectl.stdout.take().ok_or("no pipe")?);
        output.read_line(&mut line)?;
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
        let address = address.ok_or_else(|| format!("kubectl says {line:?}"))?;
        Ok(Self { target: format!("{address}/mcp"), kubectl, _output: output })
    }
}

impl Forward {
    /// The process that carries the connections: timeout(1) has started it.
    fn memory(&self) -> Result<Memory> {
        let pid = self.kubectl.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let child = children.split_whitespace().next().ok_or("kubectl is not to be found")?;
        Ok(memory(child.parse()?)?)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // timeout(1), which kubectl runs under, passes this signal on.
        kill(self.kubectl.id().cast_signed(), "TERM");
        let _ = self.kubectl.wait();
    }
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(cluster: &Cluster) -> Result<Value> {
    let (stdio, port) = (Side::of(cluster, "attached")?, Side::of(cluster, "dialed")?);
    let target = |url: String| url.trim_start_matches("http://").to_owned();
    let attached = target(stdio.run(NAME, STDIO, &[]));
    let dialed = target(port.run(NAME, PORT, &[]));
    let forward = Forward::to(&port)?;
    let ways = [("attach", &attached), ("dial", &dialed), ("kubectl port-forward", &forward.target)];
    println!("Calls through the API server, medians of {ROUNDS} times {} s in turns", LASTS.as_secs());
    println!("way                   clients  bytes  per second  p50 us  p99 us  ratio");
    let mut calls = Vec::new();
    for (clients, payload) in LOADS {
        let mut samples = ways.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for ((_, target), samples) in ways.iter().zip(&mut samples) {
                samples.push(Load { clients, payload, lasts: LASTS }.run(target)?);
            }
        }
        let samples = samples.map(|samples| Sample::median(&samples));
        let [_, _, forwarded] = samples;
        for ((way, _), sample) in ways.iter().zip(samples) {
            let Sample { per_second, p50_us, p99_us, .. } = sample;
            let ratio = per_second / forwarded.per_second;
            println!(
                "{way:<21} {clients:>7} {payload:>6} {per_second:>11.0} {p50_us:>7.0} {p99_us:>7.0} {ratio:>6.2}"
            );
            calls.push(Row { way, clients, payload_bytes: payload, sample, ratio });
        }
    }
    let carried = forward.memory()?;
    let mut kept = vec![("kubectl port-forward", carried)];
    for (side, of) in [(&stdio, "supervisor over stdio"), (&port, "supervisor over a port")] {
        let supervisor = side.host.record(NAME)["process_id"].as_u64().ok_or("no supervisor")?;
        kept.push((of, memory(u32::try_from(supervisor)?)?));
    }
    println!("memory in KiB             PSS    its own  ratio");
    let kept = kept.into_iter().map(|(of, memory)| {
        let ratio = memory.pss_kib as f64 / carried.pss_kib as f64;
        println!("{of:<22} {:>6} {:>10} {ratio:>6.2}", memory.pss_kib, memory.pss_anon_kib);
        Kept { of, memory, ratio }
    });
    let kept = kept.collect();
    drop(forward);
    stdio.remove();
    port.remove();
    Ok(to_value(Report { calls, memory: kept })?)
}
