//! Colour, where it is wanted: on a terminal, and not when `NO_COLOR` is set or the terminal is dumb.

use std::io::IsTerminal as _;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    colour: bool,
}

/// What a colour means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Good,
    Warning,
    Bad,
    Accent,
    Quiet,
    Strong,
}

impl Theme {
    /// For standard output.
    pub(crate) fn detect() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    /// For standard error.
    pub(crate) fn for_stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    fn of(is_terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: is_terminal && !set("NO_COLOR") && !dumb }
    }

    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { colour: false };

    /// The text in a colour.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Good => "32",
            Colour::Warning => "33",
            Colour::Bad => "31",
            Colour::Accent => "36",
            Colour::Quiet => "2",
            Colour::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_the_text_is_left_alone() {
        assert_eq!(Theme::PLAIN.paint(Colour::Bad, "x"), "x");
        assert_eq!(Theme { colour: true }.paint(Colour::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
