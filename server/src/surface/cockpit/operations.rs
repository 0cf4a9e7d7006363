//! The operations of the `cockpit` surface.

use flightdeck_api::generated::cockpit::{CockpitApi, GetGitDiffParameters};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context, Timestamp};
use poem_openapi::types::MaybeUndefined;
use uuid::Uuid;

use super::{CockpitSurface, address};
use crate::service::claim;
use crate::service::repo::{Diff, FilePatch, Kind, Selected};
use crate::service::sessions::NewSession;
use crate::service::tasks::{Applied, NewTask, Wanted};
use crate::store::tasks::TaskRow;
use crate::surface::convert;

impl CockpitApi for CockpitSurface {
    async fn create_session(
        &self,
        context: &Context,
        body: types::SessionCreate,
    ) -> Result<types::SessionCreated, ApiError> {
        let caller = self.opener(context).await?;
        let via = body.via.take().unwrap_or(types::SessionVia::Direct);
        let base = self.base(context, via)?;
        let claim = claim(context, "createSession", &caller.name)?;
        let new =
            NewSession { repo: body.repo, label: body.label.take(), via: via.as_str(), device_id: caller.device_id };
        let opened = self.sessions.open(&caller.scope, new, claim, caller.nonce).await?;
        Ok(types::SessionCreated {
            session_id: opened.id,
            token: self.tokens.mint(opened.id, opened.created_at).expose().to_owned(),
            ws: address::sockets(&base),
            api_base: address::text(&base),
            expires_at: Timestamp(opened.expires_at),
        })
    }

    async fn get_session(&self, context: &Context, id: Uuid) -> Result<types::Session, ApiError> {
        let row = self.session_named(context, id).await?;
        Ok(types::Session {
            id: row.id,
            via: address::via(&row)?,
            repo: row.repo,
            label: maybe(row.label),
            created_at: Timestamp(row.created_at),
            expires_at: Timestamp(row.expires_at),
            last_used_at: Timestamp(row.last_used_at),
        })
    }

    async fn end_session(&self, context: &Context, id: Uuid) -> Result<types::SessionEnded, ApiError> {
        let row = self.session_named(context, id).await?;
        self.sessions.end(row.id).await?;
        Ok(types::SessionEnded { ok: true, id })
    }

    async fn list_tasks(&self, context: &Context) -> Result<types::TaskList, ApiError> {
        let session = self.session(context).await?;
        let tasks = self.tasks.list(session.id).await?.into_iter().map(task);
        Ok(types::TaskList { tasks: tasks.collect::<Result<_, _>>()? })
    }

    async fn create_task(&self, context: &Context, body: types::TaskCreate) -> Result<types::Task, ApiError> {
        let session = self.session(context).await?;
        let claim = claim(context, "createTask", &session.id.to_string())?;
        let (files, hints) = match body.context.take() {
            Some(context) => (context.files.take(), context.hints.take()),
            None => (None, None),
        };
        let new = NewTask {
            instruction: body.instruction,
            branch: body.branch.take(),
            files: files.unwrap_or_default(),
            hints: hints.unwrap_or_default(),
            agent: body.agent.take(),
        };
        task(self.tasks.create(&session, new, claim).await?)
    }

    async fn get_task(&self, context: &Context, id: Uuid) -> Result<types::Task, ApiError> {
        let session = self.session(context).await?;
        task(self.tasks.get(session.id, id).await?)
    }

    async fn get_task_patches(&self, context: &Context, id: Uuid) -> Result<types::PatchSet, ApiError> {
        let session = self.session(context).await?;
        Ok(patches(self.tasks.patches(session.id, id).await?))
    }

    async fn apply_task(
        &self,
        context: &Context,
        id: Uuid,
        body: types::TaskApply,
    ) -> Result<types::TaskApplied, ApiError> {
        let session = self.session(context).await?;
        let select = body.select.take().unwrap_or_default().into_iter().map(|selection| Selected {
            file: selection.file,
            hunks: selection.hunks.iter().map(|hunk| usize::try_from(*hunk).unwrap_or(usize::MAX)).collect(),
        });
        let wanted =
            Wanted { select: select.collect(), message: body.commit_message.take(), digest: body.digest.take() };
        // What is begun is finished, whether or not somebody still waits for the answer.
        let tasks = self.tasks.clone();
        let applied = tokio::spawn(async move { tasks.apply(&session, id, wanted).await });
        Ok(receipt(id, ended(applied.await)?))
    }

