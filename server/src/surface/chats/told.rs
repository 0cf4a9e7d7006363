//! What a client has been told of a chat, and so what is new to it.
//!
//! What is stored comes in order. What is only announced may come out of turn: before something that is stored and waits for a
//! hole to be filled, or long after the message that it is a piece of. So a piece names the place that it comes after. It is
//! not told before the client has everything up to there, nor when the client has the message as a whole.

use flightdeck_api::generated::sockets::chats::ChatsServerMessage;
use flightdeck_api::support::{Frame, ServerMessage};
use uuid::Uuid;

use super::frame;
use crate::log::LiveEvent;
use crate::service::chats::{ChatEvent, Saying};

/// What a client has been told of a chat.
pub(super) struct Told {
    pub(super) chat_id: Uuid,
    /// Everything that is stored up to here.
    has: i64,
    /// The agent's last message that it has as a whole.
    said: i64,
    /// The message that is being said, and how many bytes of it.
    saying: Option<(Uuid, u64)>,
    /// It lacks the beginning of what is being said, perhaps: it gets that as soon as it has what comes before.
    lacks: bool,
}

/// A piece of a message, or all of it, without its text.
pub(super) struct Piece {
    message_id: Uuid,
    offset: u64,
    end: u64,
    after: i64,
}

/// What sending an event depends on, and the form in which it is sent to whoever has everything before it.
pub(super) enum Glance {
    Piece(Piece, Frame),
    /// It is the same for everybody.
    Alike(Frame),
    /// Each client is told by itself, if it is told at all.
    Apart,
}

impl Glance {
    pub(super) fn of(chat_id: Uuid, live: &LiveEvent) -> Self {
        let Some(event) = ChatEvent::read(&live.event.kind, &live.event.payload) else { return Self::Apart };
        let piece = match &event {
            ChatEvent::Deleted {} | ChatEvent::Turn { error: Some(_), .. } => return Self::Apart,
            ChatEvent::AssistantMessage { message_id, content, offset, after, .. } => {
                Some(Piece::new(*message_id, *offset, content, after.unwrap_or(0)))
            }
            _ => None,
        };
        let frame = frame::told(chat_id, event, live.seq).frame();
        match piece {
            Some(piece) => Self::Piece(piece, frame),
            None => Self::Alike(frame),
        }
    }
}

impl Piece {
    const fn new(message_id: Uuid, offset: u64, text: &str, after: i64) -> Self {
        Self { message_id, offset, end: offset + text.len() as u64, after }
    }
}

impl Told {
    /// Of a client that has the agent's messages up to the one at `said`.
    pub(super) const fn new(chat_id: Uuid, said: i64) -> Self {
        Self { chat_id, has: 0, said, saying: None, lacks: false }
    }

    /// It has everything up to `seq`, and now hears what happens.
    pub(super) const fn synced(&mut self, seq: i64) {
        self.has = seq;
        self.lacks = true;
    }

    /// It has been told what is stored at `seq`.
    pub(super) const fn stored(&mut self, seq: i64) {
        self.has = seq;
    }

    /// Whether a piece or a stored message is new as it is; then it counts as told.
    pub(super) fn fits(&mut self, piece: &Piece, seq: i64) -> bool {
        let fits = self.new_from(piece, seq) == Some(piece.offset);
        if fits {
            self.take(piece, seq);
        }
        fits
    }

    /// Tells what is new of a piece, or the rest of a message that is stored at `seq`.
    pub(super) fn tell(&mut self, said: Saying, offset: u64, seq: i64) -> Option<ChatsServerMessage> {
        let Saying { turn_id, message_id, text, after } = said;
        let piece = Piece::new(message_id, offset, &text, after);
        let from = self.new_from(&piece, seq)?;
        self.take(&piece, seq);
        // Both ends are of the same text, so this is between two characters.
        let known = usize::try_from(from.saturating_sub(offset)).unwrap_or(usize::MAX);
        let content = text.get(known..).unwrap_or_default().to_owned();
        if content.is_empty() {
            return Some(frame::finished(self.chat_id, turn_id, message_id, seq));
        }
        let event = ChatEvent::AssistantMessage { turn_id, message_id, content, offset: from, after: None };
        Some(frame::told(self.chat_id, event, seq))
    }

    /// Tells what the agent has said so far, if the client lacks it and has everything before it.
    pub(super) fn catch_up(&mut self, saying: impl FnOnce() -> Option<Saying>) -> Option<ChatsServerMessage> {
        if std::mem::take(&mut self.lacks) { self.tell(saying()?, 0, 0) } else { None }
    }

