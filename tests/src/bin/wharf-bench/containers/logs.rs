//! The last lines of as large a log as is kept of a container (30 MB), with `wharf logs` and with the engine's own client.
use super::Side;
use crate::{Result, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::time::{Duration, Instant};
use wharf_tests::{engines::SHELL_IMAGE, host::EVENT_WAIT};

const READS: usize = 5;
const NAME: &str = "bench";
/// A server that writes 40 MB to its log once it was spoken to.
const SCRIPT: &str = r#"read -r line
id=${line##*\"id\":}
id=${id%%[,\}]*}
echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"shell","version":"1"}}}'
pad=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
i=0
while [ $i -lt 400000 ]; do
  i=$((i+1))
  echo $i $pad >&2
done
echo all is said >&2
cat >/dev/null"#;

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    /// `wharf logs -n 5`.
    wharf_logs_ms: f64,
    /// The client's `logs --tail 5`.
    client_logs_ms: f64,
    ratio: f64,
}

/// Measures it on all engines that can have a shell.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(sides: &[Side]) -> Result<Value> {
    println!("The last 5 lines of a log of 30 MB, medians of {READS} in turns, in ms");
    println!("engine  wharf logs  its client  times");
    let mut rows = Vec::new();
    for side in sides {
        if !side.engine.import_shell() {
            continue;
        }
        let run =
            ["--quiet", "--runtime", side.name(), "--name", NAME, SHELL_IMAGE, "--", "sh", "-c", SCRIPT];
        side.host.run(&run);
        let row = of(side)?;
        let Row { engine, wharf_logs_ms, client_logs_ms, ratio } = row;
        println!("{engine:<7} {wharf_logs_ms:>10.0} {client_logs_ms:>11.0} {ratio:>6.1}");
        rows.push(row);
        side.host.ok(&["rm", "--timeout", "0", NAME]);
    }
    Ok(to_value(rows)?)
}

fn of(side: &Side) -> Result<Row> {
    let deadline = Instant::now() + EVENT_WAIT;
    while !side.host.ok(&["logs", NAME, "-n", "1"]).contains("all is said") {
        if Instant::now() > deadline {
            return Err("the log is not written".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let container = side.container(NAME)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..READS {
        let began = Instant::now();
        let lines = side.host.ok(&["logs", NAME, "-n", "5"]);
        ours.push(began.elapsed());
        if lines.lines().count() != 5 {
            return Err(format!("these are not 5 lines: {lines}").into());
        }
        let began = Instant::now();
        side.engine.client(&["logs", "--tail", "5", &container]);
        theirs.push(began.elapsed());
    }
    let (wharf_logs_ms, client_logs_ms) = (milliseconds(&ours), milliseconds(&theirs));
    Ok(Row { engine: side.name(), wharf_logs_ms, client_logs_ms, ratio: wharf_logs_ms / client_logs_ms })
}
