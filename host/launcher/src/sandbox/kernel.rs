//! What this kernel can enforce for this user: each thing is asked for, none is concluded from a version.
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
    Scope,
};

/// What Landlock can do here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// What it can say about files.
    pub(crate) files: BitFlags<AccessFs>,
    /// TCP ports.
    pub(crate) ports: bool,
    /// Signals and abstract sockets beyond the workload.
    pub(crate) scopes: bool,
}

/// Steps in which it learnt about files, newest first. Path names of sockets need no step: no socket can be made.
const STEPS: [ABI; 4] = [ABI::V5, ABI::V3, ABI::V2, ABI::V1];

impl Kernel {
    pub(crate) fn here() -> Self {
        let files =
            STEPS.into_iter().map(AccessFs::from_all).find(|&files| can(|it| it.handle_access(files)));
        Self {
            files: files.unwrap_or(BitFlags::EMPTY),
            ports: can(|it| it.handle_access(AccessNet::from_all(ABI::V4))),
            scopes: can(|it| it.scope(Scope::from_all(ABI::V6))),
        }
    }
}

fn can(ask: impl FnOnce(Ruleset) -> Result<Ruleset, RulesetError>) -> bool {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ask(strict).and_then(Ruleset::create).is_ok()
}
