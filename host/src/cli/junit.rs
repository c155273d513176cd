//! Writes a conformance report as JUnit's XML, with the elements that CI systems agree on: suites, cases, failures, skips.
use std::fmt::Write;
use wharf::conformance::{CaseReport, CaseResult, Report};
use wharf_sdk::conformance::Profile;

/// The document. Each profile is a suite.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for profile in Profile::ALL {
        let cases: Vec<&CaseReport> = report.cases.iter().filter(|case| case.profile == profile).collect();
        if !cases.is_empty() {
            suite(&mut text, report, profile, &cases);
        }
    }
    text.push_str("</testsuites>");
    text
}

fn suite(text: &mut String, report: &Report, profile: Profile, cases: &[&CaseReport]) {
    let count = |is: fn(&CaseResult) -> bool| cases.iter().filter(|case| is(&case.result)).count();
    let failures = count(|result| matches!(result, CaseResult::Failed(_)));
    let skipped = count(|result| matches!(result, CaseResult::Skipped(_)));
    let total: u64 = cases.iter().map(|case| case.duration_ms).sum();
    let _ = writeln!(
        text,
        "  <testsuite name=\"{}.{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\">",
        escaped(&report.runtime),
        profile.as_str(),
        cases.len(),
        seconds(total),
    );
    for case in cases {
        let _ = write!(
            text,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
            escaped(&report.runtime),
            case.id,
            seconds(case.duration_ms),
        );
        let _ = match &case.result {
            CaseResult::Passed => writeln!(text, "/>"),
            CaseResult::Skipped(why) => {
                writeln!(text, "><skipped message=\"{}\"/></testcase>", escaped(why))
            }
            CaseResult::Failed(why) => writeln!(
                text,
                "><failure message=\"{}\">{}</failure><system-err>{}</system-err></testcase>",
                escaped(why),
                escaped(case.sentence),
                escaped(&case.stderr),
            ),
        };
    }
    text.push_str("  </testsuite>\n");
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Text for XML 1.0; characters that XML cannot contain are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_junit_failure_has_the_whole_message_escaped() {
        let case = |result| CaseReport {
            id: "core.stop-ends",
            sentence: "Stop ends the workload",
            profile: Profile::Core,
            result,
            duration_ms: 1_005,
            stderr: "a\u{1b}[2J".to_owned(),
        };
        let report = Report {
            runtime: "x".to_owned(),
            plugin: "p 1".to_owned(),
            profiles: Vec::new(),
            cases: vec![
                case(CaseResult::Passed),
                case(CaseResult::Failed("it is <Running> & \"well\"".to_owned())),
                case(CaseResult::Skipped("not claimed".to_owned())),
            ],
        };
        insta::assert_snapshot!(render(&report), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="x.core" tests="3" failures="1" errors="0" skipped="1" time="3.015">
            <testcase classname="x" name="core.stop-ends" time="1.005"/>
            <testcase classname="x" name="core.stop-ends" time="1.005"><failure message="it is &lt;Running&gt; &amp; &quot;well&quot;">Stop ends the workload</failure><system-err>a�[2J</system-err></testcase>
            <testcase classname="x" name="core.stop-ends" time="1.005"><skipped message="not claimed"/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
