//! The socket that tells what happens in a session.
//!
//! It follows the session's stream, and beside it the chats of tasks that are under way: what their agents say is told as it
//! comes and is not kept here.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::cockpit::{
    COCKPIT, CockpitParameters, CockpitServerMessage, CockpitSession, CockpitSocket,
};
use flightdeck_api::generated::types::{self, TaskStatus};
use flightdeck_api::support::{ApiError, Context, Fault, Outbox};
use uuid::Uuid;

use super::{CockpitSurface, frame};
use crate::auth::bearer;
use crate::log::{Item, Reader, ReaderLimits, Start, Subscription};
use crate::service::chats::{ChatEvent, chat_stream};
use crate::service::sessions::{SessionEvent, session_stream};
use crate::store::sessions::SessionRow;
use crate::surface::convert;
use crate::surface::following::{self, Failures};

type Out = Outbox<CockpitServerMessage>;

/// Opens connections.
pub(in crate::surface) struct CockpitSockets(pub(in crate::surface) Arc<CockpitSurface>);

impl CockpitSocket for CockpitSockets {
    type Session = Session;

    async fn connect(&self, context: &Context, parameters: CockpitParameters) -> Result<Session, ApiError> {
        let token = match parameters.token.as_deref() {
            Some(token) => token,
            None => bearer(context)?.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?,
        };
        let row = self.0.own_session(token, parameters.session_id).await?;
        let limits = ReaderLimits { events: COCKPIT.limits.queue_events, bytes: COCKPIT.limits.queue_bytes };
        let mut reader = self.0.sessions.reader(limits);
        // From before the first answer on, so that nothing that the client brings about falls in between.
        let since = self.0.sessions.last_seq(row.id).await?;
        let subscription = reader.follow(&session_stream(row.id), Start::After(since));
        let early = Some(self.0.tasks.audible(row.id).await?);
        Ok(Session {
            surface: self.0.clone(),
            row: Box::new(row),
            reader,
            subscription,
            early,
            chats: Vec::new(),
            failures: Failures::default(),
        })
    }
}

/// One connection.
pub(in crate::surface) struct Session {
    surface: Arc<CockpitSurface>,
    row: Box<SessionRow>,
    reader: Reader,
    subscription: Subscription,
    /// Tasks whose agents will be listened to; `None` once the client knows where things stand.
    early: Option<Vec<(Uuid, Uuid)>>,
    chats: Vec<Listening>,
    failures: Failures,
}

/// A task's chat that is listened to.
struct Listening {
    subscription: Subscription,
    task_id: Uuid,
    /// The message whose pieces came; it need not come whole.
    message_id: Option<Uuid>,
}

impl Session {
    /// Listens to a task's agent, once the client has been told where things stand.
    fn listen(&mut self, task_id: Uuid, chat_id: Uuid) {
        if let Some(early) = &mut self.early {
            early.push((task_id, chat_id));
        } else if self.chats.iter().all(|listening| listening.task_id != task_id) {
            let subscription = self.reader.follow(&chat_stream(chat_id), Start::Now);
            self.chats.push(Listening { subscription, task_id, message_id: None });
        }
    }

    fn give(&mut self, item: Item, out: &mut Out) -> Result<(), CloseCode> {
        match item {
            Item::Stored { subscription, events } if subscription == self.subscription => {
                for row in events {
                    self.tell(SessionEvent::read(&row.kind, &row.payload), row.seq, row.created_at, out)?;
                }
            }
            Item::Live { subscription, event } if subscription == self.subscription => {
                let read = SessionEvent::read(&event.event.kind, &event.event.payload);
                self.tell(read, event.seq, event.event.created_at, out)?;
            }
            Item::Synced { subscription, seq } if subscription == self.subscription => {
                out.send(CockpitServerMessage::Synced(types::CockpitSynced { seq: convert::seq(seq) }));
                for (task_id, chat_id) in self.early.take().unwrap_or_default() {
                    self.listen(task_id, chat_id);
                }
            }
            Item::Gap { subscription, since, next, reason } if subscription == self.subscription => {
                out.send(CockpitServerMessage::Gap(types::CockpitGap {
                    since_seq: convert::seq(since),
                    next_seq: convert::seq(next),
                    reason: following::gap_reason(reason),
                }));
            }
            Item::Stored { subscription, events } => {
                for row in events {
                    self.overhear(subscription, ChatEvent::read(&row.kind, &row.payload), true, out);
                }
            }
            Item::Live { subscription, event } => {
                let read = ChatEvent::read(&event.event.kind, &event.event.payload);
                self.overhear(subscription, read, event.seq > 0, out);
            }
            Item::Synced { .. } | Item::Gap { .. } => {}
            Item::FellBehind => return Err(CloseCode::SlowReader),
        }
        Ok(())
    }

