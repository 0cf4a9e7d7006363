//! What a connection has shown, one of each kind at most, and when it must have shown something.

use flightdeck_api::generated::sockets::CloseCode;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::auth::HubIdentity;
use crate::log::Subscription;
use crate::service::streams::{Streams, View};

/// How long a connection may have nothing to show, in milliseconds.
const PATIENCE: i64 = 10_000;

/// Who is at the other end.
pub(super) struct Credentials {
    /// Whether the connection needs none.
    local: bool,
    pub(super) device: Option<Device>,
    pub(super) companion: bool,
    pub(super) hub: Option<HubIdentity>,
    opened_at: i64,
    /// Rings when one of the above has to be looked at.
    alarm: Option<BoxFuture<'static, ()>>,
}

/// A device, and where it is told that it is one no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    pub(super) id: Uuid,
    pub(super) guard: Subscription,
}

impl Credentials {
    pub(super) const fn new(local: bool, now: i64) -> Self {
        Self { local, device: None, companion: false, hub: None, opened_at: now, alarm: None }
    }

    pub(super) const fn any(&self) -> bool {
        self.device.is_some() || self.companion || self.hub.is_some()
    }

    /// What they show. Whoever shows something sees what it shows, wherever they are.
    pub(super) fn view(&self) -> View {
        if self.local && !self.any() {
            return View::Everything;
        }
        View::Of {
            device: self.device.map(|device| device.id),
            agents: self.companion,
            hub_agent: self.hub.as_ref().map(|identity| identity.agent_id.clone()),
        }
    }

    /// When the connection ends as things stand, and why.
    fn end(&self) -> Option<(i64, CloseCode)> {
        match &self.hub {
            Some(identity) => Some((identity.expires_at, CloseCode::CredentialExpired)),
            None if self.local || self.any() => None,
            None => Some((self.opened_at + PATIENCE, CloseCode::Unauthenticated)),
        }
    }

    /// Sets the alarm, after a change.
    pub(super) fn watch(&mut self, streams: &Streams) {
        self.alarm = self.end().map(|(at, _)| {
            let clock = streams.clock().clone();
            async move { clock.sleep_until(at).await }.boxed()
        });
    }

    /// Completes when the connection has to end. Loses nothing when dropped before.
    pub(super) async fn ended(&mut self) -> CloseCode {
        let (Some((_, code)), Some(alarm)) = (self.end(), &mut self.alarm) else { return std::future::pending().await };
        alarm.await;
        // A future that has completed must not be asked again.
        self.alarm = None;
        code
    }
}
