//! The bus over PostgreSQL's notifications. They come in the order of commits, so a stream's events come in order.

use super::notice::{self, Origin};
use super::{CHANNEL, Hearer, Word};
use crate::store::Store;
use crate::store::notifications::Heard;

pub(super) async fn listen(origin: Origin, store: Store, hearer: impl Hearer) {
    let mut listener = store.listen(&[CHANNEL], None);
    loop {
        match listener.hear().await {
            Heard::Notification { payload, .. } => {
                for word in notice::read(origin, &payload) {
                    hearer.hear(word);
                }
            }
            Heard::Interrupted => {
                tracing::info!("listening to the database again after an interruption");
                hearer.hear(Word::Interrupted);
            }
        }
    }
}
