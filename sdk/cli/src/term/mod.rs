//! What a person sees. Everything that came from an agent, a server or a file goes through `sanitise` first.

mod prompt;
mod qr;
mod sanitise;
mod style;
mod table;
mod when;

pub(crate) use prompt::confirm;
pub(crate) use qr::qr_code;
pub(crate) use sanitise::{block, line};
pub(crate) use style::{Colour, Theme};
pub(crate) use table::{Table, cut, width};
pub(crate) use when::{ago, clock, now, until};

use std::io::{self, Write as _};

use anyhow::Result;
use serde::Serialize;

/// Prints text. A reader that went away, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Prints a line.
pub(crate) fn say(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

/// Prints a value as JSON, for programs, and harmless for the terminal of a person who looks on.
pub(crate) fn say_json(value: &impl Serialize) -> Result<()> {
    say(&sanitise::json(&serde_json::to_string_pretty(value)?))
}

/// Prints a value as one line of JSON, for commands that go on telling.
pub(crate) fn say_json_line(value: &impl Serialize) -> Result<()> {
    say(&sanitise::json(&serde_json::to_string(value)?))
}

/// Says something beside the result, on stderr.
pub(crate) fn remark(text: &str) {
    let _nobody_reads = writeln!(io::stderr().lock(), "{text}");
}
