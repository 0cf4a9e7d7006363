//! What the server counts, for `/metrics`. Labels are operations, statuses and fixed words: never ids.

use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SocketLabels {
    socket: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FrameLabels {
    socket: &'static str,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SocketCodeLabels {
    socket: &'static str,
    code: &'static str,
}

/// The server's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<OperationLabels, Histogram>,
    events: Counter,
    commits: Counter,
    approvals: Family<OutcomeLabels, Counter>,
    pending_approvals: Gauge,
    waiting_hooks: Gauge,
    sockets: Family<SocketLabels, Gauge>,
    socket_frames: Family<FrameLabels, Counter>,
    socket_closes: Family<SocketCodeLabels, Counter>,
    socket_refusals: Family<SocketCodeLabels, Counter>,
    hub_deliveries: Family<OutcomeLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("flightdeck");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let request_seconds: Family<OperationLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 4.0, 10)));
        registry.register("http_request_seconds", "Time from head to answer", request_seconds.clone());
        let events = Counter::default();
        registry.register("events", "Events committed to the log", events.clone());
        let commits = Counter::default();
        registry.register("commits", "Transactions that committed events", commits.clone());
        let approvals = Family::default();
        registry.register("approvals", "Approvals by what became of them", approvals.clone());
        let pending_approvals = Gauge::default();
        registry.register("pending_approvals", "Approvals that wait for a decision", pending_approvals.clone());
        let waiting_hooks = Gauge::default();
        registry.register("waiting_hooks", "Hook runners that wait for a verdict", waiting_hooks.clone());
        let sockets = Family::default();
        registry.register("sockets", "Sockets that are open", sockets.clone());
        let socket_frames = Family::default();
        registry.register("socket_frames", "Messages taken from and given to clients", socket_frames.clone());
        let socket_closes = Family::default();
        registry.register("socket_closes", "Sockets that ended, by the code of the end", socket_closes.clone());
        let socket_refusals = Family::default();
        registry.register("socket_refusals", "Sockets that were not opened, by the reason", socket_refusals.clone());
        let hub_deliveries = Family::default();
        registry.register(
            "hub_deliveries",
            "Tracked events that were sent once more, or given up for want of an acknowledgement",
            hub_deliveries.clone(),
        );
        Self {
            registry,
            requests,
            request_seconds,
            events,
            commits,
            approvals,
            pending_approvals,
            waiting_hooks,
            sockets,
            socket_frames,
            socket_closes,
            socket_refusals,
            hub_deliveries,
        }
    }
}

impl Metrics {
    /// Counts an answered request. Whatever is no operation of the protocol is counted as `other`.
    pub fn request(&self, operation: Option<&'static str>, status: u16, took: Duration) {
        let operation = operation.unwrap_or("other");
        self.requests.get_or_create(&RequestLabels { operation, status }).inc();
        self.request_seconds.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
    }

    /// Counts one commit of `events` events.
    pub fn committed(&self, events: usize) {
        self.commits.inc();
        self.events.inc_by(events as u64);
    }

    /// Counts what became of an approval.
    pub fn approval(&self, outcome: &'static str) {
        self.approvals.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Sets how many approvals are pending and how many hooks wait.
    pub fn board(&self, pending: usize, waiting: usize) {
        self.pending_approvals.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.waiting_hooks.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Counts what became of a tracked event that a client of the hub did not acknowledge.
    pub fn hub_delivery(&self, outcome: &'static str) {
        self.hub_deliveries.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// What is counted about one kind of socket.
    #[must_use]
    pub fn socket(&self, name: &'static str) -> SocketMetrics {
        let frames = |direction| self.socket_frames.get_or_create_owned(&FrameLabels { socket: name, direction });
        SocketMetrics {
            name,
            open: self.sockets.get_or_create_owned(&SocketLabels { socket: name }),
            received: frames("in"),
            sent: frames("out"),
            closes: self.socket_closes.clone(),
            refusals: self.socket_refusals.clone(),
        }
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// What is counted about one kind of socket; found once, because frames are many.
#[derive(Debug)]
pub struct SocketMetrics {
    name: &'static str,
    open: Gauge,
    received: Counter,
    sent: Counter,
    closes: Family<SocketCodeLabels, Counter>,
    refusals: Family<SocketCodeLabels, Counter>,
}

impl SocketMetrics {
    /// One more is open.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// One has ended.
    pub fn closed(&self, code: &'static str) {
        self.open.dec();
        self.closes.get_or_create(&SocketCodeLabels { socket: self.name, code }).inc();
    }

    /// One was not opened.
    pub fn refused(&self, code: ErrorCode) {
        self.refusals.get_or_create(&SocketCodeLabels { socket: self.name, code: code.as_str() }).inc();
    }

    /// A client said something.
    pub fn received(&self) {
        self.received.inc();
    }

    /// The server said `frames` things.
    pub fn sent(&self, frames: u64) {
        self.sent.inc_by(frames);
    }
}
