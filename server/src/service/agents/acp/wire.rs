//! The line between the adapter and an agent's program.
//!
//! The crate takes whatever it is given, without a limit. So it is given one message, and the next is read from the program
//! only when that has come to its handler. The handler waits until somebody takes what was told: a chatty agent then waits
//! at its own output, and memory stays bounded.

use std::collections::HashSet;
use std::sync::Arc;

use agent_client_protocol::v1::schema::{
    CancelRequestNotification, InitializeRequest, PromptRequest, PromptResponse, RequestPermissionOutcome,
    RequestPermissionRequest, RequestPermissionResponse, SessionNotification, SessionUpdate,
};
use agent_client_protocol::v1::{ConnectionTo, Dispatch, Responder};
use agent_client_protocol::{
    Agent, Channel, Client, Error, Handled, JsonRpcMessage as _, JsonRpcNotification, JsonRpcRequest, RawJsonRpcId,
    RawJsonRpcMessage, RawJsonRpcNotification, TransportFrame,
};
use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::service::agents::process::Lines;

/// How much may wait to be taken.
const WAITING: usize = 8;

/// What an agent does that concerns a turn.
pub(super) enum Event {
    Told(Box<SessionUpdate>),
    Asked(Box<RequestPermissionRequest>, Responder<RequestPermissionResponse>),
    /// It answered the prompt.
    Answered(Result<PromptResponse, Error>),
}

impl Event {
    /// Nobody wants to know.
    pub(super) fn dismiss(self) {
        if let Self::Asked(_, responder) = self {
            // Fails if the agent is gone.
            let _ = responder.respond(RequestPermissionResponse::new(RequestPermissionOutcome::Cancelled));
        }
    }
}

/// Why a request has no answer.
pub(super) enum Unanswered {
    /// The agent is gone.
    Gone,
    /// It answered with an error.
    Error(Error),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        if is_gone(&error) { Self::Gone } else { Self::Error(error) }
    }
}

pub(super) struct Wire {
    pub(super) events: mpsc::Receiver<Event>,
    /// Weak, so that `events` end with the connection.
    told: mpsc::WeakSender<Event>,
    opening: Option<oneshot::Receiver<ConnectionTo<Agent>>>,
    connection: Option<ConnectionTo<Agent>>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    pub(super) fn new(stdin: ChildStdin, stdout: ChildStdout) -> Self {
        let (told, events) = mpsc::channel(WAITING);
        let (opened, opening) = oneshot::channel();
        let weak = told.downgrade();
        let task = tokio::spawn(carry(stdin, stdout, told, opened));
        Self { events, told: weak, opening: Some(opening), connection: None, task }
    }

    /// Asks, and lets go of what the agent tells until it answers.
    pub(super) async fn ask<R: JsonRpcRequest>(&mut self, request: R) -> Result<R::Response, Unanswered> {
        if let Some(opening) = self.opening.take() {
            self.connection = opening.await.ok();
        }
        let Some(connection) = &self.connection else { return Err(Unanswered::Gone) };
        let answer = connection.send_request(request).block_task();
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                Some(event) = self.events.recv() => event.dismiss(),
                answer = &mut answer => return answer.map_err(Unanswered::from),
            }
        }
    }

    /// Sends a prompt, whose answer becomes an event after all that is told before it. `false` if the agent is gone.
    pub(super) fn prompt(&self, prompt: PromptRequest) -> bool {
        let (Some(connection), Some(told)) = (&self.connection, self.told.upgrade()) else { return false };
        let sent = connection.prepare_request(prompt).on_receiving_result(async move |result| {
            // An agent that is gone has not answered; whoever waits sees that the events end.
            if !matches!(&result, Err(error) if is_gone(error)) {
                let _ = told.send(Event::Answered(result)).await;
            }
            Ok(())
        });
        sent.is_ok()
    }

    pub(super) fn notify(&self, notification: impl JsonRpcNotification) {
        if let Some(connection) = &self.connection {
            // Fails if the agent is gone, which the end of the events tells.
            let _ = connection.send_notification(notification);
        }
    }

    /// Closes the program's input.
    pub(super) async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

/// Our requests that have no answer yet.
type Open = Mutex<HashSet<RawJsonRpcId>>;