    fn tell(&mut self, event: Option<SessionEvent>, seq: i64, at: i64, out: &mut Out) -> Result<(), CloseCode> {
        match &event {
            Some(SessionEvent::Ended {}) => return Err(CloseCode::CredentialInvalid),
            Some(SessionEvent::Status(status)) => match status.phase {
                TaskStatus::Failed | TaskStatus::Cancelled | TaskStatus::Applied => {
                    if let Some(index) = self.chats.iter().position(|chat| chat.task_id == status.task_id) {
                        let listening = self.chats.swap_remove(index);
                        self.reader.unfollow(listening.subscription);
                    }
                }
                _ => self.listen(status.task_id, status.chat_id),
            },
            _ => {}
        }
        if let Some(message) = event.and_then(|event| frame::told(event, seq, at)) {
            out.send(message);
        }
        Ok(())
    }

    /// Tells what an agent does. A message whose pieces came is not told again when it is whole.
    fn overhear(&mut self, subscription: Subscription, event: Option<ChatEvent>, is_kept: bool, out: &mut Out) {
        let (Some(listening), Some(event)) =
            (self.chats.iter_mut().find(|chat| chat.subscription == subscription), event)
        else {
            return;
        };
        if let ChatEvent::AssistantMessage { message_id, .. } = &event {
            if is_kept && listening.message_id == Some(*message_id) {
                return;
            }
            listening.message_id = Some(*message_id);
        }
        frame::output(listening.task_id, event).into_iter().for_each(|message| out.send(message));
    }
}

impl CockpitSession for Session {
    async fn opened(&mut self, _: &mut Out) -> Result<(), CloseCode> {
        Ok(())
    }

    async fn subscribe(&mut self, message: types::CockpitSubscribe, _: &mut Out) -> Result<(), CloseCode> {
        self.reader.unfollow(self.subscription);
        let since = i64::try_from(message.since_seq).unwrap_or(i64::MAX);
        self.subscription = self.reader.follow(&session_stream(self.row.id), Start::After(since));
        Ok(())
    }

    async fn user_message(&mut self, message: types::CockpitUserMessage, out: &mut Out) -> Result<(), CloseCode> {
        let said = self.surface.tasks.say(self.row.id, message.task_id.take(), message.content).await;
        said.or_else(|error| refuse(error, out))
    }

    async fn confirmation(&mut self, message: types::CockpitConfirmation, out: &mut Out) -> Result<(), CloseCode> {
        let types::CockpitConfirmation { message_id, confirmed, note } = message;
        let confirmed = self.surface.tasks.confirm(&self.row, message_id, confirmed, note.take()).await;
        confirmed.or_else(|error| refuse(error, out))
    }

    async fn ping(&mut self, _: types::CockpitPing, out: &mut Out) -> Result<(), CloseCode> {
        out.send(CockpitServerMessage::Pong(types::CockpitPong {}));
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Out) -> Result<(), CloseCode> {
        out.send(CockpitServerMessage::Error(frame::faulty(fault)));
        Ok(())
    }

    async fn pending(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        while out.is_empty() {
            match self.reader.next().await {
                Ok(item) => {
                    self.failures.end();
                    self.give(item, out)?;
                }
                Err(error) => self.failures.add(error).await?,
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, _: &mut Out) -> Result<(), CloseCode> {
        self.reader.tidy();
        // A connection is use, too. Whether the session is over is told by its stream, or found here.
        match self.surface.enter(self.row.id).await {
            Err(error) if error.code == ErrorCode::SessionNotFound => Err(CloseCode::CredentialInvalid),
            _ => Ok(()),
        }
    }

    async fn closed(self) {}
}

/// Tells the client what went wrong.
fn refuse(error: ApiError, out: &mut Out) -> Result<(), CloseCode> {
    let declared = COCKPIT.faults.contains(&error.code);
    let error = if declared { error } else { ErrorCode::Internal.into() };
    let told = types::CockpitFault { message: error.message, ..frame::refusal(error.code) };
    out.send(CockpitServerMessage::Error(told));
    Ok(())
}
