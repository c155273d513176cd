//! The memory of fifty supervisors.
use crate::{
    Result,
    host::{Memory, Running, memory},
};
use serde::Serialize;
use serde_json::{Value, to_value};
use wharf_tests::host::Host;

const SUPERVISORS: usize = 50;

#[derive(Serialize)]
struct Together {
    supervisors: usize,
    /// The memory of all supervisors.
    pss_kib: u64,
    /// The memory of one alone, before there were others to share pages with.
    pss_of_first_kib: u64,
    /// The memory of all launchers.
    launchers_pss_kib: u64,
}

/// Starts them, and adds up the private memory of each and its share of the common pages.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let host = Host::new();
    let first = Running::start(&host, &[])?;
    let pss_of_first_kib = memory(first.supervisor)?.pss_kib;
    let mut running = vec![first];
    for number in 1..SUPERVISORS {
        running.push(Running::start_as(&host, &format!("bench-{number}"), &[])?);
    }
    let sum = |pids: fn(&Running) -> u32| -> Result<u64> {
        running.iter().map(|one| Ok(memory(pids(one)).map(|Memory { pss_kib, .. }| pss_kib)?)).sum()
    };
    let together = Together {
        supervisors: SUPERVISORS,
        pss_kib: sum(|one| one.supervisor)?,
        pss_of_first_kib,
        launchers_pss_kib: sum(|one| one.launcher)?,
    };
    host.ok(&["rm", "--all"]);
    println!("Memory of {SUPERVISORS} supervisors in KiB (PSS)");
    println!("all {:>19}\neach {:>18}", together.pss_kib, together.pss_kib / SUPERVISORS as u64);
    println!("the first alone {pss_of_first_kib:>7}\nall launchers {:>9}", together.launchers_pss_kib);
    Ok(to_value(together)?)
}
