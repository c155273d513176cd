//! [`Places`]: the files to open to a workload, name by name: where each name leads, whether it may be opened, and whether
//! it still leads where it led when the workload was created.
use crate::{
    guard::Guard,
    trail::{Led, Trail},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use wharf_sdk::{Error, Pins, Result, launch::Place};

/// The reason why a name is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The name belongs to the system, and every workload has it.
    System,
    /// The name follows from another one: a folder of PATH, a neighbour of a script. Without it, less works.
    Derived,
    /// The specification names it, as a program or an argument.
    Named,
    /// The specification opens it: the working directory, a path of a profile.
    Granted,
    /// The workload runs there, or parts of it are opened. This alone opens nothing.
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
    /// Whether the file that the name leads to may be opened for this reason.
    is_let: bool,
    /// The other place at which the workload sees it.
    at: Option<PathBuf>,
}

impl Found {
    /// Whether the name must still lead where it led first. Names that the user opens must; links of the system may be
    /// switched by an upgrade.
    fn is_pinned(&self) -> bool {
        match self.reason {
            Reason::Granted | Reason::Entered => true,
            Reason::System | Reason::Derived | Reason::Named => !self.led.is_fixed,
            Reason::Own => false,
        }
    }
}

/// The files to open to one workload.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) trail: &'a Trail,
    pub(crate) guard: &'a Guard,
    workload: &'a str,
    pinned: Option<&'a Pins>,
    found: Vec<Found>,
    /// The name of a program that was searched in PATH, and the file that was found.
    searched: Option<(String, PathBuf)>,
}

impl<'a> Places<'a> {
    /// No places yet. Without pins, each name stands for the file that it leads to now.
    pub(crate) const fn new(
        trail: &'a Trail,
        guard: &'a Guard,
        workload: &'a str,
        pinned: Option<&'a Pins>,
    ) -> Self {
        Self { trail, guard, workload, pinned, found: Vec::new(), searched: None }
    }

    /// Adds a name that belongs to the system; `is_written` is for devices.
    pub(crate) fn system(&mut self, name: PathBuf, is_written: bool) {
        self.add(name, Reason::System, is_written, |_, _| true);
    }

    /// Adds a name for reading that nobody asked for, if it may be opened.
    pub(crate) fn derived(&mut self, name: PathBuf) {
        self.add(name, Reason::Derived, false, |guard, led| guard.lets(&led.path));
    }

    /// Adds a file that an argument names, if it may be opened. Returns where the name leads. None if it may not be opened,
    /// or leads elsewhere than when the workload was created: then nothing may be derived from it.
    pub(crate) fn named(&mut self, name: PathBuf) -> Option<PathBuf> {
        self.add(name, Reason::Named, false, |guard, led| guard.lets(&led.path))?;
        self.where_it_was()
    }

    /// Adds the program. It is opened wherever it lies, since a program that cannot be read cannot be executed. Returns the
    /// same as [`Self::named`].
    pub(crate) fn program(&mut self, name: PathBuf) -> Option<PathBuf> {
        self.add(name, Reason::Named, false, |_, _| true)?;
        self.where_it_was()
    }

    /// Notes a program that was searched in PATH, and the file that was found. `is_of_system` tells whether a file lies in
    /// one of the system's folders of programs.
    ///
    /// # Errors
    /// Another file was found when the workload was created, and this one is not of the system: a program that can write a
    /// folder that comes earlier in PATH may have put it there.
    pub(crate) fn searched(
        &mut self,
        name: &str,
        program: &Path,
        is_of_system: impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let before = self.pinned.and_then(|pins| pins.paths.get(name)).map(Path::new);
        let is_harmless = || {
            let led = self.trail.lead(program);
            led.is_some_and(|led| led.is_fixed && is_of_system(&led.path))
        };
        if let Some(before) = before.filter(|before| *before != program && !is_harmless()) {
            let (before, now) = (before.display(), program.display());
            return Err(Error::precondition(format!(
                "'{name}' was found in PATH as '{before}' when the workload was created, and is found as '{now}' now, \
                 which is not run: a workload that can write there may have put it there; remove it, or, {}",
                self.anew()
            )));
        }
        self.searched = Some((name.to_owned(), program.to_owned()));
        Ok(())
    }

