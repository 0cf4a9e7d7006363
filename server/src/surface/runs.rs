//! The `runs` surface.

use flightdeck_api::generated::runs::{ListRunEventsParameters, ListRunsParameters, RunsApi};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::convert;
use crate::auth::Authority;
use crate::service::runs::Runs;
use crate::store::runs::RunFilter;

pub(super) struct RunsSurface {
    pub(super) authority: Authority,
    pub(super) runs: Runs,
}

impl RunsApi for RunsSurface {
    async fn list_runs(&self, context: &Context, parameters: ListRunsParameters) -> Result<types::RunPage, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        let filter = RunFilter {
            workspace_id: parameters.workspace_id,
            statuses: parameters.status.iter().map(|status| status.as_str()).collect(),
            provider: parameters.provider,
        };
        let page = self.runs.list(&scope, &filter, &convert::slice(parameters.limit, parameters.cursor)).await?;
        Ok(types::RunPage {
            items: page.items.into_iter().map(convert::run).collect::<Result<_, _>>()?,
            next_cursor: page.next_cursor,
        })
    }

    async fn get_run(&self, context: &Context, run_id: Uuid) -> Result<types::Run, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        convert::run(self.runs.get(&scope, run_id).await?)
    }

    async fn list_run_events(
        &self,
        context: &Context,
        run_id: Uuid,
        parameters: ListRunEventsParameters,
    ) -> Result<types::RunEventPage, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        let ListRunEventsParameters { since_seq, limit, timeout } = parameters;
        let since = i64::try_from(since_seq).unwrap_or(i64::MAX);
        let rows = self.runs.timeline(&scope, run_id, since, limit, timeout).await?;
        let last_seq = rows.last().map_or(since_seq, |row| convert::seq(row.seq));
        let events = rows.into_iter().map(|row| convert::event(run_id, row)).collect::<Result<_, _>>()?;
        Ok(types::RunEventPage { events, last_seq })
    }
}