/// Whether an error says no more than that there is nobody any more.
fn is_gone(error: &Error) -> bool {
    agent_client_protocol::is_incoming_transport_closed(error) || agent_client_protocol::is_connection_terminated(error)
}

/// Carries messages until the program's output ends.
async fn carry(
    stdin: ChildStdin,
    stdout: ChildStdout,
    told: mpsc::Sender<Event>,
    opened: oneshot::Sender<ConnectionTo<Agent>>,
) {
    let gate = Arc::new(Semaphore::new(1));
    let (ours, theirs) = Channel::duplex();
    let (from_crate, to_crate) = ours.into_parts();
    let passed = gate.clone();
    let asked = told.clone();
    let connection = Client
        .v1()
        .on_receive_dispatch(
            async move |message: Dispatch, _| {
                if !matches!(message, Dispatch::Response(..)) {
                    passed.add_permits(1);
                }
                Ok(Handled::No { message, retry: false })
            },
            agent_client_protocol::on_receive_dispatch!(),
        )
        .on_receive_notification(
            async move |notification: SessionNotification, _| {
                let _ = told.send(Event::Told(Box::new(notification.update))).await;
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        .on_receive_request(
            async move |request: RequestPermissionRequest, responder, _| {
                // Whoever takes it answers; nobody waits here for a person.
                let _ = asked.send(Event::Asked(Box::new(request), responder)).await;
                Ok(())
            },
            agent_client_protocol::on_receive_request!(),
        )
        .connect_with(theirs, async move |connection: ConnectionTo<Agent>| {
            let _ = opened.send(connection.clone());
            connection.incoming_closed().await;
            Ok(())
        });
    let open = Open::default();
    let reading = async {
        read(stdout, &gate, &open, |frame| to_crate.unbounded_send(frame).is_ok()).await;
        to_crate.close_channel();
    };
    let writing = write(stdin, from_crate, &open);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "the connection with an agent ended");
            }
        }
        _ = async { tokio::join!(reading, writing) } => {}
    }
}

async fn read(stdout: ChildStdout, gate: &Semaphore, open: &Open, give: impl Fn(TransportFrame) -> bool) {
    let mut lines = Lines::new(stdout);
    while let Some(line) = lines.next().await {
        let frame = TransportFrame::parse_json(&line);
        match &frame {
            TransportFrame::Single(message) => match message.response_id() {
                // Answers pass no gate: there are no more of them than requests.
                Some(id) if !open.lock().remove(id) => {
                    tracing::debug!("an agent answered what nobody asked");
                    continue;
                }
                Some(_) => {}
                None if !concerns_a_client(message) => continue,
                None => match gate.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return,
                },
            },
            // Some print a greeting or a log line there; they would not know what to do with an error.
            _ => {
                tracing::debug!(bytes = line.len(), "an agent's program said a line that is no message");
                continue;
            }
        }
        if !give(frame) {
            return;
        }
    }
}

/// Whether a handler will see the message, or an answer will come of it. The rest must not reach the crate: it would refuse
/// some of it before it comes to the handler that opens the gate, and keep the other in case somebody learns of it later.
fn concerns_a_client(message: &RawJsonRpcMessage) -> bool {
    match message {
        RawJsonRpcMessage::Request(request) => !InitializeRequest::matches_method(&request.method),
        RawJsonRpcMessage::Notification(notification) => {
            let RawJsonRpcNotification { method, params, .. } = notification;
            SessionNotification::matches_method(method)
                || (CancelRequestNotification::matches_method(method)
                    && serde_json::to_value(params)
                        .is_ok_and(|params| CancelRequestNotification::parse_message(method, &params).is_ok()))
        }
        RawJsonRpcMessage::Response(_) => true,
    }
}

async fn write(mut stdin: ChildStdin, frames: impl Stream<Item = TransportFrame>, open: &Open) {
    let mut frames = std::pin::pin!(frames);
    while let Some(frame) = frames.next().await {
        if let TransportFrame::Single(RawJsonRpcMessage::Request(request)) = &frame {
            open.lock().insert(request.id.clone());
        }
        let Ok(mut line) = frame.to_json() else { continue };
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}
