//! A screen's lines as text that makes them.

use alacritty_terminal::grid::{Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};

use super::pen::Pen;

/// Writes all lines of a screen, and of those that have scrolled off it the last that have room in `scrollback` bytes. To be
/// written at the top of an empty screen, with nothing set.
pub(super) fn lines(out: &mut Vec<u8>, grid: &Grid<Cell>, scrollback: usize) {
    let bottom = grid.screen_lines();
    let last = Line(i32::try_from(bottom).unwrap_or(i32::MAX) - 1);
    let mut painted = Vec::new();
    let (mut room, mut line) = (scrollback, last);
    while line >= grid.topmost_line() {
        let text = painted_line(grid, line);
        if line < Line(0) {
            let Some(left) = room.checked_sub(text.len() + 2) else { break };
            room = left;
        }
        painted.push((text, continues(grid, line)));
        line -= 1;
    }
    for (index, (text, continues)) in painted.into_iter().rev().enumerate() {
        match (index, continues) {
            (0, _) => {}
            // A character more, and the line before goes on here, without the colour that it may have.
            (_, true) => out.extend_from_slice(b" \r"),
            (_, false) => out.extend_from_slice(b"\r\n"),
        }
        out.extend_from_slice(&text);
    }
}

/// Writes a character with its marks, as it is in a cell.
pub(super) fn character(out: &mut Vec<u8>, row: &Row<Cell>, column: Column) {
    let cell = &row[column];
    let shown = if cell.c.is_control() || is_broken(row, column) { ' ' } else { cell.c };
    let marks = cell.zerowidth().into_iter().flatten().filter(|_| !is_broken(row, column));
    let mut room = [0; 4];
    for character in std::iter::once(&shown).chain(marks) {
        out.extend_from_slice(character.encode_utf8(&mut room).as_bytes());
    }
}

/// Whether a cell is the first of a wide character's two.
pub(super) fn is_wide(row: &Row<Cell>, column: Column) -> bool {
    row[column].flags.contains(Flags::WIDE_CHAR) && !is_broken(row, column)
}

/// Whether a cell is half of a wide character whose other half is gone.
pub(super) fn is_broken(row: &Row<Cell>, column: Column) -> bool {
    let flags = row[column].flags;
    let wide = |column: usize| row[Column(column)].flags.contains(Flags::WIDE_CHAR);
    let spacer = |column: usize| row[Column(column)].flags.contains(Flags::WIDE_CHAR_SPACER);
    if flags.contains(Flags::WIDE_CHAR) {
        column.0 + 1 >= row.len() || !spacer(column.0 + 1)
    } else {
        flags.contains(Flags::WIDE_CHAR_SPACER) && (column.0 == 0 || !wide(column.0 - 1))
    }
}

/// Whether a line is the rest of the one before.
fn continues(grid: &Grid<Cell>, line: Line) -> bool {
    line > grid.topmost_line() && wraps(&grid[line - 1])
}

fn wraps(row: &Row<Cell>) -> bool {
    row[Column(row.len() - 1)].flags.contains(Flags::WRAPLINE)
}

/// A line, from its first column on, with nothing set before and after.
fn painted_line(grid: &Grid<Cell>, line: Line) -> Vec<u8> {
    let row = &grid[line];
    let columns = if wraps(row) {
        row.len()
    } else {
        (0..row.len()).rev().find(|column| !is_blank(row, Column(*column))).map_or(0, |last| last + 1)
    };
    let mut out = Vec::with_capacity(columns);
    let mut pen = Pen::default();
    let mut column = Column(0);
    while column.0 < columns {
        let next = Pen::of(&row[column]);
        if next != pen {
            next.write(&mut out);
            pen = next;
        }
        character(&mut out, row, column);
        column += if is_wide(row, column) { 2 } else { 1 };
    }
    if pen != Pen::default() {
        out.extend_from_slice(b"\x1b[0m");
    }
    out
}

/// Whether a cell is as on an empty screen.
fn is_blank(row: &Row<Cell>, column: Column) -> bool {
    let cell = &row[column];
    let marked = cell.zerowidth().is_some_and(|marks| !marks.is_empty());
    let half = cell.flags.intersects(Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER) && !is_broken(row, column);
    (cell.c == ' ' || cell.c == '\t' || is_broken(row, column)) && !marked && !half && Pen::of(cell) == Pen::default()
}
