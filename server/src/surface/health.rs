//! The `health` surface.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::health::HealthApi;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::auth::Authority;
use crate::config::Environment;
use crate::metrics::Metrics;
use crate::service::approvals::Approvals;
use crate::store::{DatabaseKind, Store};

/// Tells how the server is.
pub struct Health {
    pub authority: Authority,
    pub store: Store,
    pub approvals: Approvals,
    pub metrics: Arc<Metrics>,
    pub environment: Environment,
    /// Unix milliseconds.
    pub started_at: i64,
    pub shutdown: CancellationToken,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl HealthApi for Health {
    async fn get_health(&self, _: &Context) -> Result<types::Health, ApiError> {
        Ok(types::Health { ok: true, version: VERSION.to_owned() })
    }

    async fn get_readiness(&self, _: &Context) -> Result<types::Health, ApiError> {
        if self.shutdown.is_cancelled() {
            return Err(ErrorCode::Unavailable.into());
        }
        self.store.ping().await?;
        Ok(types::Health { ok: true, version: VERSION.to_owned() })
    }

    async fn get_metrics(&self, context: &Context) -> Result<String, ApiError> {
        if !self.authority.is_local(context) {
            self.authority.operator(context).await?;
        }
        Ok(self.metrics.encode())
    }

    async fn get_server_health(&self, context: &Context) -> Result<types::ServerHealth, ApiError> {
        self.authority.operator(context).await?;
        let (pending, waiting) = self.approvals.load();
        Ok(types::ServerHealth {
            ok: self.store.ping().await.is_ok(),
            version: VERSION.to_owned(),
            environment: match self.environment {
                Environment::Development => types::Environment::Development,
                Environment::Production => types::Environment::Production,
            },
            database: match self.store.kind() {
                DatabaseKind::Sqlite => types::Database::Sqlite,
                DatabaseKind::Postgres => types::Database::Postgres,
            },
            started_at: Timestamp(self.started_at),
            pending_approvals: pending as u64,
            waiting_hooks: waiting as u64,
        })
    }
}
