//! The emulator: alacritty's, with bounds, and the modes that it lacks.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::{Config, Term, TermMode};
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, LineClearMode, Mode, NamedPrivateMode,
    PrivateMode, Processor, Rgb, StandardCharset, TabulationClearMode, Timeout,
};
use parking_lot::Mutex;
use unicode_width::UnicodeWidthChar;

use super::{SCROLLBACK, SCROLLBACK_CELLS};
use crate::service::terminal::Size;

/// How many marks a character may carry.
const MARKS: usize = 8;

/// The longest title, in characters.
const TITLE: usize = 256;

/// How many titles a program may put aside.
const TITLES: usize = 16;

/// How much may be answered to a program before somebody sends it.
const ANSWERS: usize = 4 << 10;

/// An emulator.
pub(super) struct Emulator {
    pub(super) terminal: Terminal,
    /// Which character set is in use.
    pub(super) charset: CharsetIndex,
    /// The lines that scroll.
    pub(super) region: Range<usize>,
    told: Told,
    processor: Processor<Never>,
    titles: usize,
}

pub(super) type Terminal = Term<Told>;

/// What the emulator tells.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Facts>>);

#[derive(Default)]
struct Facts {
    title: Option<String>,
    answers: Vec<u8>,
}

impl EventListener for Told {
    fn send_event(&self, event: Event) {
        let mut facts = self.0.lock();
        match event {
            Event::Title(title) => facts.title = Some(title),
            Event::ResetTitle => facts.title = None,
            Event::PtyWrite(answer) if facts.answers.len() + answer.len() <= ANSWERS => {
                facts.answers.extend(answer.bytes());
            }
            _ => {}
        }
    }
}

/// Updates are shown as they come: what is held back would be missing in a snapshot.
#[derive(Default)]
struct Never;

impl Timeout for Never {
    fn set_timeout(&mut self, _: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

/// A size as the emulator wants it, which needs room for a wide character.
struct Room(Size);

impl Dimensions for Room {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        usize::from(self.0.rows())
    }

    fn columns(&self) -> usize {
        usize::from(self.0.cols()).max(2)
    }
}

fn config(size: Size) -> Config {
    let scrolling_history = (SCROLLBACK_CELLS / usize::from(size.cols())).min(SCROLLBACK);
    Config { scrolling_history, ..Config::default() }
}

impl Emulator {
    pub(super) fn new(size: Size) -> Self {
        let told = Told::default();
        let terminal = Term::new(config(size), &Room(size), told.clone());
        let region = 0..terminal.screen_lines();
        Self { terminal, charset: CharsetIndex::G0, region, told, processor: Processor::new(), titles: 0 }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Self { terminal, charset, region, processor, titles, .. } = self;
        processor.advance(&mut Bounded { terminal, charset, region, titles }, bytes);
    }

    pub(super) fn resize(&mut self, size: Size) {
        let room = Room(size);
        if (self.terminal.columns(), self.terminal.screen_lines()) != (room.columns(), room.screen_lines()) {
            self.region = 0..room.screen_lines();
        }
        self.terminal.resize(room);
        let title = self.title();
        self.terminal.set_options(config(size));
        self.told.0.lock().title = title;
    }

    pub(super) fn title(&self) -> Option<String> {
        self.told.0.lock().title.clone()
    }

    pub(super) fn answers(&self) -> Vec<u8> {
        std::mem::take(&mut self.told.0.lock().answers)
    }
}

/// Hands everything on, but for what would grow without bounds.
struct Bounded<'a> {
    terminal: &'a mut Terminal,
    charset: &'a mut CharsetIndex,
    region: &'a mut Range<usize>,
    titles: &'a mut usize,
}

macro_rules! hand_on {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(
            #[inline]
            fn $name(&mut self, $($argument: $kind),*) {
                self.terminal.$name($($argument),*);
            }
        )*
    };
}

/// `1047` and `1048`, which `1049` joins, and the older `47`.
const ALTERNATE: [PrivateMode; 2] = [PrivateMode::Unknown(47), PrivateMode::Unknown(1047)];
const CURSOR: PrivateMode = PrivateMode::Unknown(1048);

