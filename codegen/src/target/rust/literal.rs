//! Values of the spec as Rust literals.

/// A string literal. Rust's own escaping leaves nothing in it that could end it or that cannot be seen.
pub(crate) fn string(text: &str) -> String {
    format!("{text:?}")
}

/// An integer literal with its digits in groups of three.
pub(crate) fn integer(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    if value < 0 { format!("-{grouped}") } else { grouped }
}

/// A literal of a floating-point number.
pub(crate) fn float(value: f64) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_cannot_be_left() {
        assert_eq!(string("a\"; b\\ \u{202e}\n\0{}"), r#""a\"; b\\ \u{202e}\n\0{}""#);
    }

    #[test]
    fn long_integers_are_grouped() {
        assert_eq!(integer(9_007_199_254_740_991), "9_007_199_254_740_991");
        assert_eq!(integer(-12_345), "-12_345");
        assert_eq!(integer(1_000), "1000");
        assert_eq!(float(1.0), "1.0");
    }
}
