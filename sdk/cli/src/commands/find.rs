//! Finds what a shortened id means.

use anyhow::Result;
use futures_util::StreamExt as _;
use futures_util::stream::Stream;
use uuid::Uuid;

use crate::exit::Failure;

/// How far back a shortened id is looked for.
const FARTHEST: usize = 1_000;
/// How much of an id is shown.
const SHORT: usize = 8;
/// Shorter ones are rather typing errors.
const SHORTEST: usize = 3;

/// The beginning of an id, long enough to be typed back.
pub(super) fn short(id: Uuid) -> String {
    // Ids made in the same moment begin alike, so their end tells them apart.
    let text = id.simple().to_string();
    text.get(text.len() - SHORT..).unwrap_or_default().to_owned()
}

/// What a person typed: a whole id, or the beginning or end of one.
#[derive(Debug)]
pub(super) enum Typed {
    Whole(Uuid),
    Part(String),
}

/// Reads what a person typed.
pub(super) fn typed(text: &str) -> Result<Typed> {
    if let Ok(id) = text.parse() {
        return Ok(Typed::Whole(id));
    }
    let part: String = text.chars().filter(|letter| *letter != '-').collect::<String>().to_ascii_lowercase();
    if part.len() < SHORTEST || !part.chars().all(|letter| letter.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!("{text:?} is no id; give one, or at least {SHORTEST} letters of one")));
    }
    Ok(Typed::Part(part))
}

/// Whether an id is the one that a part means.
pub(super) fn fits(id: Uuid, part: &str) -> bool {
    let text = id.simple().to_string();
    text.starts_with(part) || text.ends_with(part)
}

/// The one item whose id fits.
pub(super) async fn unique<T>(
    items: impl Stream<Item = flightdeck_sdk::Result<T>> + Unpin,
    id: impl Fn(&T) -> Uuid,
    part: &str,
    what: &str,
) -> Result<Option<T>> {
    let mut items = items.take(FARTHEST);
    let mut found: Option<T> = None;
    while let Some(item) = items.next().await {
        let item = item?;
        if !fits(id(&item), part) {
            continue;
        }
        if let Some(other) = &found {
            let (one, two) = (id(other), id(&item));
            return Err(Failure::usage(format!(
                "{part:?} means more than one {what}, {one} and {two}; give more letters"
            )));
        }
        found = Some(item);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_dead_beef);

    #[test]
    fn what_is_shown_can_be_typed_back() {
        assert_eq!(short(ID), "deadbeef");
        assert!(fits(ID, &short(ID)) && fits(ID, "0192f0c1") && !fits(ID, "f0c1"));
        assert!(matches!(typed(&ID.to_string()), Ok(Typed::Whole(id)) if id == ID));
        assert!(matches!(typed("0192-F0C1"), Ok(Typed::Part(part)) if part == "0192f0c1"));
        assert!(typed("de").is_err() && typed("xyz1").is_err());
    }
}
