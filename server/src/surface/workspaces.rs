//! The `workspaces` surface.

use flightdeck_api::generated::types;
use flightdeck_api::generated::workspaces::{ListWorkspacesParameters, WorkspacesApi};
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::convert;
use crate::auth::Authority;
use crate::service::workspaces::Workspaces;

pub(super) struct WorkspacesSurface {
    pub(super) authority: Authority,
    pub(super) workspaces: Workspaces,
}

impl WorkspacesApi for WorkspacesSurface {
    async fn list_workspaces(
        &self,
        context: &Context,
        parameters: ListWorkspacesParameters,
    ) -> Result<types::WorkspacePage, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        let page = self.workspaces.list(&scope, &convert::slice(parameters.limit, parameters.cursor)).await?;
        let page = page.map(convert::workspace);
        Ok(types::WorkspacePage { items: page.items, next_cursor: page.next_cursor })
    }

    async fn get_workspace(&self, context: &Context, workspace_id: Uuid) -> Result<types::Workspace, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        Ok(convert::workspace(self.workspaces.get(&scope, workspace_id).await?))
    }
}
