use std::cell::RefCell;

use futures_util::{StreamExt, TryStreamExt};

use crate::runtime::paginate;
use crate::{Error, Result};

type Page = (Vec<u32>, Option<String>);

fn page(items: &[u32], next: Option<&str>) -> Result<Page> {
    Ok((items.to_vec(), next.map(str::to_owned)))
}

#[tokio::test]
async fn every_item_of_every_page_comes_in_order() {
    let asked = RefCell::new(Vec::new());
    let items: Vec<_> = paginate(|cursor: Option<String>| {
        asked.borrow_mut().push(cursor.clone());
        std::future::ready(match cursor.as_deref() {
            None => page(&[1, 2], Some("b")),
            Some("b") => page(&[], Some("c")),
            _ => page(&[3], None),
        })
    })
    .try_collect()
    .await
    .expect("no page fails");
    assert_eq!(items, [1, 2, 3]);
    assert_eq!(asked.into_inner(), [None, Some("b".to_owned()), Some("c".to_owned())]);
}

#[tokio::test]
async fn a_page_is_fetched_only_when_it_is_needed() {
    let asked = RefCell::new(0);
    let mut items = paginate(|_| {
        *asked.borrow_mut() += 1;
        std::future::ready(page(&[1, 2], Some("again")))
    });
    assert_eq!(*asked.borrow(), 0);
    assert!(matches!(items.next().await, Some(Ok(1))));
    assert!(matches!(items.next().await, Some(Ok(2))));
    assert_eq!(*asked.borrow(), 1);
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let mut items = paginate(|cursor| {
        std::future::ready(match cursor {
            None => page(&[1], Some("b")),
            Some(_) => Err(Error::Configuration("broken".into())),
        })
    });
    assert!(matches!(items.next().await, Some(Ok(1))));
    assert!(matches!(items.next().await, Some(Err(_))));
    assert!(items.next().await.is_none());
}

#[tokio::test]
async fn a_cursor_that_leads_to_itself_does_not_go_on_for_ever() {
    let items: Result<Vec<u32>> = paginate(|_| std::future::ready(page(&[], Some("same")))).try_collect().await;
    assert!(matches!(items, Err(Error::Decode { .. })));
}
