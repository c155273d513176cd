//! [`Kernel`]: finds out which rules of Landlock the kernel supports. Each is tried; nothing is concluded from a version.
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
    Scope,
};

/// The rules that Landlock supports here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// The rights on files.
    pub(crate) files: BitFlags<AccessFs>,
    /// Rules about TCP ports.
    pub(crate) ports: bool,
    /// Rules about signals and abstract sockets beyond the workload.
    pub(crate) scopes: bool,
}

/// The versions of Landlock's interface that added rights on files, newest first. The one that added path names of sockets
/// is not needed: a workload cannot make such sockets.
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
