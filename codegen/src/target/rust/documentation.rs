//! Descriptions of the spec as doc comments: wrapped, and with everything defused that rustdoc would act upon. A
//! code block stays one, but is never run as a test; links, HTML and stray backticks show as they were written.

use crate::target::text;

const WIDTH: usize = 110;

/// What is said of a field whose value is never shown.
pub(crate) const SECRET: &str = "Secret: `Debug` shows `[redacted]` in its place.";

/// The lines of a doc comment, without `///`. Text is wrapped anew; lists, headings and code keep their lines.
pub(crate) fn lines(description: &str) -> Vec<String> {
    let mut written = Vec::new();
    let mut block = String::new();
    let mut in_code = false;
    for line in text::lines(description) {
        let content = line.trim_start();
        let is_fence = content.starts_with("```") || content.starts_with("~~~");
        if is_fence || in_code || content.is_empty() || begins_a_block(words(content)[0]) {
            wrap(&std::mem::take(&mut block), &mut written);
        }
        if is_fence {
            in_code = !in_code;
            written.push(if in_code { "```text" } else { "```" }.to_owned());
        } else if in_code || content.is_empty() {
            written.push(line);
        } else if block.is_empty() {
            // Four blanks would begin a code block, and rustdoc takes those for tests.
            let indent = (line.len() - content.len()).min(3);
            block = format!("{}{content}", " ".repeat(indent));
        } else {
            block.push(' ');
            block.push_str(content);
        }
    }
    wrap(&block, &mut written);
    if in_code {
        written.push("```".to_owned());
    }
    written
}

/// A description and what is known besides, as paragraphs.
pub(crate) fn paragraphs<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut written: Vec<String> = Vec::new();
    for part in parts {
        let lines = lines(part);
        if lines.is_empty() {
            continue;
        }
        if !written.is_empty() {
            written.push(String::new());
        }
        written.extend(lines);
    }
    written
}

/// Escapes what has a meaning in rustdoc's Markdown. Code within one line keeps its meaning, and stays as it is.
fn defuse(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        if character == '`' {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            let (fence, after) = rest.split_at(ticks);
            match code_span(after, ticks) {
                Some(length) if ticks < 3 => {
                    safe.push_str(&rest[..ticks + length + ticks]);
                    rest = &after[length + ticks..];
                }
                _ => {
                    safe.push_str(&fence.replace('`', "\\`"));
                    rest = after;
                }
            }
        } else if rest.starts_with("http://") || rest.starts_with("https://") {
            let end = rest.find(|c: char| c.is_whitespace() || "<>\"`\\()[]".contains(c)).unwrap_or(rest.len());
            let url = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']);
            safe.push_str(&format!("<{url}>"));
            rest = &rest[url.len()..];
        } else {
            if matches!(character, '[' | ']' | '<' | '>' | '\\' | '~') {
                safe.push('\\');
            }
            safe.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    safe
}

/// The length of the code that follows an opening run of backticks, up to a closing run that is as long.
fn code_span(after: &str, ticks: usize) -> Option<usize> {
    let mut position = 0;
    while let Some(found) = after[position..].find('`') {
        let start = position + found;
        let run = after[start..].len() - after[start..].trim_start_matches('`').len();
        if run == ticks {
            return Some(start);
        }
        position = start + run;
    }
    None
}

fn wrap(block: &str, written: &mut Vec<String>) {
    let content = block.trim_start();
    if content.is_empty() {
        return;
    }
    let indent = " ".repeat(block.len() - content.len());
    // The lines of a list item are indented under its text.
    let marker = ["- ", "* ", "+ "].iter().any(|marker| content.starts_with(marker));
    let following = if marker { format!("{indent}  ") } else { indent.clone() };
    let content = defuse(content);
    let mut current = indent;
    for (index, word) in words(&content).into_iter().enumerate() {
        if index == 0 {
            current.push_str(word);
        } else if current.chars().count() + 1 + word.chars().count() > WIDTH && !begins_a_block(word) {
            written.push(std::mem::replace(&mut current, format!("{following}{word}")));
        } else {
            current.push(' ');
            current.push_str(word);
        }
    }
    written.push(current);
}

/// Words, with the code within a line kept whole.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut in_code) = (0, false);
    for (index, character) in line.char_indices() {
        match character {
            '`' if !line[..index].ends_with('\\') => in_code = !in_code,
            ' ' if !in_code => {
                words.push(&line[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    words.push(&line[start..]);
    words
}

/// Whether a line that starts with this word would be a list, a heading or a rule instead of text.
fn begins_a_block(word: &str) -> bool {
    let numbered = word.ends_with(['.', ')']) && word.starts_with(|first: char| first.is_ascii_digit());
    numbered || word.starts_with(['-', '*', '+', '#', '=', '|', '_', '>']) || word.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_blocks_are_never_tests() {
        let hostile = "a\n\n```rust\npanic!()\n";
        assert_eq!(lines(hostile), ["a", "", "```text", "panic!()", "```"]);
        assert_eq!(lines("a\n\n        panic!()"), ["a", "", "   panic!()"]);
        assert_eq!(lines("> ```\n- ~~~"), ["\\> \\`\\`\\`", "- \\~\\~\\~"]);
        assert_eq!(lines("a\n      ```\nb"), ["a", "```text", "b", "```"]);
    }

    #[test]
    fn code_within_a_line_is_kept_and_stray_backticks_are_not() {
        assert_eq!(lines("`Vec<[u8]>` and <b> [x]"), ["`Vec<[u8]>` and \\<b\\> \\[x\\]"]);
        assert_eq!(lines("``a`b`` `"), ["``a`b`` \\`"]);
    }

    #[test]
    fn addresses_become_links() {
        assert_eq!(lines("see https://a.example/x?y=1."), ["see <https://a.example/x?y=1>."]);
    }

    #[test]
    fn long_lines_are_wrapped_between_words() {
        let text = "word ".repeat(60) + "- no list";
        let wrapped = lines(&text);
        assert!(wrapped.len() == 3 && wrapped.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(wrapped.iter().all(|line| !line.starts_with('-')));
    }

    #[test]
    fn text_is_wrapped_anew_and_lists_are_not() {
        assert_eq!(lines("a\nb\n\n- c\n  d\n- e\n# f"), ["a b", "", "- c d", "- e", "# f"]);
    }

    #[test]
    fn parts_become_paragraphs() {
        assert_eq!(paragraphs(["a", "", "b"]), ["a", "", "b"]);
    }
}
