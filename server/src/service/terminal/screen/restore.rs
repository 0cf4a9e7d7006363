//! The whole of a screen's state as a sequence that restores it.

use std::io::Write as _;
use std::ops::Range;

use alacritty_terminal::grid::{Cursor, Dimensions, Grid};
use alacritty_terminal::index::Column;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Cell;
use alacritty_terminal::vte::ansi::{CharsetIndex, CursorShape, CursorStyle, Handler, StandardCharset};

use super::emulator::{Emulator, Terminal};
use super::paint;
use super::pen::Pen;

/// Modes, what sets them and what unsets them. Who has a mouse's mode has one of three, and one encoding of two.
const MODES: [(TermMode, &str, &str); 14] = [
    (TermMode::APP_CURSOR, "\x1b[?1h", "\x1b[?1l"),
    (TermMode::APP_KEYPAD, "\x1b=", "\x1b>"),
    (TermMode::MOUSE_REPORT_CLICK, "\x1b[?1000h", "\x1b[?1000l"),
    (TermMode::MOUSE_DRAG, "\x1b[?1002h", "\x1b[?1002l"),
    (TermMode::MOUSE_MOTION, "\x1b[?1003h", "\x1b[?1003l"),
    (TermMode::UTF8_MOUSE, "\x1b[?1005h", "\x1b[?1005l"),
    (TermMode::SGR_MOUSE, "\x1b[?1006h", "\x1b[?1006l"),
    (TermMode::FOCUS_IN_OUT, "\x1b[?1004h", "\x1b[?1004l"),
    (TermMode::ALTERNATE_SCROLL, "\x1b[?1007h", "\x1b[?1007l"),
    (TermMode::BRACKETED_PASTE, "\x1b[?2004h", "\x1b[?2004l"),
    (TermMode::LINE_FEED_NEW_LINE, "\x1b[20h", "\x1b[20l"),
    (TermMode::LINE_WRAP, "\x1b[?7h", "\x1b[?7l"),
    (TermMode::SHOW_CURSOR, "\x1b[?25h", "\x1b[?25l"),
    // Last: what is written while it is set moves the rest of its line.
    (TermMode::INSERT, "\x1b[4h", "\x1b[4l"),
];

/// Ends whatever was begun, empties screen and scrollback, and unsets all: modes, attributes, colours.
const BLANK: &[u8] = b"\x18\x1bc\x1b[3J\x1b]104\x07\x1b]110\x07\x1b]111\x07\x1b]112\x07";

/// No attributes, and plain character sets.
const PLAIN: &[u8] = b"\x1b[0m\x1b(B\x1b)B\x1b*B\x1b+B";

/// The colours that can be set besides the 256, as the emulator and as programs number them.
const SPECIAL: [(usize, u8); 3] = [(256, 10), (257, 11), (258, 12)];

/// What restores a screen, with `scrollback` bytes at most of the lines that have scrolled off.
pub(super) fn restore(emulator: &mut Emulator, scrollback: usize) -> Vec<u8> {
    let (charset, region, title) = (emulator.charset, emulator.region.clone(), emulator.title());
    let terminal = &mut emulator.terminal;
    let mut out = BLANK.to_vec();
    write_tabs(&mut out, terminal);
    let mode = *terminal.mode();
    if mode.contains(TermMode::ALT_SCREEN) {
        // The emulator shows only the one that is in use.
        let alternate = std::mem::replace(terminal.grid_mut(), Grid::new(1, 2, 0));
        terminal.swap_alt();
        write_saved(&mut out, terminal.grid());
        paint::lines(&mut out, terminal.grid(), scrollback);
        write_cursor(&mut out, terminal.grid(), &terminal.grid().cursor, 0);
        terminal.swap_alt();
        *terminal.grid_mut() = alternate;
        out.extend_from_slice(b"\x1b[?1049h");
        out.extend_from_slice(PLAIN);
        out.extend_from_slice(b"\x1b[H\x1b[2J");
        write_saved(&mut out, terminal.grid());
        paint::lines(&mut out, terminal.grid(), 0);
    } else {
        write_saved(&mut out, terminal.grid());
        paint::lines(&mut out, terminal.grid(), scrollback);
    }
    let grid = terminal.grid();
    if region != (0..grid.screen_lines()) {
        write(&mut out, format_args!("\x1b[{};{}r", region.start + 1, region.end));
    }
    let mut origin = 0;
    if mode.contains(TermMode::ORIGIN) {
        out.extend_from_slice(b"\x1b[?6h");
        origin = region.start;
    }
    write_cursor(&mut out, grid, &grid.cursor, origin);
    out.extend_from_slice(active(charset));
    for (flag, set, unset) in MODES {
        if mode.contains(flag) != TermMode::default().contains(flag) {
            out.extend_from_slice(if mode.contains(flag) { set } else { unset }.as_bytes());
        }
    }
    write_style(&mut out, terminal.cursor_style());
    write_colors(&mut out, terminal);
    if let Some(title) = title {
        write(&mut out, format_args!("\x1b]2;{title}\x07"));
    }
    out
}

