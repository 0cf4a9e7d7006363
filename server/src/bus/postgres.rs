//! The bus over PostgreSQL's notifications. They come in the order of commits, so a stream's events come in order.

use super::notice::{self, Origin, Proof};
use super::{CHANNEL, Hearer, Word};
use crate::store::Store;
use crate::store::notifications::Heard;

pub(super) async fn listen(origin: Origin, proof: Proof, store: Store, hearer: impl Hearer) {
    let mut listener = store.listen(&[CHANNEL], None);
    loop {
        match listener.hear().await {
            Heard::Notification { payload, .. } => {
                for word in notice::read(origin, &proof, &payload) {
                    hearer.hear(word);
                }
            }
            Heard::Interrupted => {
                tracing::debug!("listening to the database");
                hearer.hear(Word::Interrupted);
            }
            // There is no lock.
            Heard::Asked => {}
        }
    }
}
