//! What a cell looks like, and the sequence that makes the next one look so.

use std::fmt::Write as _;

use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Color, NamedColor};

/// The flags that are a look; the others tell of wide characters and lines.
const LOOK: Flags = Flags::INVERSE
    .union(Flags::BOLD)
    .union(Flags::ITALIC)
    .union(Flags::DIM)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(Flags::ALL_UNDERLINES);

/// The look of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pen {
    foreground: Color,
    background: Color,
    underline: Option<Color>,
    flags: Flags,
}

impl Default for Pen {
    fn default() -> Self {
        Self::of(&Cell::default())
    }
}

impl Pen {
    pub(super) fn of(cell: &Cell) -> Self {
        let flags = cell.flags.intersection(LOOK);
        Self { foreground: cell.fg, background: cell.bg, underline: cell.underline_color(), flags }
    }

    /// Makes what is written next look like this, whatever it looked like before.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let mut codes = String::from("\x1b[0");
        for (flag, code) in [
            (Flags::BOLD, ";1"),
            (Flags::DIM, ";2"),
            (Flags::ITALIC, ";3"),
            (Flags::UNDERLINE, ";4"),
            (Flags::DOUBLE_UNDERLINE, ";4:2"),
            (Flags::UNDERCURL, ";4:3"),
            (Flags::DOTTED_UNDERLINE, ";4:4"),
            (Flags::DASHED_UNDERLINE, ";4:5"),
            (Flags::INVERSE, ";7"),
            (Flags::HIDDEN, ";8"),
            (Flags::STRIKEOUT, ";9"),
        ] {
            if self.flags.contains(flag) {
                codes.push_str(code);
            }
        }
        color(&mut codes, self.foreground, 30);
        color(&mut codes, self.background, 40);
        match self.underline {
            Some(Color::Spec(rgb)) => {
                let _ = write!(codes, ";58:2::{}:{}:{}", rgb.r, rgb.g, rgb.b);
            }
            Some(Color::Indexed(index)) => {
                let _ = write!(codes, ";58:5:{index}");
            }
            Some(Color::Named(_)) | None => {}
        }
        codes.push('m');
        out.extend_from_slice(codes.as_bytes());
    }
}

/// Adds a colour, whose codes begin at `base`.
fn color(codes: &mut String, color: Color, base: usize) {
    // Writing to a string does not fail.
    let _ = match color {
        Color::Spec(rgb) => write!(codes, ";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
        Color::Indexed(index) => write!(codes, ";{};5;{index}", base + 8),
        Color::Named(name) if name < NamedColor::BrightBlack => write!(codes, ";{}", base + name as usize),
        Color::Named(name) if name < NamedColor::Foreground => {
            write!(codes, ";{}", base + 60 + name as usize - NamedColor::BrightBlack as usize)
        }
        Color::Named(_) => Ok(()),
    };
}
