//! What is to be opened to a workload, name by name: where each leads, whether it may, and whether it still leads where
//! it led when the workload was created.
use crate::{
    guard::Guard,
    trail::{Led, Trail},
};
use std::path::{Path, PathBuf};
use wharf_sdk::{Error, Pins, Result, launch::Place};

/// Why something is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It is one of the system's own, which everybody has.
    System,
    /// It follows from something else: a folder of PATH, a neighbour of a script. Without it less works.
    Derived,
    /// The specification names it, as a program or an argument.
    Named,
    /// The specification opens it: the folder that it runs in, a path of a profile.
    Granted,
    /// It runs there, which alone opens nothing.
    Entered,
    /// wharf made it for this workload.
    Own,
}

/// A name, and where it leads now.
#[derive(Clone, Debug)]
struct Found {
    name: PathBuf,
    led: Led,
    reason: Reason,
    is_written: bool,
    is_kept: bool,
    /// Whether what it means may be given for this reason.
    is_let: bool,
}

impl Found {
    /// Whether it is held to where it led first. What the user opens is meant as it was; a system's link may be switched
    /// by an upgrade.
    fn is_pinned(&self) -> bool {
        match self.reason {
            Reason::Granted | Reason::Entered => true,
            Reason::System | Reason::Derived | Reason::Named => !self.led.is_fixed,
            Reason::Own => false,
        }
    }
}

/// What is to be opened to one workload.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) trail: &'a Trail,
    pub(crate) guard: &'a Guard,
    workload: &'a str,
    pinned: Option<&'a Pins>,
    found: Vec<Found>,
}

impl<'a> Places<'a> {
    /// None yet. Without pins, each name is taken for what it means now.
    pub(crate) const fn new(
        trail: &'a Trail,
        guard: &'a Guard,
        workload: &'a str,
        pinned: Option<&'a Pins>,
    ) -> Self {
        Self { trail, guard, workload, pinned, found: Vec::new() }
    }

    /// One of the system's own; `is_written`: a device.
    pub(crate) fn system(&mut self, name: PathBuf, is_written: bool) {
        self.add(name, Reason::System, is_written, |_, _| true);
    }

    /// Something to be read that nobody has named, if it may be given.
    pub(crate) fn derived(&mut self, name: PathBuf) {
        self.add(name, Reason::Derived, false, |guard, led| guard.lets(&led.path));
    }

    /// A file that an argument names, if it may be given.
    pub(crate) fn named(&mut self, name: PathBuf) {
        self.add(name, Reason::Named, false, |guard, led| guard.lets(&led.path));
    }

    /// What is executed: what cannot be read cannot be executed, wherever it lies.
    pub(crate) fn program(&mut self, name: PathBuf) {
        self.add(name, Reason::Named, false, |_, _| true);
    }

