//! What a turn that runs has said and not stored yet, for those who join in the middle.

use parking_lot::Mutex;
use uuid::Uuid;

/// A message that is being said: with more than this, it is stored and another one begins.
const LONGEST: usize = 64 << 10;

/// The unfinished message of a chat.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<Option<Saying>>);

/// A message as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    pub turn_id: Uuid,
    pub message_id: Uuid,
    pub text: String,
}

impl Live {
    /// Adds a piece, and lets `tell` announce it: with the message's id and where in it the piece belongs. Whoever looks
    /// gets it either in the message or announced afterwards. Says whether the message is long enough.
    pub(super) fn add(&self, turn_id: Uuid, piece: &str, tell: impl FnOnce(Uuid, u64)) -> bool {
        let mut saying = self.0.lock();
        let saying = saying.get_or_insert_with(|| Saying { turn_id, message_id: Uuid::now_v7(), text: String::new() });
        tell(saying.message_id, saying.text.len() as u64);
        saying.text.push_str(piece);
        saying.text.len() >= LONGEST
    }

    /// What has been said so far.
    pub(super) fn look(&self) -> Option<Saying> {
        self.0.lock().clone()
    }

    /// It is stored now, or will never be.
    pub(super) fn clear(&self) {
        *self.0.lock() = None;
    }
}
