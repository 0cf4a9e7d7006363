//! A QR code in half blocks: two modules a letter, so that it is square and small.

use anyhow::{Context as _, Result};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The code as lines of text.
///
/// It is drawn in light on dark, as terminals are; with `inverted`, for terminals with a light background, dark on
/// light. Phones read both, but many readers insist on the first.
pub(crate) fn qr_code(payload: &str, inverted: bool) -> Result<String> {
    let code = QrCode::with_error_correction_level(payload, EcLevel::L)
        .context("the payload is too long for a QR code; use the token instead")?;
    let (dark, light) = if inverted { (Dense1x2::Dark, Dense1x2::Light) } else { (Dense1x2::Light, Dense1x2::Dark) };
    Ok(code.render::<Dense1x2>().dark_color(dark).light_color(light).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_drawn_in_half_blocks_with_a_quiet_zone() {
        let text = qr_code(r#"{"v":1,"url":"http://127.0.0.1:8787","pair_token":"abc"}"#, false).expect("draws");
        assert!(text.chars().all(|letter| " ▀▄█\n".contains(letter)));
        let first = text.lines().next().expect("has lines");
        assert!(first.chars().all(|letter| letter == '█'), "the quiet zone is light: {first}");
        assert!(text.lines().count() * 2 <= first.chars().count() + 1, "two rows share a line");
    }

    #[test]
    fn a_payload_that_does_not_fit_is_refused() {
        assert!(qr_code(&"x".repeat(4_000), false).is_err());
    }
}
