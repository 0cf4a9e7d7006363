//! A new event on its way to those who follow its stream, and its forms on the wire: each is made once, by whoever needs
//! it first, and shared by all.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use flightdeck_api::support::Frame;

use crate::store::events::NewEvent;

/// The forms in which an event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Of the native socket.
    Stream,
    /// Of the companion's.
    Companion,
    /// Of the hub's.
    Hub,
}

const ENCODINGS: usize = 3;

/// An event that has just been committed, or announced.
#[derive(Debug)]
pub struct LiveEvent {
    pub event: Arc<NewEvent>,
    /// 0 for one that is announced and not kept.
    pub seq: i64,
    frames: [OnceLock<Frame>; ENCODINGS],
    glance: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl LiveEvent {
    #[must_use]
    pub fn new(event: Arc<NewEvent>, seq: i64) -> Self {
        Self { event, seq, frames: [const { OnceLock::new() }; ENCODINGS], glance: OnceLock::new() }
    }

    /// The event in one of its forms. `encode` runs if nobody has asked for that form before.
    pub fn frame(&self, encoding: Encoding, encode: impl FnOnce(&Self) -> Frame) -> Frame {
        self.frames[encoding as usize].get_or_init(|| encode(self)).clone()
    }

    /// What its readers must know of it to decide in which form it is sent. `look` runs if nobody has asked before; `None` if
    /// that one wanted to know something else.
    pub fn glance<T: Send + Sync + 'static>(&self, look: impl FnOnce(&Self) -> T) -> Option<&T> {
        self.glance.get_or_init(|| Box::new(look(self))).downcast_ref()
    }

    /// About what it holds in memory.
    pub(super) fn size(&self) -> usize {
        self.event.payload.len() + self.event.kind.len() + 128
    }
}
