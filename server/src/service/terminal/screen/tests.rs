//! A snapshot is right if a fresh emulator that reads it is, cell by cell, like one that read all that was printed, and stays so.

use alacritty_terminal::grid::{Cursor, Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::pen::Pen;
use super::*;

fn size(cols: u32, rows: u32) -> Size {
    Size::new(cols, rows).expect("it is within bounds")
}

fn screen(size: Size, printed: &[u8]) -> Screen {
    let mut screen = Screen::new(size);
    screen.feed(printed);
    screen
}

/// A fresh screen that read the snapshot of another.
fn restored(from: &mut Screen) -> Screen {
    let snapshot = from.snapshot();
    screen(from.size(), &snapshot)
}

/// What of a cell is seen.
fn seen(grid: &Grid<Cell>, line: Line, column: usize) -> (char, Vec<char>, Pen, bool) {
    let row = &grid[line];
    let column = Column(column);
    let cell = &row[column];
    let broken = paint::is_broken(row, column);
    let character = if broken || cell.c == '\t' { ' ' } else { cell.c };
    let marks = cell.zerowidth().unwrap_or_default().iter().copied().filter(|_| !broken).collect();
    // That the last line goes on is true of none that is shown: there is no next one.
    let goes_on = line < grid.bottommost_line() && column.0 + 1 == row.len() && cell.flags.contains(Flags::WRAPLINE);
    (character, marks, Pen::of(cell), goes_on)
}

/// What is printed later moves the last line up, which may be said to go on or not.
const LATER: &str = ", then ";

fn assert_same_grid(left: &Grid<Cell>, right: &Grid<Cell>, what: &str) {
    assert_eq!(left.history_size(), right.history_size(), "{what}: lines that have scrolled off");
    for line in left.topmost_line().0..=left.bottommost_line().0 {
        for column in 0..left.columns() {
            let (mut left, mut right) = (seen(left, Line(line), column), seen(right, Line(line), column));
            if what.contains(LATER) {
                (left.3, right.3) = (false, false);
            }
            assert_eq!(left, right, "{what}: line {line}, column {column}");
        }
    }
    assert_same_cursor(&left.cursor, &right.cursor, &format!("{what}: cursor"));
}

fn assert_same_cursor(left: &Cursor<Cell>, right: &Cursor<Cell>, what: &str) {
    assert_eq!(left.point, right.point, "{what}");
    assert_eq!(Pen::of(&left.template), Pen::of(&right.template), "{what}");
    assert_eq!(left.charsets, right.charsets, "{what}");
    assert_eq!(left.input_needs_wrap, right.input_needs_wrap, "{what}: after the last column");
}

fn assert_same(left: &Screen, right: &Screen, what: &str) {
    let (one, other) = (&left.emulator.terminal, &right.emulator.terminal);
    assert_eq!(one.mode(), other.mode(), "{what}: modes");
    assert_same_grid(one.grid(), other.grid(), what);
    assert_same_cursor(&one.grid().saved_cursor, &other.grid().saved_cursor, &format!("{what}: saved cursor"));
    assert_eq!(one.cursor_style(), other.cursor_style(), "{what}: shape of the cursor");
    assert_eq!(left.emulator.title(), right.emulator.title(), "{what}: title");
    assert_eq!(left.emulator.charset, right.emulator.charset, "{what}: character set");
    let (one, other) = (left.emulator.terminal.colors(), right.emulator.terminal.colors());
    for index in 0..259 {
        assert_eq!(one[index], other[index], "{what}: colour {index}");
    }
}

/// A snapshot restores, and what is printed then does the same to both; so does going back to the primary screen.
fn assert_restores(screen: &mut Screen, then: &[u8], what: &str) {
    let mut other = restored(screen);
    assert_same(screen, &other, what);
    for part in [then, b"\x1b8saved\x1b[999;1H\n\nbelow", b"\x1b[?1049l", b"\tleft\x1b[H\ttop\x1b[20Z*\x0eq\x0fq"] {
        screen.feed(part);
        other.feed(part);
        assert_same(screen, &other, &format!("{what}{LATER}{:?}", String::from_utf8_lossy(part)));
    }
}

#[test]
fn a_snapshot_restores_what_programs_do() {
    for printed in [
        "",
        "plain\r\ntext",
        "\x1b[1;31mbold red\x1b[0m \x1b[38;5;200;48;2;1;2;3mcolours\x1b[7m",
        "\x1b[4:3m\x1b[58;2;9;8;7mcurl\x1b[21m\x1b[9mstruck\x1b[2mdim\x1b[3mitalic\x1b[8mhidden",
        "wide 漢字 e\u{301} 👩\u{200d}👩 \u{1f1e9}",
        "\x1b[1;79H漢字 over the edge",
        "\x1b[1;80Hx",
        "\x1b[1;80Hx\x1b7\x1b[5;5H\x1b[32m",
        "\x1b[44m\x1b[2J\x1b[K blue",
        "\x1b[?1049h\x1b[2Jalternate\x1b[5;10r\x1b[?6h\x1b[?25l",
        "before\x1b[33m\x1b[?1049h\x1b[H\x1b[41m\x1b[K",
        "one\x1b[?1047htwo\x1b[?1047lthree",
        "\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?1004h\x1b[?7l\x1b[20h",
        "\x1b[4hinserting\x1b[1;1H",
        "\x1b(0lqqk\x1b)0\x0e",
        "\x1b[3g\x1b[5G\x1bH\x1b[11G\x1bH\r",
        "\x1b]2;a title\x07\x1b]4;7;rgb:12/34/56\x07\x1b]11;rgb:00/00/10\x07",
        "\x1b[6 q",
        "cut \x1b[3",
        "cut \u{1b}]2;tit",
    ] {
        assert_restores(&mut screen(size(80, 24), printed.as_bytes()), b"1;4mon", &format!("{printed:?}"));
    }
}

#[test]
fn lines_that_have_scrolled_off_are_restored_and_bounded() {
    let text: String = (0..3_000).map(|line| format!("line {line} {}\r\n", "x".repeat(line % 170))).collect();
    let mut long = screen(size(80, 24), text.as_bytes());
    assert_eq!(long.emulator.terminal.grid().history_size(), SCROLLBACK);
    assert_restores(&mut long, b"more", "long lines");

    let colourful: String =
        (0..300_000).map(|cell| format!("\x1b[38;2;{};{};{}mx", cell % 251, cell % 241, cell % 239)).collect();
    let mut colourful = screen(size(200, 50), colourful.as_bytes());
    let (snapshot, resync) = (colourful.snapshot().len(), colourful.resync().len());
    let on_screen = 200 * 50 * 24;
    assert!(snapshot > SNAPSHOT_SCROLLBACK / 2 && snapshot < SNAPSHOT_SCROLLBACK + on_screen, "{snapshot} bytes");
    assert!(resync < RESYNC_SCROLLBACK + on_screen, "{resync} bytes");
    // What is left out is at the top only.
    let other = restored(&mut colourful);
    let (left, right) = (colourful.emulator.terminal.grid(), other.emulator.terminal.grid());
    for line in right.topmost_line().0 + 1..50 {
        for column in 0..200 {
            assert_eq!(
                seen(left, Line(line), column).2,
                seen(right, Line(line), column).2,
                "line {line}, column {column}"
            );
        }
    }
}

/// A stream as no program prints it, but any might.
fn random(random: &mut StdRng, pieces: usize) -> Vec<u8> {
    const TEXTS: [&str; 14] = [
        "a",
        "text ",
        "漢字",
        "e\u{301}",
        "😀",
        "\r",
        "\n",
        "\r\n",
        "\t",
        "\x08",
        "日本語テキスト",
        "\u{7f}",
        "ñ\u{303}\u{327}",
        "a long word ",
    ];
    const SEQUENCES: [&str; 36] = [
        "\x1b[m",
        "\x1b[1m",
        "\x1b[3;4m",
        "\x1b[7m",
        "\x1b[31m",
        "\x1b[97;100m",
        "\x1b[38;5;99m",
        "\x1b[48;2;5;6;7m",
        "\x1b[4:3m",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[2K",
        "\x1b[J",
        "\x1b[1J",
        "\x1b[2J",
        "\x1b[L",
        "\x1b[M",
        "\x1b[3@",
        "\x1b[2P",
        "\x1b[5X",
        "\x1b[S",
        "\x1b[T",
        "\x1bM",
        "\x1b7",
        "\x1b8",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[?7l",
        "\x1b[?7h",
        "\x1bH",
        "\x1b(0",
        "\x1b(B",
        "\x1b]2;title\x07",
        "\x1b[?25l",
    ];
    let mut out = Vec::new();
    for _ in 0..pieces {
        match random.random_range(0..10) {
            0..5 => out.extend_from_slice(TEXTS.choose(random).expect("there are some").as_bytes()),
            5..8 => out.extend_from_slice(SEQUENCES.choose(random).expect("there are some").as_bytes()),
            8 => out.extend(format!("\x1b[{};{}H", random.random_range(0..30), random.random_range(0..50)).bytes()),
            _ if random.random_ratio(1, 3) => {
                out.extend(format!("\x1b[{};{}r", random.random_range(0..9), random.random_range(5..20)).bytes());
            }
            _ => out.extend((0..3).map(|_| random.random::<u8>())),
        }
    }
    out
}

#[test]
fn a_snapshot_restores_random_streams() {
    for seed in 0..300 {
        let mut source = StdRng::seed_from_u64(seed);
        let size = size(source.random_range(2..60), source.random_range(1..20));
        let mut one = Screen::new(size);
        let pieces = source.random_range(1..300);
        let printed = random(&mut source, pieces);
        let cut = source.random_range(0..=printed.len());
        one.feed(&printed[..cut]);
        let other = restored(&mut one);
        assert_same(&one, &other, &format!("seed {seed}"));
        // In origin mode, a cursor outside the region cannot be put where it is; these streams have none.
        let rest = random(&mut source, 5);
        assert_restores(&mut one, &rest, &format!("seed {seed}"));
    }
}

#[test]
fn any_bytes_and_sizes_do_no_harm() {
    for seed in 0..20 {
        let mut source = StdRng::seed_from_u64(seed);
        let mut screen = Screen::new(Size::default());
        for _ in 0..20 {
            screen.feed(&random(&mut source, 40));
            let wild: Vec<u8> = (0..200)
                .map(|_| {
                    *b"\x1b[]?;0123456789hlmrHJKPX@LMST ABCDfg78c=>#%(*\xe2\x80".choose(&mut source).expect("some")
                })
                .collect();
            screen.feed(&wild);
            screen.resize(size(source.random_range(1..=300), source.random_range(1..=100)));
            let snapshot = screen.snapshot();
            Screen::new(screen.size()).feed(&snapshot);
            let _ = (screen.resync(), screen.tidied(), screen.answers());
        }
    }
}

#[test]
fn a_screen_that_was_resized_is_restored() {
    for seed in 0..100 {
        let mut source = StdRng::seed_from_u64(seed);
        let mut one = Screen::new(size(40, 12));

        for _ in 0..5 {
            one.feed(&random(&mut source, 60));
            one.resize(size(source.random_range(2..80), source.random_range(1..30)));
            // A new width may part a wide character from its other half, and cursors from their lines' ends.
            one.feed(b"\x1b[H\x1b7");
            let other = restored(&mut one);
            assert_same(&one, &other, &format!("seed {seed}"));
        }
    }
}

fn other_emulator() -> avt::Terminal {
    avt::Terminal::new(40, 12).expect("it has a size")
}

/// The rows of another emulator, as text and looks. What is erased has a background at most.
fn others_rows(terminal: &avt::Terminal) -> Vec<String> {
    let cell = |cell: &avt::Cell| match cell.char() {
        ' ' => format!(" {:?}|", cell.pen().background()),
        other => format!("{other}{:?}|", cell.pen()),
    };
    terminal.screen().visible_lines().map(|line| line.cells().iter().map(cell).collect()).collect()
}

#[test]
fn another_emulator_is_restored_too() {
    // What both emulators read alike: no sequence that one of them lacks, no character whose width they dispute.
    const MOVES: [&str; 6] = ["\r", "\x1b[5;3H", "\x1b[2A", "\x1b[2;9r\x1b[2;1H", "\x1b[L", "\x1b[2M"];
    const PIECES: [&str; 23] = [
        "text",
        " more text ",
        "漢字",
        "é",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\x1b[m",
        "\x1b[1;31m",
        "\x1b[38;5;99m",
        "\x1b[48;2;5;6;7m",
        "\x1b[3;4m",
        "\x1b[K",
        "\x1b[2J",
        "\x1b[5;3H",
        "\x1b[2;9r\x1b[2;1H",
        "\x1b[2A",
        "\x1b[3C",
        "\x1b[?1049h\x1b[2;2H\x1b[7minside\x1b[0m\x1b[?1049l",
        "\x1b7",
        "\x1b[L",
        "\x1b[2M",
    ];
    for seed in 0..200 {
        let mut source = StdRng::seed_from_u64(seed);
        let (mut raw, mut copy) = (other_emulator(), other_emulator());
        let mut one = Screen::new(size(40, 12));
        // What is left of a wide character that is written over is disputed too: where there are some, all goes on below.
        let has_wide = seed % 4 < 2;
        let fits = |piece: &&&str| if has_wide { !MOVES.contains(*piece) } else { **piece != "漢字" };
        let pieces: Vec<&str> = PIECES.iter().filter(fits).copied().collect();
        let print = |source: &mut StdRng, count: usize| -> String {
            (0..count).map(|_| *pieces.choose(source).expect("there are some")).collect()
        };
        let mut printed = print(&mut source, 80);
        if seed % 2 == 1 {
            printed.push_str("\x1b[?1049h");
            printed.push_str(&print(&mut source, 20).replace("\x1b[?1049", "\x1b[?9"));
        }
        one.feed(printed.as_bytes());
        raw.feed(printed.as_str());
        copy.feed(std::str::from_utf8(&one.snapshot()).expect("it is UTF-8"));
        for (row, (raw, copy)) in others_rows(&raw).iter().zip(others_rows(&copy)).enumerate() {
            assert_eq!(*raw, copy, "seed {seed}, row {row}");
        }
        assert_eq!(raw.cursor().col, copy.cursor().col, "seed {seed}");
        assert_eq!(raw.cursor().row, copy.cursor().row, "seed {seed}");
    }
}

#[test]
fn what_a_program_left_is_tidied() {
    let mut left = screen(
        size(80, 24),
        b"shell\r\nprompt\x1b[?1049h\x1b[3;9r\x1b[?6h\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[?25l\x1b[4h\x1b(0\x1b[31mvim\x1b[6 q\x1b[3",
    );
    let tidied = left.tidied();
    left.feed(&tidied);
    let (mode, grid) = (*left.emulator.terminal.mode(), left.emulator.terminal.grid());
    assert_eq!(mode, TermMode::default());
    assert_eq!((grid.cursor.point.line, grid.cursor.point.column), (Line(2), Column(0)));
    let row: String = (0..6).map(|column| grid[Line(1)][Column(column)].c).collect();
    assert_eq!(row, "prompt");
    assert!(left.tidied().is_empty(), "it is tidy now");
    left.feed(b"next\x1b[24;1H\n");
    assert_eq!(left.emulator.terminal.grid().history_size(), 1, "all of the screen scrolls again");
    assert!(screen(size(80, 24), b"done\r\n").tidied().is_empty());
}

#[test]
fn questions_are_answered_within_bounds() {
    let screen_ = screen(size(80, 24), b"\x1b[5;7H\x1b[6n\x1b[c");
    assert_eq!(screen_.answers(), b"\x1b[5;7R\x1b[?6c");
    assert_eq!(screen_.answers(), b"");
    let many = screen(size(80, 24), &b"\x1b[6n".repeat(100_000));
    assert!((1..8 << 10).contains(&many.answers().len()));
}

#[test]
fn marks_and_titles_are_bounded() {
    let mut marked = screen(size(80, 24), format!("a{}", "\u{301}".repeat(100_000)).as_bytes());
    assert!(marked.snapshot().len() < 1_000);
    let titled = screen(size(80, 24), format!("\x1b]2;{}\x07", "t".repeat(50_000)).as_bytes());
    assert!(titled.emulator.title().expect("it has one").len() <= 256);
}
