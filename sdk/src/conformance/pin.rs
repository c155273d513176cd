//! Cases about the names of files in a specification.
use super::Need;
use super::breach::{Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::core::unknown_kind;
use super::fixture::Fixture;
use super::material::Role;
use super::permissions::{none, secret, text, under};
use super::subject::Fault;
use crate::Capability;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "pin.refuses",
        sentence: "Pin refuses what 'validate' refuses, with the same error: at a creation it is asked in the place of that",
        profile: Profile::Pin,
        needs: &[Need::Capability(Capability::PIN)],
        steps: &[|fixture| Box::pin(pin_refuses(fixture))],
    },
    Case {
        id: "pin.closed",
        sentence: "What the pins call closed is named by an argument, and the workload does not read it",
        profile: Profile::Pin,
        needs: &[Need::Capability(Capability::PIN), Need::Shell],
        steps: &[|fixture| Box::pin(pin_closed(fixture))],
    },
];

async fn pin_refuses(fixture: &Fixture) -> Checked {
    fixture.host.pin(&fixture.spec(Role::Idle)).await.doing("pin")?;
    let spec = unknown_kind(fixture);
    let error = fixture.host.pin(&spec).await.fails("pin of a package of 'no-such-tool'")?;
    match fixture.host.validate(&spec).await {
        Err(Fault::Answered(refused)) => ensure(error == refused, || {
            format!("'validate' refuses it with {refused:?}, 'pin' with {error:?}")
        }),
        // That is another case.
        _ => Ok(()),
    }
}

async fn pin_closed(fixture: &Fixture) -> Checked {
    let secret = secret(fixture)?;
    let secret = text(&secret)?;
    let mut specs = vec![fixture.spec(Role::Read(secret))];
    if fixture.setting.capabilities.contains(&Capability::PERMISSION_PROFILE) {
        specs.push(under(none()?, fixture.spec(Role::Read(secret))));
    }
    for spec in &specs {
        let closed = fixture.host.pin(spec).await.doing("pin")?.closed;
        for path in &closed {
            ensure(path == secret, || format!("'{path}' is called closed, and no argument names it"))?;
        }
        let is_read = !closed.is_empty() && fixture.succeeds(spec).await?;
        ensure(!is_read, || format!("'{secret}' is called closed, and is read"))?;
    }
    Ok(())
}
