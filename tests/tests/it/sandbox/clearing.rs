//! Whatever a workload does to its own folder, it can be restarted, started and removed.
use super::hosts;
use std::fs;
use wharf_tests::host::{Host, demo_server, eventually, kill, runs};

/// A workload that takes rights away from its owner: folders without rights, as in Go's cache of modules, links to other
/// files; at last its own folder and that for temporary files.
fn hostile(host: &Host) -> String {
    let text = format!(
        "mkdir -p $TMPDIR/mod/a/b\ntouch $TMPDIR/mod/a/f $TMPDIR/mod/a/b/f\nchmod 0555 $TMPDIR/mod/a/b $TMPDIR/mod/a\n\
         chmod 0 $TMPDIR/mod\nln -s $PWD $TMPDIR/link\n\
         chmod 0 $TMPDIR $TMPDIR/..\nexec {}",
        demo_server()
    );
    host.script("hostile", &text)
}

fn keepsakes(host: &Host) -> usize {
    fs::read_dir(host.work()).unwrap().count()
}

#[test]
fn a_workload_that_locks_its_own_folder_is_restarted_started_and_removed() {
    for host in hosts().into_iter().chain(hosts().into_iter().map(Host::without_namespaces)) {
        let server = hostile(&host);
        let before = keepsakes(&host);
        host.run(&["--name", "hostile", &server]);
        host.ok(&["restart", "hostile"]);
        let pid = host.server("hostile");
        kill(pid, "KILL");
        eventually("it is back", || host.server("hostile") != pid && runs(host.server("hostile")));
        eventually("it is ready", || host.row("hostile").unwrap()["status"] == "running");
        host.ok(&["stop", "hostile"]);
        host.ok(&["start", "hostile"]);
        host.ok(&["rm", "hostile"]);
        assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
        assert_eq!(keepsakes(&host), before, "what its links led to is there");
    }
}
