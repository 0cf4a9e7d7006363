//! Tables that fit the terminal: the last column takes what is left, and is cut where that is not enough.

use std::io::IsTerminal as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Colour, Theme};

const GAP: usize = 2;
/// Below this the last column says nothing, so the line may rather run over.
const SHORTEST_LAST: usize = 16;

/// How wide the terminal is; `None` where the output is no terminal and nothing needs cutting.
pub(crate) fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
}

/// Cuts text to a number of columns, and shows that it did.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let wide = letter.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        kept.push(letter);
    }
    kept.push('…');
    kept
}

/// Rows under a header. Cells must be safe for a terminal already.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<(String, Option<Colour>)>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, as long as the header.
    pub(crate) fn row(&mut self, cells: Vec<(String, Option<Colour>)>) {
        self.rows.push(cells);
    }

    /// The table as text, cut to a width if there is one.
    pub(crate) fn render(&self, theme: Theme, width: Option<usize>) -> String {
        let last = self.header.len().saturating_sub(1);
        let mut columns: Vec<usize> = self.header.iter().map(|title| title.width()).collect();
        for row in &self.rows {
            for (column, (cell, _)) in columns.iter_mut().zip(row) {
                *column = (*column).max(cell.width());
            }
        }
        if let (Some(width), Some((last, others))) = (width, columns.split_last_mut()) {
            let taken: usize = others.iter().map(|column| column + GAP).sum();
            *last = (*last).min(width.saturating_sub(taken).max(SHORTEST_LAST));
        }

        let mut text = String::new();
        let titles = self.header.iter().map(|title| ((*title).to_owned(), Some(Colour::Quiet))).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            for (index, ((cell, colour), column)) in row.iter().zip(&columns).enumerate() {
                let cell = cut(cell, *column);
                let padding = if index == last { 0 } else { column - cell.width() + GAP };
                text.push_str(&colour.map_or_else(|| cell.clone(), |colour| theme.paint(colour, &cell)));
                text.extend(std::iter::repeat_n(' ', padding));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "COMMAND"]);
        table.row(vec![("1".into(), None), ("echo a very long command indeed".into(), None)]);
        table.row(vec![("日本".into(), None), ("ls".into(), None)]);
        table
    }

    #[test]
    fn columns_line_up_whatever_the_letters() {
        let text = table().render(Theme::PLAIN, None);
        assert_eq!(text, "ID    COMMAND\n1     echo a very long command indeed\n日本  ls\n");
    }

    #[test]
    fn the_last_column_is_cut_to_the_width() {
        let text = table().render(Theme::PLAIN, Some(24));
        assert_eq!(text.lines().nth(1), Some("1     echo a very long …"));
        assert!(text.lines().all(|line| line.width() <= 24));
    }

    #[test]
    fn wide_letters_are_not_cut_in_half() {
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("ab", 2), "ab");
    }
}
