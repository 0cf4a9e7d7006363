//! How large a terminal is.

use thiserror::Error;

/// The widest terminal.
pub const MAX_COLS: u16 = 1_000;

/// The highest terminal.
pub const MAX_ROWS: u16 = 500;

/// Columns and rows of a terminal, within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    cols: u16,
    rows: u16,
}

/// A size that no terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a terminal of {cols}x{rows} is out of bounds; ask for 1 to {MAX_COLS} columns and 1 to {MAX_ROWS} rows")]
pub struct BadSize {
    cols: u32,
    rows: u32,
}

impl Size {
    /// # Errors
    /// If it is out of bounds.
    pub fn new(cols: u32, rows: u32) -> Result<Self, BadSize> {
        let within = |value: u32, most: u16| u16::try_from(value).ok().filter(|value| (1..=most).contains(value));
        match (within(cols, MAX_COLS), within(rows, MAX_ROWS)) {
            (Some(cols), Some(rows)) => Ok(Self { cols, rows }),
            _ => Err(BadSize { cols, rows }),
        }
    }

    #[must_use]
    pub const fn cols(self) -> u16 {
        self.cols
    }

    #[must_use]
    pub const fn rows(self) -> u16 {
        self.rows
    }
}

impl Default for Size {
    fn default() -> Self {
        Self { cols: 80, rows: 24 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_within_its_bounds() {
        for (cols, rows) in [(1, 1), (80, 24), (1_000, 500)] {
            let size = Size::new(cols, rows).expect("it is within");
            assert_eq!((u32::from(size.cols()), u32::from(size.rows())), (cols, rows));
        }
        for (cols, rows) in [(0, 24), (80, 0), (0, 0), (1_001, 24), (80, 501), (65_535, 65_535), (65_616, 65_560)] {
            let refused = Size::new(cols, rows).expect_err("it is out of bounds");
            assert!(refused.to_string().contains("1 to 1000 columns"), "{refused}");
        }
    }
}