    /// From which byte on it is new; `None` if nothing of it is, or not now.
    fn new_from(&mut self, piece: &Piece, seq: i64) -> Option<u64> {
        let known = match self.saying {
            Some((message_id, length)) if message_id == piece.message_id => length,
            _ => 0,
        };
        // What is stored is told in any case, because it has a place.
        if seq > 0 {
            return Some(known);
        }
        if piece.after < self.said || piece.end <= known {
            return None;
        }
        self.lacks |= piece.after > self.has || piece.offset > known;
        (!self.lacks).then_some(known)
    }

    const fn take(&mut self, piece: &Piece, seq: i64) {
        if seq > 0 {
            self.said = seq;
            self.saying = None;
        } else {
            self.saying = Some((piece.message_id, piece.end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    fn saying(message_id: Uuid, text: &str, after: i64) -> Saying {
        Saying { turn_id: Uuid::nil(), message_id, text: text.to_owned(), after }
    }

    /// A client that has everything up to `seq`, and joined when nothing was being said.
    fn synced(said: i64, seq: i64) -> Told {
        let mut told = Told::new(Uuid::nil(), said);
        told.synced(seq);
        assert_eq!(told.catch_up(|| None), None);
        told
    }

    /// The text that comes, and where it belongs; one that is finished comes as its end.
    fn text(message: Option<ChatsServerMessage>) -> Option<(u64, String)> {
        match message? {
            ChatsServerMessage::AssistantMessage(piece) => Some((piece.offset, piece.content)),
            ChatsServerMessage::MessageFinished(_) => Some((0, "finished".to_owned())),
            other => panic!("{other:?}"),
        }
    }

    fn some(offset: u64, content: &str) -> Option<(u64, String)> {
        Some((offset, content.to_owned()))
    }

    #[test]
    fn pieces_become_a_message() {
        let mut told = synced(0, 3);
        assert!(told.fits(&Piece::new(ONE, 0, "ab", 3), 0) && told.fits(&Piece::new(ONE, 2, "cd", 3), 0));
        assert_eq!(text(told.tell(saying(ONE, "abcd", 0), 0, 4)), some(0, "finished"));
        told.stored(4);
        // The first piece of the next one was lost: all of it comes when it is stored.
        assert!(!told.fits(&Piece::new(TWO, 2, "gh", 4), 0));
        assert_eq!(text(told.tell(saying(TWO, "efgh", 0), 0, 5)), some(0, "efgh"));
    }

    #[test]
    fn who_joins_between_two_messages_hears_them_in_order() {
        let mut told = Told::new(Uuid::nil(), 0);
        told.synced(3);
        // The first one is stored, but not told yet.
        assert_eq!(told.catch_up(|| Some(saying(TWO, "ef", 4))), None);
        assert_eq!(text(told.tell(saying(ONE, "abcd", 0), 0, 4)), some(0, "abcd"));
        told.stored(4);
        assert_eq!(text(told.catch_up(|| Some(saying(TWO, "efgh", 4)))), some(0, "efgh"));
        assert_eq!(text(told.tell(saying(TWO, "ef", 4), 0, 0)), None, "it has that");
        assert_eq!(text(told.tell(saying(TWO, "ghij", 4), 2, 0)), some(4, "ij"));
    }

    #[test]
    fn what_comes_before_its_time_waits() {
        let mut told = synced(0, 3);
        // Something of another server's, which is at 4, has not been heard; nor has the message at 5.
        assert!(!told.fits(&Piece::new(TWO, 0, "ef", 5), 0));
        for seq in [4, 5] {
            assert_eq!(told.catch_up(|| Some(saying(TWO, "ef", 5))), None);
            told.stored(seq);
        }
        assert_eq!(text(told.catch_up(|| Some(saying(TWO, "ef", 5)))), some(0, "ef"));
        assert!(told.fits(&Piece::new(TWO, 2, "gh", 5), 0));
    }

    #[test]
    fn what_comes_late_is_known() {
        let mut told = synced(4, 6);
        assert!(!told.fits(&Piece::new(ONE, 0, "ab", 3), 0), "it is a piece of the message at 4");
        assert_eq!(text(told.tell(saying(ONE, "ab", 3), 0, 0)), None);
        assert!(told.fits(&Piece::new(TWO, 0, "ef", 4), 0), "it is the next one");
    }
}