    /// What wharf has made, or will. `path` is without a link.
    pub(crate) fn own(&mut self, name: PathBuf, path: PathBuf) {
        let led = Led { path, is_fixed: true, links: Vec::new() };
        let (reason, is_written) = (Reason::Own, true);
        self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let: true });
    }

    /// What the specification opens by this name: a difference is told at once.
    pub(crate) fn grant(&mut self, name: &Path, led: &Led, is_written: bool) {
        let (name, led, reason) = (name.to_owned(), led.clone(), Reason::Granted);
        self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let: true });
    }

    /// Keeps what is granted to be read inside of what is granted to be written from being written.
    pub(crate) fn keep_what_is_read(&mut self) {
        let granted = self.found.iter().filter(|found| found.reason == Reason::Granted);
        let granted: Vec<_> = granted.map(|found| (found.led.path.clone(), found.is_written)).collect();
        for found in self.found.iter_mut().filter(|found| found.reason == Reason::Granted) {
            if !found.is_written && !granted.contains(&(found.led.path.clone(), true)) {
                let around = granted.iter().filter(|(path, _)| *path != found.led.path);
                let around = around.filter(|(path, _)| found.led.path.starts_with(path));
                let nearest = around.max_by_key(|(path, _)| path.components().count());
                found.is_kept = nearest.is_some_and(|(_, is_written)| *is_written);
            }
        }
    }

    /// The folder that it runs in, which may be opened to it or not: it is entered either way.
    pub(crate) fn held(&mut self, name: &Path, led: &Led) {
        let (name, led, reason) = (name.to_owned(), led.clone(), Reason::Entered);
        self.found.push(Found { name, led, reason, is_written: false, is_kept: false, is_let: true });
    }

    /// Where a name leads that the specification opens or the workload runs in.
    ///
    /// # Errors
    /// It led elsewhere when the workload was created.
    pub(crate) fn led(&self, name: &Path) -> Result<Option<Led>> {
        let led = self.trail.lead(name);
        match (&led, self.pin(name)) {
            (Some(now), Some(pinned)) if now.path != pinned => {
                Err(self.leads_elsewhere(name, Some(pinned), &now.path))
            }
            (Some(now), None) if self.pinned.is_some() && !now.links.is_empty() => {
                Err(self.leads_elsewhere(name, None, &now.path))
            }
            _ => Ok(led),
        }
    }

    /// What is held to where it leads now, when the workload is created.
    pub(crate) fn pins(&self) -> Pins {
        let pinned = self.found.iter().filter(|found| found.is_let && found.is_pinned());
        let paths = pinned
            .filter_map(|found| Some((found.name.to_str()?.to_owned(), found.led.path.to_str()?.to_owned())));
        Pins { paths: paths.collect() }
    }

    /// What is opened, to be read and to be written.
    ///
    /// # Errors
    /// A name leads elsewhere than when the workload was created, and to what would not be open otherwise.
    pub(crate) fn settle(&self) -> Result<(Vec<Place>, Vec<Place>)> {
        let opened = self.found.iter().filter(|found| found.reason != Reason::Entered);
        let (certain, doubtful): (Vec<_>, Vec<_>) = opened.partition(|found| self.is_as_it_was(found));
        let mut settled: Vec<&Found> = certain.into_iter().filter(|found| found.is_let).collect();
        let adds_nothing = |found: &Found| {
            let mut others = settled.iter().filter(|other| other.is_written || !found.is_written);
            others.any(|other| found.led.path.starts_with(&other.led.path))
        };
        let mut harmless = Vec::new();
        for found in doubtful {
            let pinned = self.pin(&found.name);
            if adds_nothing(found) {
                // Such as a manager's link to the newest version, in a folder that is open as a whole.
                harmless.push(found);
            } else if pinned.is_some() || matches!(found.reason, Reason::Named | Reason::Granted) {
                return Err(self.leads_elsewhere(&found.name, pinned, &found.led.path));
            } else {
                tracing::warn!(path = %found.name.display(), "is not opened: it leads elsewhere, and did not exist before");
            }
        }
        settled.extend(harmless);
        // What is not text could not be said to the launcher.
        settled.retain(|found| found.name.to_str().is_some() && found.led.path.to_str().is_some());
        let (written, read): (Vec<_>, Vec<_>) = settled.into_iter().partition(|found| found.is_written);
        let places = |found: Vec<&Found>| found.into_iter().map(place).collect();
        Ok((places(read), places(written)))
    }

    fn is_as_it_was(&self, found: &Found) -> bool {
        if !found.is_pinned() || self.pinned.is_none() {
            return true;
        }
        match self.pin(&found.name) {
            Some(pinned) => found.led.path == pinned,
            // PATH may be another one than at the first start; it must not lead through what a workload may have made.
            None => !found.is_let || found.led.links.is_empty(),
        }
    }

    fn pin(&self, name: &Path) -> Option<&'a Path> {
        self.pinned?.paths.get(name.to_str()?).map(Path::new)
    }

    fn add(&mut self, name: PathBuf, reason: Reason, is_written: bool, lets: impl Fn(&Guard, &Led) -> bool) {
        if !name.is_absolute() {
            return;
        }
        if let Some(led) = self.trail.lead(&name) {
            let is_let = lets(self.guard, &led);
            self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let });
        }
    }

    fn leads_elsewhere(&self, name: &Path, pinned: Option<&Path>, now: &Path) -> Error {
        let (name, now, workload) = (name.display(), now.display(), self.workload);
        let before = match pinned {
            Some(pinned) => format!("led to '{}' when the workload was created", pinned.display()),
            None => "led nowhere when the workload was created".to_owned(),
        };
        Error::precondition(format!(
            "'{name}' {before}, and leads to '{now}' now, which is not opened: a workload that can write there may have \
             exchanged it; put it back, or, if it is meant so, make the workload anew: wharf export {workload} >FILE, \
             wharf rm {workload}, wharf run --from-config FILE"
        ))
    }
}

fn place(found: &Found) -> Place {
    Place {
        name: found.name.clone(),
        path: found.led.path.clone(),
        system: found.reason == Reason::System,
        kept: found.is_kept,
    }
}
