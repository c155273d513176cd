//! `rm --orphan`: removes resources without a RunConfig, each by its runtime and uid.
use super::bulk::{Done, Report, print};
use super::console::{Console, Format};
use super::failure::Outcome;
use wharf::commands::{self, Context, OrphanId};

/// Removes these, one after the other; after a failure it goes on with the next one.
pub(super) async fn remove(
    ids: &[OrphanId],
    context: &Context,
    format: Format,
    console: &Console,
) -> Outcome {
    let mut reports = Vec::with_capacity(ids.len());
    for id in ids {
        reports.push(match commands::remove_orphan(context, id).await {
            Ok(orphan) => Report::named(orphan.id(), Done::Removed),
            Err(error) => Report::failure(id, error),
        });
    }
    print(&reports, format, console)
}
