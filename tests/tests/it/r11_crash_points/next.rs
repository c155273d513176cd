//! The commands after a kill: they finish or undo the interrupted command.
use super::act::Act;
use super::lab::{Lab, NAME};
use std::time::{Duration, Instant};
use wharf_tests::host::Said;

/// How long a command may be repeated, because another one or a supervisor is still at work.
const AGAIN_LIMIT: Duration = Duration::from_secs(20);

impl Lab {
    /// Runs the next commands, and returns their effects in words.
    pub(super) fn go_on(&self, act: Act, said: &Said, then: &str) -> Result<String, String> {
        let mut story = Vec::new();
        if act == Act::RestartReconciled {
            story.push(self.reconcile_alone(said)?);
        }
        if act == Act::ForgetMute {
            story.push(self.forget()?);
        }
        if act.records_owner() && self.is_known() {
            story.push(self.record_owner(act)?);
        }
        if act == Act::SetAside {
            self.kept()?;
        }
        if act == Act::Import && then != "start" {
            story.push(self.import_again()?);
        }
        if !self.is_known() {
            // At most a temporary file may be left of it, which the next writer of that name removes.
            let said = self.run("no", None)?;
            if said.code != 0 {
                return Err(format!("its name is not free: code {}: {}", said.code, said.stderr));
            }
            story.push("run: code 0".to_owned());
        }
        if then != "rm" && self.is_known() {
            story.push(self.start_or_stop(act, then)?);
        }
        story.push(self.remove(act)?);
        Ok(story.join("; "))
    }

    /// An unfinished import is finished, and a finished one is not repeated.
    fn import_again(&self) -> Result<String, String> {
        let said = self.wharf(&["import", "toolhive"], None)?;
        if said.code != 0 || self.record().is_none_or(|record| record["status"] != "stopped") {
            return Err(format!("import: code {}, then {:?}: {}", said.code, self.record(), said.stderr));
        }
        Ok(format!("import: code {}", said.code))
    }

    /// The supervisor hears nobody: that is all that can be done about it. What it leaves is an orphan, with a port.
    fn forget(&self) -> Result<String, String> {
        let said = self.wharf(&["rm", "--forget", NAME], None)?;
        if said.code != 0 && self.is_known() {
            return Err(format!("rm --forget: code {}: {}", said.code, said.stderr));
        }
        self.remove_orphans()?;
        Ok(format!("rm --forget: code {}", said.code))
    }

    fn start_or_stop(&self, act: Act, then: &str) -> Result<String, String> {
        let deadline = Instant::now() + AGAIN_LIMIT;
        let mut said = self.wharf(&[then, NAME], None)?;
        // The supervisor may just be restarting the workload by itself.
        while said.stderr.contains("is bringing it back") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            said = self.wharf(&[then, NAME], None)?;
        }
        let status = self.shown();
        let wanted = if then == "start" { "running" } else { "stopped" };
        let told = format!("{then}: code {}, then {}", said.code, status.as_deref().unwrap_or("gone"));
        match (said.code, status) {
            (0, Some(status)) if status == wanted => {}
            (6, Some(status)) if act == Act::RunBroken && status == "error" => {}
            // An interrupted removal is for `rm` to finish; the refusal says so.
            (4, Some(_)) if self.is_removing() && said.stderr.contains("wharf rm victim") => {}
            // Another test on this machine may have got its port meanwhile.
            (4, Some(_)) if said.stderr.contains("the port is taken") => {}
            // The creation was being given up, and is gone.
            (_, None) => {}
            _ => return Err(format!("{told}: {}", said.stderr)),
        }
        // A forgotten workload runs on until somebody removes it.
        if then == "stop" && !act.forgets() {
            self.await_nothing_runs()?;
        }
        Ok(told)
    }

    fn is_removing(&self) -> bool {
        self.record().is_some_and(|record| record["status"] == "removing")
    }

    fn remove(&self, act: Act) -> Result<String, String> {
        let said = self.wharf(&["rm", NAME], None)?;
        if said.code != 0 && self.is_known() {
            return Err(format!("rm: code {}: {}", said.code, said.stderr));
        }
        if act.forgets() {
            self.remove_orphans()?;
        }
        if act == Act::SetAside {
            let kept = self.kept()?;
            kept.iter().try_for_each(std::fs::remove_file).map_err(|error| error.to_string())?;
        }
        self.check_nothing_is_left()?;
        Ok(format!("rm: code {}, nothing left", said.code))
    }

    /// It has its owner, or gets one now.
    fn record_owner(&self, act: Act) -> Result<String, String> {
        if act == Act::ReconcileAdopt {
            let said = self.wharf(&["reconcile"], None)?;
            if said.code != 0 {
                return Err(format!("reconcile: code {}: {}", said.code, said.stderr));
            }
        }
        let by_hand = ["adopt", NAME, "--runtime", self.kind.runtime(), "--rebind"];
        let args = if act == Act::Rebind { &by_hand[..] } else { &by_hand[..2] };
        let said = self.wharf(args, None)?;
        if said.code == 0 || said.stderr.contains("has an owner") {
            return Ok(format!("adopt: code {}", said.code));
        }
        Err(format!("adopt: code {}: {}", said.code, said.stderr))
    }

    /// After an interrupted restart, the workload comes back without any other command. If its failure was reported and
    /// recorded, only a command starts it again.
    fn reconcile_alone(&self, said: &Said) -> Result<String, String> {
        let deadline = Instant::now() + AGAIN_LIMIT;
        loop {
            let reconciled = self.wharf(&["reconcile"], None)?;
            let shown = self.shown().ok_or("a restart has lost its workload")?;
            let told = format!("reconcile: code {}, then {shown}", reconciled.code);
            let record = self.record();
            let is_wanted = record.is_some_and(|record| record["desired"] == "running");
            match (shown.as_str(), is_wanted) {
                ("running", true) => return Ok(told),
                ("error", _) if said.code > 0 => return Ok(told),
                _ if Instant::now() > deadline => return Err(format!("{told}: {}", reconciled.stderr)),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}
