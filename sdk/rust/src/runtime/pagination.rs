//! Every item of a list that the server hands out in pages.

use std::collections::VecDeque;

use futures_util::stream::{self, Stream};

use crate::{Error, Result};

/// Streams every item, asking for the next page only when the one before is used up.
///
/// `fetch` takes the cursor of the wanted page, `None` for the first, and answers with the page's items and the
/// next page's cursor. The stream ends after the last page or the first error.
pub fn paginate<T, Fetch, Page>(fetch: Fetch) -> impl Stream<Item = Result<T>> + Unpin
where
    Fetch: FnMut(Option<String>) -> Page,
    Page: Future<Output = Result<(Vec<T>, Option<String>)>>,
{
    let start = Pages { fetch, items: VecDeque::new(), next: Next::First };
    Box::pin(stream::try_unfold(start, |mut pages| async move {
        let item = pages.item().await?;
        Ok(item.map(|item| (item, pages)))
    }))
}

struct Pages<T, Fetch> {
    fetch: Fetch,
    items: VecDeque<T>,
    next: Next,
}

enum Next {
    First,
    After(String),
    End,
}

impl<T, Fetch, Page> Pages<T, Fetch>
where
    Fetch: FnMut(Option<String>) -> Page,
    Page: Future<Output = Result<(Vec<T>, Option<String>)>>,
{
    async fn item(&mut self) -> Result<Option<T>> {
        // A page may be empty and still have a successor.
        while self.items.is_empty() {
            let cursor = match &self.next {
                Next::First => None,
                Next::After(cursor) => Some(cursor.clone()),
                Next::End => return Ok(None),
            };
            let (items, next) = (self.fetch)(cursor.clone()).await?;
            // A cursor that leads to itself would fetch the same page for ever.
            if next.is_some() && next == cursor {
                return Err(Error::protocol("the server answered with the cursor of the page it was asked for"));
            }
            self.items = items.into();
            self.next = next.map_or(Next::End, Next::After);
        }
        Ok(self.items.pop_front())
    }
}
