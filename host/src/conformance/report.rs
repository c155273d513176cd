//! [`Report`]: the outcome of a run: the cases, and a verdict on each profile.
use serde::Serialize;
use wharf_sdk::conformance::{Case, Profile};

/// The outcome of a run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ConformanceReport"))]
pub struct Report {
    /// The runtime's name.
    pub runtime: String,
    /// The plugin's package and version.
    pub plugin: String,
    /// The verdicts.
    pub profiles: Vec<ProfileReport>,
    /// The cases, in the order in which they ran.
    pub cases: Vec<CaseReport>,
}

/// One case.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseReport {
    /// Its id.
    pub id: &'static str,
    /// The sentence of the contract that it tests.
    pub sentence: &'static str,
    /// Its profile.
    pub profile: Profile,
    /// Its result.
    #[serde(flatten)]
    pub result: CaseResult,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The end of what its processes wrote to stderr, if it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "result", content = "reason", rename_all = "snake_case")]
pub enum CaseResult {
    /// The runtime keeps to the sentence.
    Passed,
    /// The runtime breaks the sentence, for this reason.
    Failed(String),
    /// The case was not run, or gave no verdict, for this reason.
    Skipped(String),
}

/// The verdict on a profile, and its reasons.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProfileReport {
    /// The profile.
    pub profile: Profile,
    /// The verdict.
    pub verdict: Verdict,
    /// The reasons, unless it passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// The verdict on a profile. A profile with a skipped case has not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ProfileVerdict"))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of its cases passed.
    Passed,
    /// A case failed.
    Failed,
    /// Some cases passed, and others were skipped or not selected.
    Partial,
    /// All cases were skipped.
    NotClaimed,
    /// No case was selected.
    NotChosen,
}

impl Report {
    /// Whether no case failed.
    pub fn is_pass(&self) -> bool {
        self.profiles.iter().all(|profile| profile.verdict != Verdict::Failed)
    }

    /// The report on the selected cases, out of all.
    pub(super) fn new(runtime: String, plugin: String, cases: Vec<CaseReport>, all: &[&Case]) -> Self {
        let profiles = Profile::ALL.into_iter().map(|profile| verdict_on(profile, &cases, all)).collect();
        Self { runtime, plugin, profiles, cases }
    }
}

fn verdict_on(profile: Profile, cases: &[CaseReport], all: &[&Case]) -> ProfileReport {
    let of_profile: Vec<&CaseReport> = cases.iter().filter(|case| case.profile == profile).collect();
    let passed = of_profile.iter().filter(|case| case.result == CaseResult::Passed).count();
    let mut reasons = Vec::new();
    let mut failed = false;
    for case in &of_profile {
        match &case.result {
            CaseResult::Failed(_) => {
                failed = true;
                reasons.push(format!("{} failed", case.id));
            }
            CaseResult::Skipped(why) if !reasons.contains(why) => reasons.push(why.clone()),
            _ => {}
        }
    }
    let total = all.iter().filter(|case| case.profile == profile).count();
    if (1..total).contains(&of_profile.len()) {
        reasons.push(format!("{} of its {total} cases were not chosen", total - of_profile.len()));
    }
    let verdict = match passed {
        _ if of_profile.is_empty() => Verdict::NotChosen,
        _ if failed => Verdict::Failed,
        passed if passed == total => Verdict::Passed,
        0 => Verdict::NotClaimed,
        _ => Verdict::Partial,
    };
    ProfileReport { profile, verdict, reasons }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::conformance::cases;

    fn verdict(profile: Profile, result: impl Fn(usize) -> Option<CaseResult>) -> Verdict {
        let all: Vec<&Case> = cases().collect();
        let of_profile = all.iter().filter(|case| case.profile == profile).enumerate();
        let reports = of_profile.filter_map(|(at, case)| {
            let (id, sentence, result) = (case.id, case.sentence, result(at)?);
            Some(CaseReport { id, sentence, profile, result, duration_ms: 0, stderr: String::new() })
        });
        let report = Report::new(String::new(), String::new(), reports.collect(), &all);
        report.profiles.iter().find(|report| report.profile == profile).unwrap().verdict
    }

    #[test]
    fn a_profile_with_a_skipped_case_has_not_passed_and_one_failure_fails_it() {
        let skipped = || Some(CaseResult::Skipped("not claimed".to_owned()));
        let passed = || Some(CaseResult::Passed);
        let failed = || Some(CaseResult::Failed("it hangs".to_owned()));
        assert_eq!(verdict(Profile::Logs, |_| passed()), Verdict::Passed);
        assert_eq!(verdict(Profile::Logs, |_| skipped()), Verdict::NotClaimed);
        assert_eq!(verdict(Profile::Logs, |at| if at == 0 { skipped() } else { passed() }), Verdict::Partial);
        assert_eq!(verdict(Profile::Logs, |at| if at == 0 { failed() } else { passed() }), Verdict::Failed);
        assert_eq!(verdict(Profile::Logs, |at| (at == 0).then_some(CaseResult::Passed)), Verdict::Partial);
        assert_eq!(verdict(Profile::Logs, |_| None), Verdict::NotChosen);
    }
}