impl Handler for Bounded<'_> {
    hand_on! {
        set_cursor_style(style: Option<CursorStyle>);
        set_cursor_shape(shape: CursorShape);
        goto(line: i32, col: usize);
        goto_line(line: i32);
        insert_blank(count: usize);
        identify_terminal(intermediate: Option<char>);
        device_status(kind: usize);
        move_forward(count: usize);
        move_backward(count: usize);
        put_tab(count: u16);
        backspace();
        carriage_return();
        linefeed();
        newline();
        set_horizontal_tabstop();
        scroll_up(count: usize);
        scroll_down(count: usize);
        insert_blank_lines(count: usize);
        delete_lines(count: usize);
        erase_chars(count: usize);
        delete_chars(count: usize);
        move_backward_tabs(count: u16);
        move_forward_tabs(count: u16);
        save_cursor_position();
        restore_cursor_position();
        clear_line(mode: LineClearMode);
        clear_screen(mode: ClearMode);
        clear_tabs(mode: TabulationClearMode);
        set_tabs(interval: u16);
        reverse_index();
        terminal_attribute(attribute: Attr);
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        report_mode(mode: Mode);
        report_private_mode(mode: PrivateMode);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, color: Rgb);
        reset_color(index: usize);
        decaln();
        text_area_size_chars();
    }

    #[inline]
    fn input(&mut self, character: char) {
        if !character.is_ascii() && character.width() == Some(0) && !self.has_room_for_a_mark() {
            return;
        }
        self.terminal.input(character);
    }

    // The emulator would take a region beneath the screen.
    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let last = self.terminal.screen_lines();
        let bottom = bottom.map_or(last, |bottom| bottom.min(last));
        if top < bottom {
            *self.region = top.saturating_sub(1)..bottom;
            self.terminal.set_scrolling_region(top, Some(bottom));
        }
    }

    // The emulator's own moves leave the region, and count its beginning twice in origin mode.
    fn move_up(&mut self, count: usize) {
        let line = self.line();
        let first = if line < self.region.start { 0 } else { self.region.start };
        self.move_to(line.saturating_sub(count).max(first), self.column());
    }

    fn move_down(&mut self, count: usize) {
        let line = self.line();
        let end = if line < self.region.end { self.region.end } else { self.terminal.screen_lines() };
        self.move_to((line + count).min(end - 1), self.column());
    }

    fn move_up_and_cr(&mut self, count: usize) {
        self.move_up(count);
        self.terminal.carriage_return();
    }

    fn move_down_and_cr(&mut self, count: usize) {
        self.move_down(count);
        self.terminal.carriage_return();
    }

    fn goto_col(&mut self, column: usize) {
        self.move_to(self.line(), column);
    }

    fn set_title(&mut self, title: Option<String>) {
        let clean = |title: String| title.chars().filter(|character| !character.is_control()).take(TITLE).collect();
        self.terminal.set_title(title.map(clean));
    }

    fn push_title(&mut self) {
        if *self.titles < TITLES {
            *self.titles += 1;
            self.terminal.push_title();
        }
    }

    fn pop_title(&mut self) {
        *self.titles = self.titles.saturating_sub(1);
        self.terminal.pop_title();
    }

    fn reset_state(&mut self) {
        *self.charset = CharsetIndex::G0;
        *self.region = 0..self.terminal.screen_lines();
        *self.titles = 0;
        self.terminal.reset_state();
        self.terminal.set_title(None);
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        *self.charset = index;
        self.terminal.set_active_charset(index);
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            CURSOR => self.terminal.save_cursor_position(),
            mode if ALTERNATE.contains(&mode) || mode == alternate() => {
                if !self.terminal.mode().contains(TermMode::ALT_SCREEN) {
                    self.terminal.set_private_mode(alternate());
                    // Not the one of whoever was there before.
                    self.terminal.save_cursor_position();
                }
            }
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => self.change_columns(mode, Handler::set_private_mode),
            mode => self.terminal.set_private_mode(mode),
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            CURSOR => self.terminal.restore_cursor_position(),
            mode if ALTERNATE.contains(&mode) && self.terminal.mode().contains(TermMode::ALT_SCREEN) => {
                // The cursor is not the primary screen's own.
                let point = self.terminal.grid().cursor.point;
                self.terminal.unset_private_mode(alternate());
                let cursor = &mut self.terminal.grid_mut().cursor;
                (cursor.point, cursor.input_needs_wrap) = (point, false);
            }
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => self.change_columns(mode, Handler::unset_private_mode),
            mode => self.terminal.unset_private_mode(mode),
        }
    }

    // Addresses may be long, and each cell may have another.
    fn set_hyperlink(&mut self, _: Option<Hyperlink>) {}
}

fn alternate() -> PrivateMode {
    PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor)
}

impl Bounded<'_> {
    fn line(&self) -> usize {
        usize::try_from(self.terminal.grid().cursor.point.line.0).unwrap_or(0)
    }

    fn column(&self) -> usize {
        self.terminal.grid().cursor.point.column.0
    }

    fn move_to(&mut self, line: usize, column: usize) {
        let column = Column(column.min(self.terminal.columns() - 1));
        let cursor = &mut self.terminal.grid_mut().cursor;
        cursor.point = Point::new(Line(i32::try_from(line).unwrap_or(0)), column);
        cursor.input_needs_wrap = false;
    }

    /// The number of columns stays; the rest is done, and all lines scroll.
    fn change_columns(&mut self, mode: PrivateMode, change: fn(&mut Terminal, PrivateMode)) {
        change(self.terminal, mode);
        *self.region = 0..self.terminal.screen_lines();
    }

    /// Whether the character before the cursor may carry one more.
    fn has_room_for_a_mark(&self) -> bool {
        let grid = self.terminal.grid();
        let row = &grid[grid.cursor.point.line];
        let column = grid.cursor.point.column;
        // It is one of these, whichever way the cursor stands.
        [0, 1, 2].iter().all(|back| {
            let cell = &row[Column(column.0.saturating_sub(*back))];
            cell.zerowidth().is_none_or(|marks| marks.len() < MARKS)
        })
    }
}
