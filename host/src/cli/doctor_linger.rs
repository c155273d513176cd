//! The check of `doctor` on lingering: where systemd runs, a logout may end the workloads of a user who does not linger, and
//! nothing of that user runs after a reboot. No other command would say so. Root needs none of it.
use super::finding::Finding;
use wharf::commands::Context;
use wharf_supervisor::systemd_scope;

/// The finding, if a workload is on record that it concerns.
pub(super) fn examine(context: &Context) -> Option<Finding> {
    if rustix::process::geteuid().is_root() || !systemd_scope::is_booted() {
        return None;
    }
    // The check of the records reports an unreadable folder.
    let has_workloads = context.store().list_run_configs().is_ok_and(|found| !found.is_empty());
    finding(has_workloads, systemd_scope::lingers())
}

fn finding(has_workloads: bool, lingers: Option<bool>) -> Option<Finding> {
    match lingers.filter(|_| has_workloads)? {
        true => {
            Some(Finding::ok("linger", "you linger: supervisors that start from now on go on after a logout"))
        }
        false => {
            let message = "you do not linger: workloads may end when you log out, and after a reboot nothing of yours runs \
                           before you log in";
            let remedy =
                "run: loginctl enable-linger; for each workload that runs already: wharf restart NAME";
            Some(Finding::warning("linger", message, remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_linger_and_has_workloads_is_told_so() {
        let said = |has_workloads, lingers| {
            let found = finding(has_workloads, lingers);
            found.map(|found| serde_json::to_string(&found).unwrap()).unwrap_or_default()
        };
        let warned = said(true, Some(false));
        assert!(
            warned.contains(r#""result":"warning""#) && warned.contains("loginctl enable-linger"),
            "{warned}"
        );
        assert!(said(true, Some(true)).contains(r#""result":"ok""#));
        for nothing in [said(false, Some(false)), said(false, Some(true)), said(true, None)] {
            assert_eq!(nothing, "");
        }
    }
}
