//! Names of files as git writes them: as they are, or in quotes as C has it.

use std::fmt::Write as _;

/// The name that git wrote, whether in quotes or not. `None` if it is no such name.
pub(super) fn unquoted(written: &[u8]) -> Option<Vec<u8>> {
    let Some(inner) = written.strip_prefix(b"\"") else { return Some(written.to_vec()) };
    let inner = inner.strip_suffix(b"\"")?;
    let mut name = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        at += 1;
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        let escaped = *inner.get(at)?;
        at += 1;
        name.push(match escaped {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'"' | b'\\' => escaped,
            b'0'..=b'3' => {
                let rest = inner.get(at..at + 2)?;
                at += 2;
                rest.iter().try_fold(escaped - b'0', |value, digit| {
                    matches!(digit, b'0'..=b'7').then(|| value * 8 + (digit - b'0'))
                })?
            }
            _ => return None,
        });
    }
    Some(name)
}

/// A name as it is shown: itself, or in quotes if it is not UTF-8 or would be taken for one in quotes. No two names are
/// shown alike.
pub(super) fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.starts_with('"') => text.to_owned(),
        _ => {
            let mut text = String::from("\"");
            for &byte in name {
                match byte {
                    b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => text.push(char::from(byte)),
                    _ => {
                        let _ = write!(text, "\\{byte:03o}");
                    }
                }
            }
            text.push('"');
            text
        }
    }
}

/// The name that is shown so.
pub(super) fn named(shown: &str) -> Option<Vec<u8>> {
    unquoted(shown.as_bytes())
}
