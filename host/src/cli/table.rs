//! Tables for people: columns aligned by what a terminal shows of them, no borders, one line a row.
//!
//! A list may have thousands of rows, of which a table crate made cells, styles and lines at a tenth of the whole cost.
use super::escape;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: usize = 3;
/// A column that gives way to a narrow terminal keeps this many characters.
const NARROWEST: usize = 10;

/// A table under construction.
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. What terminals would obey in it is escaped here.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| escape::line(cell).into_owned()).collect());
    }

    /// Leaves a column out.
    pub(super) fn leave_out(&mut self, name: &str) {
        let Some(column) = self.header.iter().position(|header| *header == name) else { return };
        self.header.remove(column);
        for row in &mut self.rows {
            row.remove(column);
        }
    }

    /// The lines. On a terminal of so many columns these columns of the table give way, the first one first, and are cut
    /// with an ellipsis; where that is not enough, the lines are.
    pub(super) fn render(mut self, columns: Option<usize>, give_way: &[&str]) -> Vec<String> {
        let mut text = self.lines();
        let Some(columns) = columns else { return text };
        let widest = |text: &[String]| text.iter().map(|line| width(line)).max().unwrap_or(0);
        for name in give_way {
            let too_wide = widest(&text).saturating_sub(columns);
            let Some(column) = self.header.iter().position(|header| header == name) else { continue };
            if too_wide == 0 {
                return text;
            }
            let has = self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
            let limit = has.saturating_sub(too_wide).max(NARROWEST);
            for row in &mut self.rows {
                row[column] = cut(&row[column], limit);
            }
            text = self.lines();
        }
        text.iter().map(|line| cut(line, columns)).collect()
    }

    fn lines(&self) -> Vec<String> {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| width(cell)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(shown(cell)).max(*widest);
            }
        }
        let mut lines = vec![aligned(self.header.iter().copied(), &widths)];
        lines.extend(self.rows.iter().map(|row| aligned(row.iter().map(|cell| shown(cell)), &widths)));
        lines
    }
}

/// An empty cell would shift nothing, and still is hard to see for who counts columns.
fn shown(cell: &str) -> &str {
    if cell.is_empty() { "-" } else { cell }
}

fn aligned<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut line = String::with_capacity(widths.iter().map(|width| width + GAP).sum());
    for (cell, widest) in cells.zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', widest - width(cell) + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// The columns of a terminal that it takes.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text in so many columns, with an ellipsis in the place of what is cut.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = width("…");
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > limit {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The text in lines of so many columns, broken between words; a longer word is a line.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "PACKAGE", "GROUP"]);
        table.row(["time", "uvx://mcp-server-time", ""]);
        table.row(["everything", "npx://@modelcontextprotocol/server-everything", "a\u{1b}[0m"]);
        table
    }

    #[test]
    fn columns_are_aligned_and_cells_stay_on_their_line() {
        assert_eq!(
            table().render(None, &["PACKAGE"]),
            [
                "NAME         PACKAGE                                         GROUP",
                "time         uvx://mcp-server-time                           -",
                "everything   npx://@modelcontextprotocol/server-everything   a\\u{1b}[0m",
            ]
        );
    }

    #[test]
    fn what_takes_two_columns_of_a_terminal_is_counted_as_two() {
        let mut table = Table::new(&["NAME", "GROUP"]);
        table.row(["\u{6e2f}\u{53e3}", "a"]);
        table.row(["harbour", "b"]);
        assert_eq!(table.render(None, &[]), ["NAME      GROUP", "\u{6e2f}\u{53e3}      a", "harbour   b"]);
        assert_eq!(cut("\u{6e2f}\u{53e3}\u{6e2f}", 5), "\u{6e2f}\u{53e3}…");
        assert_eq!(cut("\u{6e2f}\u{53e3}\u{6e2f}", 4), "\u{6e2f}…");
    }

    #[test]
    fn one_column_gives_way_to_a_narrow_terminal() {
        assert_eq!(
            table().render(Some(44), &["PACKAGE"]),
            [
                "NAME         PACKAGE              GROUP",
                "time         uvx://mcp-server-…   -",
                "everything   npx://@modelconte…   a\\u{1b}[0m",
            ]
        );
    }

    #[test]
    fn a_terminal_that_is_narrower_still_has_more_columns_cut_and_then_the_lines() {
        assert_eq!(
            table().render(Some(34), &["PACKAGE", "NAME", "missing"]),
            [
                "NAME         PACKAGE      GROUP",
                "time         uvx://mcp…   -",
                "everything   npx://@mo…   a\\u{1b}…"
            ]
        );
        let lines = table().render(Some(20), &["PACKAGE"]);
        assert!(lines.iter().all(|line| width(line) <= 20), "{lines:?}");
    }

    #[test]
    fn a_text_is_wrapped_between_words() {
        assert_eq!(wrapped("a bb ccc dddd", 5), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("incomprehensibilities a", 5), ["incomprehensibilities", "a"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
