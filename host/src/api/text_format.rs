//! [`Text`]: Prometheus' text form, line by line.
use std::fmt::Write;

/// Metrics as text.
#[derive(Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    /// The head of a metric.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample. A label without a value is left out.
    pub(crate) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// The samples of a histogram: for each bound how many were no larger, the count of all, and their sum.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        buckets: impl Iterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        let bucket = format!("{name}_bucket");
        let with = |bound: &str, text: &mut Self, count: u64| {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            text.line(&bucket, &labels, &count.to_string());
        };
        for (bound, count) in buckets {
            with(&bound.to_string(), self, count);
        }
        with("+Inf", self, count);
        self.line(&format!("{name}_sum"), labels, &sum.to_string());
        self.line(&format!("{name}_count"), labels, &count.to_string());
    }
}
