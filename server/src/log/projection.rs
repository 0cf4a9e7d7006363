//! Events that follow from events: the same happening, told in another stream.

use crate::store::events::NewEvent;

/// Tells what else is to be appended when an event is, in the same transaction: both are there, or neither.
pub trait Projection: Send + Sync {
    /// Must be quick for events that it has nothing to say about: it sees every one.
    fn project(&self, event: &NewEvent) -> Vec<NewEvent>;
}
