//! Tables for people: columns aligned by what a terminal shows of them, no borders, one line a row.
//!
//! A list may have thousands of rows, of which a table crate made cells, styles and lines at a tenth of the whole cost.
use super::escape;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: usize = 3;
/// A column that gives way to a narrow terminal keeps so many characters.
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

    /// The lines. On a terminal of so many columns one table column gives way, and is cut with an ellipsis.
    pub(super) fn render(mut self, columns: Option<usize>, gives_way: Option<&str>) -> Vec<String> {
        let text = self.lines();
        let column = gives_way.and_then(|name| self.header.iter().position(|header| *header == name));
        let (Some(columns), Some(column)) = (columns, column) else { return text };
        let widest = text.iter().map(|line| width(line)).max().unwrap_or(0);
        if widest <= columns {
            return text;
        }
        let has = self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
        let limit = has.saturating_sub(widest - columns).max(NARROWEST);
        for row in &mut self.rows {
            row[column] = cut(&row[column], limit);
        }
        self.lines()
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

fn cut(text: &str, limit: usize) -> String {
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
            table().render(None, Some("PACKAGE")),
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
        assert_eq!(table.render(None, None), ["NAME      GROUP", "\u{6e2f}\u{53e3}      a", "harbour   b"]);
        assert_eq!(cut("\u{6e2f}\u{53e3}\u{6e2f}", 5), "\u{6e2f}\u{53e3}…");
        assert_eq!(cut("\u{6e2f}\u{53e3}\u{6e2f}", 4), "\u{6e2f}…");
    }

    #[test]
    fn one_column_gives_way_to_a_narrow_terminal() {
        assert_eq!(
            table().render(Some(44), Some("PACKAGE")),
            [
                "NAME         PACKAGE              GROUP",
                "time         uvx://mcp-server-…   -",
                "everything   npx://@modelconte…   a\\u{1b}[0m",
            ]
        );
    }
}
