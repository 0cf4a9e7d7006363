//! Text from elsewhere, made safe to look at. A command that an agent wants to run may hold escape codes that move
//! the cursor, hide text or set the clipboard, and letters that reverse the reading order: all of them are shown
//! instead of obeyed.

use std::fmt::Write as _;

/// One line: line breaks are shown as `⏎`, tabs as `⇥`.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' => safe.push('⏎'),
            '\t' => safe.push('⇥'),
            other => push(&mut safe, other),
        }
    }
    safe
}

/// Several lines: line breaks stay, and are marked where the text could pretend to be something else around it.
pub(crate) fn block(text: &str, indent: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (index, part) in text.split('\n').enumerate() {
        if index > 0 {
            safe.push('\n');
        }
        safe.push_str(indent);
        for letter in part.strip_suffix('\r').unwrap_or(part).chars() {
            if letter == '\t' {
                safe.push_str("    ");
            } else {
                push(&mut safe, letter);
            }
        }
    }
    safe
}

/// JSON that means the same. It escapes the control characters below U+0020 by itself; the other letters that terminals
/// obey or people do not see stand in its strings only, and are escaped here.
pub(super) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\x7f' || is_deceptive(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(letter);
        }
    }
    safe
}

fn push(safe: &mut String, letter: char) {
    match letter {
        // U+2400 and up picture the control characters: ␛ for escape.
        '\0'..='\x1f' => safe.push(char::from_u32(0x2400 + letter as u32).unwrap_or('?')),
        '\x7f' => safe.push('␡'),
        other if is_deceptive(other) => {
            let _infallible = write!(safe, "\\u{{{:x}}}", other as u32);
        }
        other => safe.push(other),
    }
}

/// Controls above ASCII, line separators, letters that change the reading order, and letters that cannot be seen.
fn is_deceptive(letter: char) -> bool {
    matches!(letter,
        '\u{80}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_are_shown_instead_of_obeyed() {
        assert_eq!(line("rm -rf /\x1b[2K\rls"), "rm -rf /␛[2K␍ls");
        assert_eq!(line("\x1b]52;c;Zm9v\x07"), "␛]52;c;Zm9v␇");
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(line("a\x7fb\0"), "a␡b␀");
    }

    #[test]
    fn line_breaks_are_visible() {
        assert_eq!(line("one\ntwo\r\nthree\tfour"), "one⏎two⏎three⇥four");
        assert_eq!(block("one\r\ntwo\tx\n\x1b[1m", "  "), "  one\n  two    x\n  ␛[1m");
    }

    #[test]
    fn reordering_and_invisible_letters_are_named() {
        assert_eq!(line("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
        assert_eq!(line("a\u{200b}b\u{e0041}"), "a\\u{200b}b\\u{e0041}");
    }

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let value = serde_json::json!({"k\u{9b}": "a\u{7f}\u{80}\u{9f}31m \u{202e}\u{e0041} Grüße 👩‍💻 \\ \"\x1b"});
        let safe = json(&value.to_string());
        assert!(!safe.chars().any(|letter| letter.is_control() || is_deceptive(letter)), "{safe}");
        assert!(safe.contains(r"a\u007f\u0080\u009f31m \u202e\udb40\udc41 Grüße"), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("is JSON"), value);
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        for text in ["git commit -m 'Grüße'", "日本語", "👩‍💻", "עברית"] {
            assert_eq!(line(text), text);
        }
    }
}
