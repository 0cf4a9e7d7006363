//! Opening the hub's socket.

use std::sync::Arc;

use flightdeck_api::generated::sockets::hub::{HUB, HubParameters, HubSocket};
use flightdeck_api::support::{ApiError, Context};
use rand::Rng;

use super::frame;
use super::session::Session;
use crate::auth::{Authority, HubTokens};
use crate::clock::Clock;
use crate::log::ReaderLimits;
use crate::service::hub::{Client, Hub};

/// Opens sockets.
pub(in crate::surface) struct HubSockets {
    pub(in crate::surface) authority: Authority,
    pub(in crate::surface) tokens: HubTokens,
    pub(in crate::surface) hub: Hub,
    pub(in crate::surface) clock: Arc<dyn Clock>,
}

impl HubSocket for HubSockets {
    type Session = Session;

    async fn connect(&self, context: &Context, parameters: HubParameters) -> Result<Session, ApiError> {
        let limits = ReaderLimits { events: HUB.limits.queue_events, bytes: HUB.limits.queue_bytes };
        let id = client_id(self.clock.now());
        Ok(Session {
            client: Client::new(self.hub.clone(), id, frame::event, limits),
            hub: self.hub.clone(),
            tokens: self.tokens.clone(),
            clock: self.clock.clone(),
            trusted: self.authority.is_local(context),
            deadline: None,
            claims: parameters,
        })
    }
}

/// Names a connection, as in `ws_m1abc_x7k9f2`.
fn client_id(now: i64) -> String {
    let mut random = rand::rng();
    let random = (0..6).map(|_| char::from_digit(random.random_range(0..36), 36).unwrap_or('0'));
    format!("ws_{}_{}", base36(now.unsigned_abs()), random.collect::<String>())
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_a_name_of_its_own() {
        for (number, text) in [(0, "0"), (35, "z"), (36, "10"), (1_700_000_000_000, "loyw3v28")] {
            assert_eq!(base36(number), text);
        }
        let (one, other) = (client_id(1_700_000_000_000), client_id(1_700_000_000_000));
        assert!(one.starts_with("ws_loyw3v28_") && one.len() == "ws_loyw3v28_".len() + 6, "{one}");
        assert_ne!(one, other);
    }
}
