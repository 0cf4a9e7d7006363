//! What the server counts, for `/metrics`. Labels are operations, statuses and fixed words: never ids.

use std::time::Duration;

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
        Self { registry, requests, request_seconds, events, commits, approvals, pending_approvals, waiting_hooks }
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

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
