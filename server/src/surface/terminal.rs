//! The socket of a session's terminal: what is printed goes out as fast as the client reads, what is typed goes in.

use std::sync::Arc;

use bytes::Bytes;
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::terminal::{
    TerminalParameters, TerminalServerMessage, TerminalSession, TerminalSocket,
};
use flightdeck_api::generated::types::{self, TerminalFrames};
use flightdeck_api::support::{ApiError, Context, Fault, Outbox, RAW_FRAME, RawSender};
use uuid::Uuid;

use super::cockpit::{CockpitSurface, frame};
use crate::auth::bearer;
use crate::service::terminal::{Ended, Exit, Output, Size, Viewer};

type Out = Outbox<TerminalServerMessage>;

/// What a client is taken to show that says only one of both.
const USUAL: (u64, u64) = (80, 24);

/// Opens connections.
pub(in crate::surface) struct TerminalSockets(pub(in crate::surface) Arc<CockpitSurface>);

impl TerminalSocket for TerminalSockets {
    type Session = Session;

    async fn connect(&self, context: &Context, parameters: TerminalParameters) -> Result<Session, ApiError> {
        let TerminalParameters { session_id, token, cols, rows, frames } = parameters;
        let token = match token.as_deref() {
            Some(token) => token,
            None => bearer(context)?.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?,
        };
        let row = self.0.own_session(token, session_id).await?;
        let size = match (cols, rows) {
            (None, None) => None,
            (cols, rows) => size_of(cols.unwrap_or(USUAL.0), rows.unwrap_or(USUAL.1)),
        };
        let viewer = self.0.commands.terminal(row.id)?.attach(size);
        let raw = match frames {
            Some(TerminalFrames::Binary) => RawSender::binary(),
            _ => RawSender::text(),
        };
        Ok(Session { surface: self.0.clone(), id: row.id, viewer, raw, rest: Bytes::new() })
    }
}

/// One connection.
pub(in crate::surface) struct Session {
    surface: Arc<CockpitSurface>,
    id: Uuid,
    viewer: Viewer,
    raw: RawSender,
    /// What has been taken and not been sent yet.
    rest: Bytes,
}

impl TerminalSession for Session {
    async fn opened(&mut self, _: &mut Out) -> Result<(), CloseCode> {
        Ok(())
    }

    async fn resize(&mut self, message: types::TerminalResize, _: &mut Out) -> Result<(), CloseCode> {
        if let Some(size) = size_of(message.cols, message.rows) {
            self.viewer.resize(size);
        }
        Ok(())
    }

    async fn raw(&mut self, data: Bytes, out: &mut Out) -> Result<(), CloseCode> {
        if self.viewer.write(&data).is_err() {
            out.send(TerminalServerMessage::Error(frame::refusal(ErrorCode::InputFull)));
        }
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Out) -> Result<(), CloseCode> {
        out.send(TerminalServerMessage::Error(frame::faulty(fault)));
        Ok(())
    }

    async fn pending(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        while out.is_empty() {
            if !self.rest.is_empty() {
                let piece = self.rest.split_to(self.rest.len().min(RAW_FRAME));
                self.raw.send(piece, out);
                continue;
            }
            match self.viewer.next().await {
                Some(Output::Snapshot { size, bytes }) => {
                    self.raw.finish(out);
                    self.rest = bytes;
                    out.send(TerminalServerMessage::Resize(resize(size)));
                }
                Some(Output::Bytes(bytes)) => self.rest = bytes,
                Some(Output::Resized(size)) => out.send(TerminalServerMessage::Resize(resize(size))),
                Some(Output::Exit(exit)) => {
                    self.raw.finish(out);
                    out.send(TerminalServerMessage::Exit(exited(exit)));
                }
                // The session is over, or the server goes away, which the engine tells by itself.
                None => return Err(CloseCode::CredentialInvalid),
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, _: &mut Out) -> Result<(), CloseCode> {
        // A connection is use, too. Whether the session is over is found here if nobody closed its terminal.
        match self.surface.enter(self.id).await {
            Err(error) if error.code == ErrorCode::SessionNotFound => Err(CloseCode::CredentialInvalid),
            _ => Ok(()),
        }
    }

    async fn closed(self) {}
}

/// The limits of the protocol are those of a terminal.
fn size_of(cols: u64, rows: u64) -> Option<Size> {
    Size::new(u32::try_from(cols).ok()?, u32::try_from(rows).ok()?).ok()
}

fn resize(size: Size) -> types::TerminalResize {
    types::TerminalResize { cols: size.cols().into(), rows: size.rows().into() }
}

fn exited(exit: Exit) -> types::TerminalExit {
    let Exit { code, duration, why } = exit;
    types::TerminalExit {
        code: code.into(),
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        reason: Some(why).filter(|why| *why != Ended::ByItself).map(|why| why.to_string()),
    }
}