/// What unsets that which a program left set, and puts the cursor on a line of its own.
pub(super) fn tidy(emulator: &mut Emulator) -> Vec<u8> {
    let (charset, region) = (emulator.charset, emulator.region.clone());
    let terminal = &mut emulator.terminal;
    let mut out = Vec::new();
    if terminal.mode().contains(TermMode::ALT_SCREEN) {
        out.extend_from_slice(b"\x1b[?1049l");
        // The rest is about the screen below.
        let alternate = std::mem::replace(terminal.grid_mut(), Grid::new(1, 2, 0));
        terminal.swap_alt();
        out.extend(tidy_screen(terminal, charset, &region));
        terminal.swap_alt();
        *terminal.grid_mut() = alternate;
    } else {
        out.extend(tidy_screen(terminal, charset, &region));
    }
    out
}

fn tidy_screen(terminal: &Terminal, charset: CharsetIndex, region: &Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    let mode = *terminal.mode();
    let grid = terminal.grid();
    let cursor = &grid.cursor;
    let (line, column) = (cursor.point.line.0 + 1, cursor.point.column.0);
    if *region != (0..grid.screen_lines()) || mode.contains(TermMode::ORIGIN) {
        write(&mut out, format_args!("\x1b[?6l\x1b[r\x1b[{line};{}H", column + 1));
    }
    for (flag, set, unset) in MODES {
        if mode.contains(flag) != TermMode::default().contains(flag) {
            out.extend_from_slice(if mode.contains(flag) { unset } else { set }.as_bytes());
        }
    }
    if Pen::of(&cursor.template) != Pen::default() {
        out.extend_from_slice(b"\x1b[0m");
    }
    if charset != CharsetIndex::G0 || cursor.charsets != Default::default() {
        out.push(0x0f);
        out.extend_from_slice(PLAIN);
    }
    if terminal.cursor_style() != CursorStyle::default() {
        out.extend_from_slice(b"\x1b[0 q");
    }
    if column > 0 {
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(text);
}

/// Where tabs stop, if not at every eighth column.
fn write_tabs(out: &mut Vec<u8>, terminal: &mut Terminal) {
    let cursor = terminal.grid().cursor.clone();
    let last = terminal.columns() - 1;
    let column = |terminal: &Terminal| terminal.grid().cursor.point.column.0;
    let mut stops = Vec::new();
    terminal.grid_mut().cursor.point.column = Column(1);
    terminal.move_backward_tabs(1);
    if column(terminal) == 0 {
        stops.push(0);
    }
    terminal.grid_mut().cursor.point.column = Column(0);
    while column(terminal) < last {
        terminal.move_forward_tabs(1);
        stops.push(column(terminal));
    }
    terminal.grid_mut().cursor = cursor;
    // The last column ends every line, whether it has a stop or not.
    stops.pop();
    if stops.iter().copied().ne((0..last).step_by(8)) {
        out.extend_from_slice(b"\x1b[3g");
        for stop in stops {
            write(out, format_args!("\x1b[{}G\x1bH", stop + 1));
        }
        out.extend_from_slice(b"\x1b[H");
    }
}

/// Saves a screen's saved cursor, and leaves an empty screen as it was: what is written to get there must not stay.
fn write_saved(out: &mut Vec<u8>, grid: &Grid<Cell>) {
    let (line, column, is_after) = place(grid, &grid.saved_cursor);
    write(out, format_args!("\x1b[{};{}H", line + 1, column + 1));
    if is_after {
        out.push(b' ');
    }
    write_look(out, &grid.saved_cursor);
    out.extend_from_slice(b"\x1b7");
    out.extend_from_slice(PLAIN);
    out.extend_from_slice(b"\x1b[2K\x1b[H");
}

/// Puts a cursor in its place, on a screen that begins at the line `origin`.
fn write_cursor(out: &mut Vec<u8>, grid: &Grid<Cell>, cursor: &Cursor<Cell>, origin: usize) {
    let (line, column, is_after) = place(grid, cursor);
    let saved = &grid.saved_cursor;
    let mut goto =
        |column: usize| write(out, format_args!("\x1b[{};{}H", (line + 1).saturating_sub(origin), column + 1));
    if is_after && saved.input_needs_wrap && saved.point == cursor.point {
        out.extend_from_slice(b"\x1b8");
    } else if is_after {
        // Who writes the last character again gets there.
        let row = &grid[cursor.point.line];
        let wide = column > 0 && paint::is_wide(row, Column(column - 1));
        let first = Column(if wide { column - 1 } else { column });
        goto(first.0);
        Pen::of(&row[first]).write(out);
        paint::character(out, row, first);
    } else {
        goto(column);
    }
    write_look(out, cursor);
}

/// Line and column of a cursor, and whether it stands after that column, which is the last one.
fn place(grid: &Grid<Cell>, cursor: &Cursor<Cell>) -> (usize, usize, bool) {
    let last = grid.columns() - 1;
    let line = usize::try_from(cursor.point.line.0).unwrap_or(0).min(grid.screen_lines() - 1);
    let column = cursor.point.column.0.min(last);
    (line, column, cursor.input_needs_wrap && column == last)
}

/// Sets what a cursor writes.
fn write_look(out: &mut Vec<u8>, cursor: &Cursor<Cell>) {
    Pen::of(&cursor.template).write(out);
    for (index, designator) in
        [(CharsetIndex::G0, b'('), (CharsetIndex::G1, b')'), (CharsetIndex::G2, b'*'), (CharsetIndex::G3, b'+')]
    {
        let set = match cursor.charsets[index] {
            StandardCharset::Ascii => b'B',
            StandardCharset::SpecialCharacterAndLineDrawing => b'0',
        };
        out.extend_from_slice(&[0x1b, designator, set]);
    }
}

const fn active(charset: CharsetIndex) -> &'static [u8] {
    match charset {
        CharsetIndex::G0 => b"",
        CharsetIndex::G1 => b"\x0e",
        CharsetIndex::G2 => b"\x1bn",
        CharsetIndex::G3 => b"\x1bo",
    }
}

fn write_style(out: &mut Vec<u8>, style: CursorStyle) {
    if style == CursorStyle::default() {
        return;
    }
    let steady = match style.shape {
        CursorShape::Underline => 4,
        CursorShape::Beam => 6,
        CursorShape::Block | CursorShape::HollowBlock | CursorShape::Hidden => 2,
    };
    write(out, format_args!("\x1b[{} q", steady - u8::from(style.blinking)));
}

fn write_colors(out: &mut Vec<u8>, terminal: &Terminal) {
    let colors = terminal.colors();
    for index in 0..256 {
        if let Some(rgb) = colors[index] {
            write(out, format_args!("\x1b]4;{index};rgb:{:02x}/{:02x}/{:02x}\x07", rgb.r, rgb.g, rgb.b));
        }
    }
    for (index, code) in SPECIAL {
        if let Some(rgb) = colors[index] {
            write(out, format_args!("\x1b]{code};rgb:{:02x}/{:02x}/{:02x}\x07", rgb.r, rgb.g, rgb.b));
        }
    }
}
