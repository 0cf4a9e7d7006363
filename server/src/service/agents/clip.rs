//! How much of what an agent says is told.

/// The most that is told of what a tool said.
pub(super) const LONGEST_RESULT: usize = 16 << 10;

/// The text, or as much of it as `longest` bytes hold.
#[must_use]
pub fn clipped(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest));
        text.shrink_to_fit();
    }
    text
}

/// What a tool said, within its limit.
pub(super) fn result_of(content: String) -> String {
    clipped(content, LONGEST_RESULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_end_at_a_character() {
        assert_eq!(clipped("über".to_owned(), 1), "");
        assert_eq!(clipped("über".to_owned(), 2), "ü");
        assert_eq!(clipped("über".to_owned(), 9), "über");
        assert_eq!(result_of("€".repeat(LONGEST_RESULT)).len(), LONGEST_RESULT / 3 * 3);
    }
}
