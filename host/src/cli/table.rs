//! Tables for people: columns aligned by what a terminal shows of them, no borders, one line a row.
use super::escape;
use comfy_table::{ContentArrangement, presets::NOTHING};

/// Between two columns.
const GAP: u16 = 3;
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
        let widest = text.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        if widest <= columns {
            return text;
        }
        let has = self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let limit = has.saturating_sub(widest - columns).max(NARROWEST);
        for row in &mut self.rows {
            row[column] = cut(&row[column], limit);
        }
        self.lines()
    }

    fn lines(&self) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header);
        for row in &self.rows {
            // An empty cell would shift nothing, and still is hard to see for who counts columns.
            table.add_row(row.iter().map(|cell| if cell.is_empty() { "-" } else { cell.as_str() }));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(limit.saturating_sub(1)).collect();
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
