//! Names as words. Says where a name's words begin, so that every target folds a name the same way, and which known
//! name an unknown one was probably meant to be. Reserved words are each target's own business.

/// Splits a name into lower-case words: at anything that is neither letter nor digit, before a capital after a small
/// letter or digit, and before the last capital of a run that a small letter follows (`HTTPServer`: `http`, `server`).
pub fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (index, &character) in characters.iter().enumerate() {
        if !character.is_alphanumeric() {
            flush(&mut word, &mut words);
            continue;
        }
        if character.is_uppercase() && index > 0 {
            let before = characters[index - 1];
            let after = characters.get(index + 1);
            let starts = before.is_lowercase()
                || before.is_ascii_digit()
                || (before.is_uppercase() && after.is_some_and(|next| next.is_lowercase()));
            if starts {
                flush(&mut word, &mut words);
            }
        }
        word.extend(character.to_lowercase());
    }
    flush(&mut word, &mut words);
    words
}

fn flush(word: &mut String, words: &mut Vec<String>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// `run_status`
pub fn snake(name: &str) -> String {
    words(name).join("_")
}

/// `RunStatus`
pub fn pascal(name: &str) -> String {
    words(name).iter().map(|word| capitalised(word)).collect()
}

/// `runStatus`
pub fn camel(name: &str) -> String {
    let words = words(name);
    let mut parts = words.iter();
    let first = parts.next().cloned().unwrap_or_default();
    parts.fold(first, |name, word| name + &capitalised(word))
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Whether a name is `snake_case`: small letters and digits in words joined by single underscores.
pub fn is_snake(name: &str) -> bool {
    starts_with_small_letter(name)
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_')
}

/// Whether a name is `camelCase`.
pub fn is_camel(name: &str) -> bool {
    starts_with_small_letter(name) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Whether a name is `UpperCamelCase`.
pub fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn starts_with_small_letter(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// The candidate most like `name`, if one is like it at all.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let longest = name.chars().count();
    if longest > 60 {
        return None;
    }
    let limit = (longest / 3).max(1);
    let distances = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped or replaced to make one name of the other, ignoring case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, character) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, candidate) in other.iter().enumerate() {
            let replace = diagonal + usize::from(character != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = replace.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_where_a_reader_would_split_them() {
        let cases: &[(&str, &[&str])] = &[
            ("RunStatus", &["run", "status"]),
            ("listRuns", &["list", "runs"]),
            ("HTTPServer", &["http", "server"]),
            ("run_id", &["run", "id"]),
            ("X-Device-Id", &["x", "device", "id"]),
            ("sha256Digest", &["sha256", "digest"]),
            ("RUNNING", &["running"]),
            ("on-request", &["on", "request"]),
            ("v1", &["v1"]),
            ("--", &[]),
        ];
        for (name, expected) in cases {
            assert_eq!(words(name), *expected, "{name}");
        }
    }

    #[test]
    fn folding_keeps_word_boundaries() {
        assert_eq!(snake("HTTPServer"), "http_server");
        assert_eq!(pascal("on-request"), "OnRequest");
        assert_eq!(camel("run_id"), "runId");
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("nulable", ["nullable", "type"]), Some("nullable"));
        assert_eq!(nearest("zebra", ["nullable", "type"]), None);
    }
}
