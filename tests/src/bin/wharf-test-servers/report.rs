//! What is told of the servers: a row for each, and the summary.
use crate::list::Server;
use serde::{Serialize, Serializer};
use std::{fmt, time::Duration};

/// The head of the table.
pub(crate) const HEAD: &str = "server                       verdict     tools  direct ms   wharf ms  more ms";
/// A server is ready through wharf in time if it takes no more than this beyond its direct start.
const MARGIN_MS: f64 = 500.0;
/// The longest reason in a row.
const WHY_CHARS_MAX: usize = 400;

/// What came of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The same tools with the same schemas.
    Same,
    /// Other tools or schemas, or wharf cannot run what runs without it.
    Different,
    /// It fails without wharf, too.
    NotHere,
    /// It could not be compared, for a reason that is not known.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Same => "same",
            Self::Different => "DIFFERENT",
            Self::NotHere => "not here",
            Self::Failed => "FAILED",
        })
    }
}

/// What is told of one server.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: String,
    /// Its package, as `wharf run` is given it.
    server: String,
    verdict: Verdict,
    /// Empty where it is the same.
    why: String,
    pub(crate) tools: usize,
    /// The measured starts without wharf, and with it. In JSON the median of each.
    #[serde(rename = "direct_ms", serialize_with = "as_median")]
    pub(crate) directly: Vec<Duration>,
    #[serde(rename = "wharf_ms", serialize_with = "as_median")]
    pub(crate) through: Vec<Duration>,
}

impl Row {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            name: server.name.clone(),
            server: server.url(),
            verdict: Verdict::Failed,
            why: String::new(),
            tools: 0,
            directly: Vec::new(),
            through: Vec::new(),
        }
    }

    /// The row with its verdict.
    pub(crate) fn ended(mut self, verdict: Verdict, why: &str) -> Self {
        self.verdict = verdict;
        self.why = brief(why);
        self
    }

    /// What wharf adds to the start; it may be less than nothing. Nobody asks that of a server that was not compared to the
    /// end.
    fn more_ms(&self) -> Option<f64> {
        let more = median_ms(&self.through)? - median_ms(&self.directly)?;
        (self.verdict == Verdict::Same).then_some(more)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, verdict, tools, why, .. } = self;
        let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        let (directly, through) = (cell(median_ms(&self.directly)), cell(median_ms(&self.through)));
        let more = cell(self.more_ms());
        write!(f, "{name:<28} {verdict:<10} {tools:>6} {directly:>10} {through:>10} {more:>8}")?;
        if why.is_empty() { Ok(()) } else { write!(f, "  {why}") }
    }
}

/// All rows together.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    servers: usize,
    same: usize,
    different: usize,
    not_here: usize,
    failed: usize,
    /// Of those that are the same: ready through wharf within the margin of their direct start.
    ready_in_time: usize,
    /// The median of what wharf adds.
    more_ms: Option<f64>,
}

impl Summary {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let count = |verdict: Verdict| rows.iter().filter(|row| row.verdict == verdict).count();
        let more: Vec<f64> = rows.iter().filter_map(Row::more_ms).collect();
        Self {
            servers: rows.len(),
            same: count(Verdict::Same),
            different: count(Verdict::Different),
            not_here: count(Verdict::NotHere),
            failed: count(Verdict::Failed),
            ready_in_time: more.iter().filter(|&&more| more <= MARGIN_MS).count(),
            more_ms: median(more),
        }
    }

    /// Whether nothing differs. Where nothing was compared, that is not known.
    pub(crate) fn is_good(&self) -> bool {
        self.same > 0 && self.different == 0 && self.failed == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, same, different, not_here, failed, ready_in_time, more_ms } = self;
        write!(
            f,
            "{servers} servers: {same} the same, {different} different, {not_here} not here, {failed} failed\n\
             {ready_in_time} of {same} ready within {MARGIN_MS:.0} ms of the direct start"
        )?;
        more_ms.map_or(Ok(()), |more| write!(f, "; median of what wharf adds: {more:.0} ms"))
    }
}

/// A text of somebody else's in one line, without what a terminal would obey, and not too long.
pub(crate) fn brief(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut kept: String = line.chars().take(WHY_CHARS_MAX).filter(|c| !c.is_control()).collect();
    if line.chars().nth(WHY_CHARS_MAX).is_some() {
        kept.push('…');
    }
    kept
}

fn median_ms(times: &[Duration]) -> Option<f64> {
    median(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
}

/// The middle one; of an even number the upper of the two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn as_median<S: Serializer>(times: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    median_ms(times).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::servers;
    use serde_json::json;

    fn row(verdict: Verdict, why: &str, directly: u64, through: u64) -> Row {
        let mut row = Row::new(&servers().unwrap()[0]).ended(verdict, why);
        row.tools = 2;
        for (times, milliseconds) in [(&mut row.directly, directly), (&mut row.through, through)] {
            times.extend([9000, milliseconds, 1].map(Duration::from_millis));
        }
        row
    }

    #[test]
    fn a_difference_and_a_failure_are_no_success_and_a_server_that_is_not_here_is_neither() {
        let same = || row(Verdict::Same, "", 1000, 1500);
        let slow = || row(Verdict::Same, "", 1000, 1501);
        let not_here = || row(Verdict::NotHere, "it ended", 1000, 1);
        let good = Summary::of(&[same(), slow(), not_here()]);
        assert!(good.is_good());
        assert_eq!(
            good.to_string(),
            "3 servers: 2 the same, 0 different, 1 not here, 0 failed\n\
             1 of 2 ready within 500 ms of the direct start; median of what wharf adds: 501 ms"
        );
        for verdict in [Verdict::Different, Verdict::Failed] {
            assert!(!Summary::of(&[same(), row(verdict, "x", 1, 1)]).is_good(), "{verdict}");
        }
        assert!(!Summary::of(&[not_here()]).is_good() && !Summary::of(&[]).is_good());
    }

    #[test]
    fn a_row_shows_medians_and_a_reason_that_no_terminal_obeys() {
        let name = format!("{:<28}", servers().unwrap()[0].name);
        let line = |row: Row| row.to_string().strip_prefix(&name).unwrap().to_owned();
        assert_eq!(
            line(row(Verdict::Same, "", 1000, 1200)),
            " same            2       1000       1200      200"
        );
        let hostile = format!("one\n\u{1b}[2Jtwo {}", "x".repeat(WHY_CHARS_MAX));
        let said = line(row(Verdict::Different, &hostile, 1000, 1200));
        assert!(said.contains("  one [2Jtwo xxx") && said.ends_with("x…"), "{said}");
        let json = serde_json::to_value(row(Verdict::NotHere, "x", 1000, 1200)).unwrap();
        assert_eq!((&json["verdict"], &json["direct_ms"]), (&json!("not_here"), &json!(1000.0)));
    }
}