    /// Adds a path that wharf has made for the workload, or will make. `path` is without links.
    pub(crate) fn own(&mut self, name: PathBuf, path: PathBuf) {
        let led = Led { path, is_fixed: true, links: Vec::new() };
        let (reason, is_written) = (Reason::Own, true);
        self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let: true, at: None });
    }

    /// Adds a name that the specification opens. The caller has checked it with [`Self::led`], so a name that leads
    /// elsewhere is refused before.
    pub(crate) fn grant(&mut self, name: &Path, led: &Led, is_written: bool) {
        self.mount(name, led, is_written, None);
    }

    /// The same, shown at another place if `at` names one.
    pub(crate) fn mount(&mut self, name: &Path, led: &Led, is_written: bool, at: Option<&Path>) {
        let (name, led, reason) = (name.to_owned(), led.clone(), Reason::Granted);
        let at = at.map(Path::to_owned);
        self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let: true, at });
    }

    /// Adds an entry of a folder that is not opened as a whole, where it is no link. `path` is the entry without links.
    pub(crate) fn part(&mut self, name: PathBuf, path: &Path, is_written: bool) {
        self.add(name, Reason::Derived, is_written, |_, led| led.path == path);
    }

    /// Protects places that are granted for reading from writing, where they lie inside of places that are granted for
    /// writing.
    pub(crate) fn keep_what_is_read(&mut self) {
        let is_opened = |found: &&Found| {
            found.reason == Reason::Granted || found.reason == Reason::Derived && found.is_written
        };
        let granted = self.found.iter().filter(is_opened).filter(|found| found.at.is_none());
        let granted: Vec<_> = granted.map(|found| (found.led.path.clone(), found.is_written)).collect();
        let shown_where_it_is = |found: &&mut Found| found.reason == Reason::Granted && found.at.is_none();
        for found in self.found.iter_mut().filter(shown_where_it_is) {
            if !found.is_written && !granted.contains(&(found.led.path.clone(), true)) {
                let around = granted.iter().filter(|(path, _)| *path != found.led.path);
                let around = around.filter(|(path, _)| found.led.path.starts_with(path));
                let nearest = around.max_by_key(|(path, _)| path.components().count());
                found.is_kept = nearest.is_some_and(|(_, is_written)| *is_written);
            }
        }
    }

    /// Adds a folder that is not opened for this reason: the working directory, which is entered, or one of which parts are
    /// opened. Its name must lead there later, too.
    pub(crate) fn held(&mut self, name: &Path, led: &Led) {
        let (name, led, reason) = (name.to_owned(), led.clone(), Reason::Entered);
        let is_written = false;
        self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let: true, at: None });
    }

    /// Resolves a name that the specification opens, or the working directory.
    ///
    /// # Errors
    /// It led elsewhere when the workload was created.
    pub(crate) fn led(&self, name: &Path) -> Result<Option<Led>> {
        let led = self.trail.lead(name);
        let is_fixed = led.as_ref().is_some_and(|led| led.is_fixed);
        match (&led, self.pin(name, is_fixed)) {
            (Some(now), Some(pinned)) if now.path != pinned => {
                Err(self.leads_elsewhere(name, Some(pinned), &now.path))
            }
            (Some(now), None) if self.pinned.is_some() && !now.links.is_empty() => {
                Err(self.leads_elsewhere(name, None, &now.path))
            }
            _ => Ok(led),
        }
    }

    /// Where the names lead now, to be recorded when the workload is created.
    pub(crate) fn pins(&self) -> Pins {
        let recorded =
            |name: &Path, path: &Path| Some((name.to_str()?.to_owned(), path.to_str()?.to_owned()));
        let is_recorded = |found: &&Found| !matches!(found.reason, Reason::System | Reason::Own);
        let (pinned, others): (Vec<_>, Vec<_>) =
            self.found.iter().filter(|found| found.is_let).partition(|found| found.is_pinned());
        let mut paths: BTreeMap<_, _> =
            pinned.into_iter().filter_map(|found| recorded(&found.name, &found.led.path)).collect();
        paths.extend(self.searched.iter().filter_map(|(name, path)| recorded(Path::new(name), path)));
        let others = others.into_iter().filter(is_recorded);
        let fixed = others.filter_map(|found| recorded(&found.name, &found.led.path)).collect();
        Pins { paths, fixed, closed: Vec::new(), search_path: None }
    }

    /// The places to open, for reading and for writing.
    ///
    /// # Errors
    /// A name leads elsewhere than when the workload was created, to a file that no other name opens.
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
            let pinned = self.pin(&found.name, found.led.is_fixed);
            if adds_nothing(found) {
                // An example: a manager's link to the newest version, in a folder that is open as a whole.
                harmless.push(found);
            } else if pinned.is_some() || matches!(found.reason, Reason::Named | Reason::Granted) {
                return Err(self.leads_elsewhere(&found.name, pinned, &found.led.path));
            } else {
                tracing::warn!(path = %found.name.display(), "is not opened: it leads elsewhere, and did not exist before");
            }
        }
        settled.extend(harmless);
        // The job for the launcher is JSON, so it cannot hold a path that is not UTF-8.
        settled.retain(|found| found.name.to_str().is_some() && found.led.path.to_str().is_some());
        let (written, read): (Vec<_>, Vec<_>) = settled.into_iter().partition(|found| found.is_written);
        let places = |found: Vec<&Found>| found.into_iter().map(place).collect();
        Ok((places(read), places(written)))
    }

    /// Whether a name leads where it led when the workload was created. A recorded name is compared even if by now only the
    /// system's owner could change it: another program could before, and its change may still be there.
    fn is_as_it_was(&self, found: &Found) -> bool {
        if self.pinned.is_none() {
            return true;
        }
        match self.pin(&found.name, found.led.is_fixed) {
            Some(pinned) => found.led.path == pinned,
            // The name was not recorded. PATH may differ from the first start, so a new name is allowed, but not if it
            // leads through a link that a workload may have made.
            None => !found.is_pinned() || !found.is_let || found.led.links.is_empty(),
        }
    }

    /// Where the name that was added last leads. None if it may not be opened, or leads elsewhere than before.
    fn where_it_was(&self) -> Option<PathBuf> {
        let found = self.found.last()?;
        (found.is_let && self.is_as_it_was(found)).then(|| found.led.path.clone())
    }

    /// Where a name led when the workload was created. `is_fixed`: only the system's owner can change it now. If that was
    /// so at the creation too, a difference is an upgrade, and the pin is ignored.
    fn pin(&self, name: &Path, is_fixed: bool) -> Option<&'a Path> {
        let (pins, name) = (self.pinned?, name.to_str()?);
        let fixed = || if is_fixed { None } else { pins.fixed.get(name) };
        pins.paths.get(name).or_else(fixed).map(Path::new)
    }

    /// Adds a name if it leads somewhere.
    fn add(
        &mut self,
        name: PathBuf,
        reason: Reason,
        is_written: bool,
        lets: impl Fn(&Guard, &Led) -> bool,
    ) -> Option<()> {
        if !name.is_absolute() {
            return None;
        }
        let led = self.trail.lead(&name)?;
        let is_let = lets(self.guard, &led);
        self.found.push(Found { name, led, reason, is_written, is_kept: false, is_let, at: None });
        Some(())
    }

    fn leads_elsewhere(&self, name: &Path, pinned: Option<&Path>, now: &Path) -> Error {
        let (name, now) = (name.display(), now.display());
        let before = match pinned {
            Some(pinned) => format!("led to '{}' when the workload was created", pinned.display()),
            None => "led nowhere when the workload was created".to_owned(),
        };
        Error::precondition(format!(
            "'{name}' {before}, and leads to '{now}' now, which is not opened: a workload that can write there may have \
             exchanged it; put it back, or, {}",
            self.anew()
        ))
    }

    /// The advice for a user who wants the name to lead elsewhere.
    fn anew(&self) -> String {
        let workload = self.workload;
        format!(
            "if it is meant so, make the workload anew: wharf export {workload} >FILE, wharf rm {workload}, wharf run \
             --from-config FILE"
        )
    }
}

