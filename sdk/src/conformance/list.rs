//! Cases about what a runtime lists: labels and handles, the instance, what was asked for and no more.
use super::Need;
use super::breach::{Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::{Fixture, fresh_uid};
use super::material::Role;
use crate::{Capability, ListQuery, WorkloadSpec};
use std::collections::BTreeSet;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "core.list-labels",
        sentence: "All workloads of this host are listed by their labels: host id and uid",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_labels(fixture))],
    },
    Case {
        id: "core.list-handle",
        sentence: "A listing has the handle of each workload that deploy gave, for a record that lost it",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_handle(fixture))],
    },
    Case {
        id: "sessions.list-parent",
        sentence: "A listing says which workload something belongs to, by its label",
        profile: Profile::Sessions,
        needs: &[Need::Capability(Capability::PARENT)],
        steps: &[|fixture| Box::pin(list_parent(fixture))],
    },
    Case {
        id: "core.list-instance",
        sentence: "A listing names the instance that answered",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_instance(fixture))],
    },
    Case {
        id: "core.list-presumed",
        sentence: "A listing names the instance that answered, whichever one is presumed",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_presumed(fixture))],
    },
    Case {
        id: "core.list-asked",
        sentence: "Asked for some workloads, a listing has those and no others",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_asked(fixture))],
    },
    Case {
        id: "core.list-complete",
        sentence: "A listing that has all that it was asked for says that it is complete",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_complete(fixture))],
    },
];

async fn list_labels(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    let seen = fixture.host.listed(&handle.uid).await?;
    let found = seen.map(|seen| seen.host_id);
    ensure(found.as_ref() == Some(&fixture.host.host_id), || match found {
        None => "it is running, and not in the listing".to_owned(),
        Some(other) => format!("it is listed as the host's '{other}'"),
    })
}

async fn list_handle(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    let seen = fixture.host.listed(&handle.uid).await?;
    let listed = seen.and_then(|seen| seen.handle);
    ensure(listed == Some(handle), || {
        "the listing does not have the handle of it that 'deploy' gave".to_owned()
    })
}

async fn list_parent(fixture: &Fixture) -> Checked {
    let parent = fresh_uid();
    let spec = WorkloadSpec { parent: Some(parent.clone()), ..fixture.spec(Role::Idle) };
    for spec in [spec, fixture.spec(Role::Idle)] {
        let handle = fixture.launch(&spec).await?;
        let listed = fixture.host.listed(&handle.uid).await?.and_then(|seen| seen.parent);
        ensure(listed == spec.parent, || {
            format!("its parent is {:?}, and is listed as {listed:?}", spec.parent)
        })?;
    }
    Ok(())
}

async fn list_instance(fixture: &Fixture) -> Checked {
    let instance = fixture.host.instance().await.doing("instance")?.instance;
    for query in [ListQuery::ALL, ListQuery::these([])] {
        let listed = fixture.host.list(&query).await.doing("list")?.instance;
        ensure(instance == listed, || format!("'instance' says '{instance}', 'list' says '{listed}'"))?;
    }
    Ok(())
}

async fn list_presumed(fixture: &Fixture) -> Checked {
    let instance = fixture.host.instance().await.doing("instance")?.instance;
    let running = fixture.running().await?;
    for uids in [vec![running.uid], Vec::new()] {
        let query = ListQuery::these(uids);
        let told = fixture.host.list(&query).await.doing("list")?.instance;
        for presumed in [instance.as_str(), "an instance that there is not"] {
            let presuming = query.clone().presuming(Some(presumed.to_owned()));
            let listed =
                fixture.host.list(&presuming).await.doing("list that presumes an instance")?.instance;
            ensure(listed == told, || {
                format!("'list' says '{told}', and '{listed}' where '{presumed}' is presumed")
            })?;
        }
    }
    Ok(())
}

/// Queries for one, for both and for none of two running workloads, each as the uids that the answer must have.
async fn queries(fixture: &Fixture) -> Checked<Vec<BTreeSet<String>>> {
    let (one, other) = (fixture.running().await?.uid, fixture.running().await?.uid);
    Ok(vec![BTreeSet::from([one.clone()]), BTreeSet::from([one, other]), BTreeSet::new()])
}

async fn list_asked(fixture: &Fixture) -> Checked {
    for asked in queries(fixture).await? {
        let query = ListQuery::these(asked.clone());
        let listing = fixture.host.list(&query).await.doing("list of some workloads")?;
        let listed: Vec<&String> = listing.workloads.iter().map(|seen| &seen.uid).collect();
        ensure(listed.len() == asked.len() && listed.iter().all(|uid| asked.contains(*uid)), || {
            format!("asked for {} of two workloads it lists {}: {listed:?}", asked.len(), listed.len())
        })?;
    }
    Ok(())
}

async fn list_complete(fixture: &Fixture) -> Checked {
    for asked in queries(fixture).await? {
        let query = ListQuery::these(asked.clone());
        let listing = fixture.host.list(&query).await.doing("list of some workloads")?;
        ensure(listing.complete, || {
            format!("it has all {} that were asked for, and says that this may not be all", asked.len())
        })?;
    }
    Ok(())
}
