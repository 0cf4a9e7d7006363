//! What a turn that runs has said and not stored yet, for those who join in the middle.

use parking_lot::Mutex;
use uuid::Uuid;

/// A message that is being said: with more than this, it is stored and another one begins.
const LONGEST: usize = 64 << 10;

/// The unfinished message of a chat.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    saying: Option<Saying>,
    /// What the agent did is stored up to here.
    stored: i64,
}

/// A message as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    pub turn_id: Uuid,
    pub message_id: Uuid,
    pub text: String,
    /// The place that it comes after: everything that the agent did before is stored up to here.
    pub after: i64,
}

impl Live {
    /// Adds a piece, and lets `tell` announce it, which sees the message as it was before. Whoever looks gets the piece either
    /// in the message or announced afterwards. Says whether the message is long enough.
    pub(super) fn add(&self, turn_id: Uuid, piece: &str, tell: impl FnOnce(&Saying)) -> bool {
        let State { saying, stored } = &mut *self.0.lock();
        let new = || Saying { turn_id, message_id: Uuid::now_v7(), text: String::new(), after: *stored };
        let saying = saying.get_or_insert_with(new);
        tell(saying);
        saying.text.push_str(piece);
        saying.text.len() >= LONGEST
    }

    /// What has been said so far.
    pub(super) fn look(&self) -> Option<Saying> {
        self.0.lock().saying.clone()
    }

    /// Something that the agent did is stored at this place: what it begins to say from now on comes after it.
    pub(super) fn stored(&self, seq: i64) {
        let stored = &mut self.0.lock().stored;
        *stored = seq.max(*stored);
    }

    /// It is stored now, or will never be.
    pub(super) fn clear(&self) {
        self.0.lock().saying = None;
    }
}
