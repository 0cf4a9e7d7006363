//! Pages of lists that fall by time, then id. A cursor is the place of the last item given, in a form that invites no
//! guessing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use crate::store::workspaces::After;

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Gives the next page; `None` on the last.
    pub next_cursor: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    pub limit: u64,
    pub cursor: Option<String>,
}

impl Slice {
    /// The place after which the page begins.
    pub(super) fn after(&self) -> Result<Option<After>, ApiError> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let decode = || {
            let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
            let (time, id) = bytes.split_at(8);
            Some(After { time: i64::from_be_bytes(time.try_into().ok()?), id: Uuid::from_slice(id).ok()? })
        };
        decode().map(Some).ok_or_else(|| ErrorCode::CursorInvalid.into())
    }

    /// One row more than asked for tells whether there is another page.
    pub(super) const fn rows(&self) -> u64 {
        self.limit + 1
    }

    /// Makes a page of rows read with [`Slice::after`] and [`Slice::rows`].
    pub(super) fn page<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> After) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| {
            let After { time, id } = place(row);
            URL_SAFE_NO_PAD.encode([time.to_be_bytes().as_slice(), id.as_bytes()].concat())
        });
        Page { items: rows, next_cursor }
    }
}

impl<T> Page<T> {
    /// The same page with other items.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let place = After { time: 1_700_000_000_123, id: Uuid::from_u128(7) };
        let first = Slice { limit: 1, cursor: None };
        let page = first.page(vec![place, place], |place| *place);
        assert_eq!(page.items.len(), 1);
        let next = Slice { limit: 1, cursor: page.next_cursor };
        assert_eq!(next.after().expect("valid"), Some(place));
        let last = next.page(vec![place], |place| *place);
        assert_eq!(last.next_cursor, None);
        for bad in ["", "?", "AAAA", "%%%"] {
            let slice = Slice { limit: 1, cursor: Some(bad.into()) };
            assert_eq!(slice.after().expect_err("refused").code, ErrorCode::CursorInvalid, "{bad}");
        }
    }
}