    async fn revert_task(&self, context: &Context, id: Uuid) -> Result<types::TaskApplied, ApiError> {
        let session = self.session(context).await?;
        let tasks = self.tasks.clone();
        let reverted = tokio::spawn(async move { tasks.revert(&session, id).await });
        Ok(receipt(id, ended(reverted.await)?))
    }

    async fn cancel_task(&self, context: &Context, id: Uuid) -> Result<types::Task, ApiError> {
        let session = self.session(context).await?;
        task(self.tasks.cancel(session.id, id).await?)
    }

    async fn run_command(&self, context: &Context, body: types::CommandRun) -> Result<types::CommandStarted, ApiError> {
        let session = self.session(context).await?;
        let claim = claim(context, "runCommand", &session.id.to_string())?;
        let cwd = body.cwd.take().unwrap_or_default();
        let started = self.commands.run(&session, &body.cmd, &cwd, body.timeout_ms.take(), claim).await?;
        Ok(types::CommandStarted { ok: true, command_id: started.id, started_at: Timestamp(started.started_at) })
    }

    async fn get_git_diff(
        &self,
        context: &Context,
        parameters: GetGitDiffParameters,
    ) -> Result<types::PatchSet, ApiError> {
        let session = self.session(context).await?;
        Ok(patches(self.tasks.diff(&session, &parameters.base).await?))
    }
}

fn ended(done: Result<Result<Applied, ApiError>, tokio::task::JoinError>) -> Result<Applied, ApiError> {
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "patches could not be applied because of a fault of the server's own");
        Err(flightdeck_api::generated::errors::ErrorCode::Internal.into())
    })
}

fn task(row: TaskRow) -> Result<types::Task, ApiError> {
    let applied = row.applied.as_deref().filter(|_| row.status == "applied");
    let commit = applied.and_then(|applied| serde_json::from_str::<Applied>(applied).ok());
    Ok(types::Task {
        task_id: row.id,
        id: row.id,
        status: convert::stored(&row.status)?,
        instruction: row.instruction,
        branch: maybe(row.branch),
        agent: row.agent,
        started_at: Timestamp(row.created_at),
        ended_at: maybe(row.ended_at.map(Timestamp)),
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
        error: maybe(row.error),
        patch_count: maybe(row.patch_count.map(convert::seq)),
        chat_id: MaybeUndefined::Value(row.chat_id),
        commit: maybe(commit.map(|applied| applied.receipt.commit)),
    })
}

fn patches(diff: Diff) -> types::PatchSet {
    types::PatchSet { base: diff.base, digest: diff.digest, patches: diff.files.into_iter().map(file).collect() }
}

fn file(file: FilePatch) -> types::FilePatch {
    let text = String::from_utf8_lossy(&file.patch).into_owned();
    let hunks = file.hunks.into_iter().map(|hunk| types::PatchHunk {
        start_old: hunk.start_old,
        len_old: hunk.len_old,
        start_new: hunk.start_new,
        len_new: hunk.len_new,
        lines: hunk.lines,
    });
    types::FilePatch {
        file: file.path,
        old_file: maybe(file.old_path),
        r#type: match file.kind {
            Kind::Added => types::PatchType::Added,
            Kind::Deleted => types::PatchType::Deleted,
            Kind::Modified | Kind::Renamed => types::PatchType::Modified,
        },
        binary: file.binary,
        content: text.clone(),
        patch: text,
        hunks: hunks.collect(),
    }
}

fn receipt(task_id: Uuid, applied: Applied) -> types::TaskApplied {
    let Applied { receipt, digest, .. } = applied;
    types::TaskApplied {
        ok: true,
        task_id,
        commit: receipt.commit,
        branch: maybe(receipt.branch),
        base: receipt.base,
        digest,
    }
}

/// What is not there is left out.
fn maybe<T>(value: Option<T>) -> MaybeUndefined<T> {
    value.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value)
}