fn place(found: &Found) -> Place {
    Place {
        name: found.name.clone(),
        path: found.led.path.clone(),
        system: found.reason == Reason::System,
        kept: found.is_kept,
        at: found.at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::default_access::is_of_system;

    #[test]
    fn a_program_that_is_found_elsewhere_is_one_of_the_systems_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (planted, sh) = (folder.join("sh"), Path::new("/usr/bin/env"));
        std::fs::File::create(&planted).unwrap();
        let (trail, guard) = (Trail::new(Vec::new()), Guard::new(&BTreeMap::new(), &[], &[]));
        let mut places = Places::new(&trail, &guard, "demo", None);
        places.searched("sh", &planted, is_of_system).unwrap();
        let pins = places.pins();
        assert_eq!(pins.paths["sh"], planted.display().to_string());
        let mut places = Places::new(&trail, &guard, "demo", Some(&pins));
        places.searched("sh", &planted, is_of_system).unwrap();
        places.searched("sh", sh, is_of_system).unwrap();
        let pins = places.pins();
        let mut places = Places::new(&trail, &guard, "demo", Some(&pins));
        let message = places.searched("sh", &planted, is_of_system).unwrap_err().message;
        assert!(message.contains("'/usr/bin/env'") && message.contains("wharf export demo"), "{message}");
        // If a workload may write the system's folders, a file in them is not taken for the system's.
        let given = Trail::new(vec![PathBuf::from("/usr")]);
        let pins = Pins { paths: [("sh".to_owned(), "/bin/sh".to_owned())].into(), ..Pins::default() };
        assert!(Places::new(&given, &guard, "demo", Some(&pins)).searched("sh", sh, is_of_system).is_err());
        assert!(Places::new(&trail, &guard, "demo", Some(&pins)).searched("sh", sh, is_of_system).is_ok());
    }
}
