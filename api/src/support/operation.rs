//! What can be said about an operation without calling it: for authorisation, metrics and coverage tests.

use crate::generated::errors::ErrorCode;

/// One operation of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationInfo {
    /// As in the spec, e.g. `listRuns`.
    pub id: &'static str,
    /// In capitals, e.g. `GET`.
    pub method: &'static str,
    /// The template, e.g. `/v1/runs/{run_id}`.
    pub path: &'static str,
    /// The surface it belongs to, e.g. `runs`.
    pub surface: &'static str,
    /// Alternatives in order, each a list of schemes that go together; empty means open to all.
    pub security: &'static [&'static [&'static str]],
    /// Every code it may refuse with, in the catalogue's order.
    pub errors: &'static [ErrorCode],
    /// Whether it takes an `Idempotency-Key`.
    pub idempotent: bool,
    /// Whether sending the same request twice has the effect of sending it once, without a key.
    pub repeatable: bool,
}
