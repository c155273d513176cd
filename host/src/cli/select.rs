//! The selection of workloads for a command: by name, all of a group, or all.
use clap::Args;
use wharf::commands::{self, Context};
use wharf_model::Result;
use wharf_model::WorkloadName;

/// The workloads of a command that takes several.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(super) struct Selection {
    /// The workloads' names
    #[arg(value_name = "NAME", conflicts_with_all = ["all", "group"])]
    names: Vec<WorkloadName>,
    /// All workloads
    #[arg(short, long, conflicts_with = "group")]
    all: bool,
    /// All workloads of a group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

impl Selection {
    /// The names, each once, in the order that they were given in.
    pub(super) fn names(&self, context: &Context) -> Result<Vec<WorkloadName>> {
        if self.all || self.group.is_some() {
            return commands::names(context, self.group.as_deref());
        }
        let mut names: Vec<WorkloadName> = Vec::with_capacity(self.names.len());
        for name in &self.names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// The message if no workload is selected.
    pub(super) fn nothing(&self) -> String {
        match &self.group {
            Some(group) => format!("there are no workloads in the group '{group}'"),
            None => "there are no workloads".to_owned(),
        }
    }
}
