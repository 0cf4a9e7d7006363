//! How values become path segments, query parameters and headers.

use std::fmt::{Display, Write};

/// A value that can be a parameter: everything that prints itself as the protocol writes it.
pub trait ToParameter: Display {
    /// The value as it is on the wire, before any escaping.
    fn to_parameter(&self) -> String;
}

impl<T: Display + ?Sized> ToParameter for T {
    fn to_parameter(&self) -> String {
        self.to_string()
    }
}

/// A value as one segment of a path: whatever it holds, it stays within its segment.
pub fn segment(value: &(impl ToParameter + ?Sized)) -> String {
    let text = value.to_parameter();
    // Parsers of URLs take `.` and `..` out of a path even when escaped once. Escaped twice they reach the server,
    // which does not know them.
    if matches!(text.as_str(), "." | "..") {
        return text.replace('.', "%252E");
    }
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => write!(escaped, "%{byte:02X}").expect("a string can always be written to"),
        }
    }
    escaped
}
