//! Text of the spec on its way into source files. It is written by people, for people, and is not trusted: whatever
//! could end a comment, hide something from a reader or upset a compiler is taken out here, for every language.

/// The lines of a text: no control or direction characters, no tabs, no trailing blanks, no blank lines around.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let unified = text.replace("\r\n", "\n");
    let clean = unified
        .split(is_line_end)
        .map(|line| line.chars().filter_map(printable).collect::<String>().trim_end().to_owned());
    let mut lines: Vec<String> = clean.collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let leading = lines.iter().take_while(|line| line.is_empty()).count();
    lines.drain(..leading);
    lines
}

/// The text on one line.
pub(crate) fn single_line(text: &str) -> String {
    lines(text).join(" ").trim().to_owned()
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn printable(character: char) -> Option<char> {
    match character {
        '\t' => Some(' '),
        // They reorder what a reader sees, or cannot be seen at all.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => None,
        control if control.is_control() => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_a_line_ends_one() {
        assert_eq!(lines("a\r\nb\rc\u{2028}d\u{85}e"), ["a", "b", "c", "d", "e"]);
        assert_eq!(lines("\n\n a\tb \n\nc\n\n"), [" a b", "", "c"]);
    }

    #[test]
    fn what_cannot_be_seen_is_taken_out() {
        assert_eq!(lines("a\u{202e}b\u{0}\u{feff}"), ["ab"]);
        assert_eq!(single_line("a\nb\n"), "a b");
    }
}
