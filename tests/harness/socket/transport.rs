//! The SDK's sockets as tests use them: its own transport, with the judge behind it, over a [`Line`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use flightdeck_sdk::runtime::{
    HttpTransport, OpenError, SocketConnection, SocketError, SocketFrame, SocketRequest, SocketTransport,
};
use futures_util::{Sink, Stream};

use super::document::{self, Socket, Speaker};
use super::judge::{Faults, SocketJudge};
use super::line::{Line, Span};
use crate::Kind;
use crate::judge::{Exchange, judge_refused_socket};

type Incoming = Pin<Box<dyn Stream<Item = Result<SocketFrame, SocketError>> + Send>>;
type Outgoing = Pin<Box<dyn Sink<SocketFrame, Error = SocketError> + Send>>;

/// Opens sockets whose frames are judged. They are read in tasks of the SDK, so faults go to `faults`.
#[derive(Debug)]
pub struct JudgingSockets {
    pub inner: HttpTransport,
    pub database: Kind,
    pub line: Line,
    pub faults: Faults,
}

#[async_trait]
impl SocketTransport for JudgingSockets {
    async fn open(&self, mut request: SocketRequest) -> Result<SocketConnection, OpenError> {
        let path = request.url.path().to_owned();
        let socket = document::find(&path).unwrap_or_else(|| panic!("the SDK opens a socket at {path}"));
        let span = self.line.pass(&mut request.url).await;
        let connection = self.inner.open(request).await.inspect_err(|error| self.refused(socket, &path, error))?;
        let judge = SocketJudge { socket, database: self.database };
        let goodbye = Arc::new(AtomicU16::new(0));
        let incoming = JudgedIncoming {
            inner: Some(connection.incoming),
            cut: Box::pin(span.clone().cut()),
            goodbye: goodbye.clone(),
            judge,
            faults: self.faults.clone(),
        };
        let outgoing =
            JudgedOutgoing { inner: Some(connection.outgoing), span, goodbye, judge, faults: self.faults.clone() };
        Ok(SocketConnection { incoming: Box::pin(incoming), outgoing: Box::pin(outgoing) })
    }
}

impl JudgingSockets {
    fn refused(&self, socket: &'static Socket, path: &str, error: &OpenError) {
        let OpenError::Refused(answer) = error else { return };
        let exchange = Exchange {
            database: self.database,
            method: "GET",
            path,
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        if let Err(fault) = judge_refused_socket(&exchange, socket) {
            self.faults.report(&fault);
        }
    }
}

struct JudgedIncoming {
    /// Gone when the line is cut.
    inner: Option<Incoming>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The code of the goodbye that the client sent; 0 if it sent none.
    goodbye: Arc<AtomicU16>,
    judge: SocketJudge,
    faults: Faults,
}

impl Stream for JudgedIncoming {
    type Item = Result<SocketFrame, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if this.cut.as_mut().poll(context).is_ready() {
            this.inner = None;
            return Poll::Ready(Some(Err(cut())));
        }
        let next = inner.as_mut().poll_next(context);
        let judged = match &next {
            Poll::Ready(Some(Ok(SocketFrame::Text(text)))) => {
                this.judge.server_said(&String::from_utf8_lossy(text)).map(drop)
            }
            Poll::Ready(Some(Ok(SocketFrame::Binary(_)))) => this.judge.raw(Speaker::Server),
            Poll::Ready(Some(Ok(SocketFrame::Close { code, .. }))) => {
                this.judge.closed(*code, this.goodbye.load(Ordering::Relaxed)).map(drop)
            }
            _ => Ok(()),
        };
        if let Err(fault) = judged {
            this.faults.report(&fault);
        }
        next
    }
}

struct JudgedOutgoing {
    /// Gone when the line is cut: whatever is written after that goes nowhere, not even a goodbye.
    inner: Option<Outgoing>,
    span: Span,
    goodbye: Arc<AtomicU16>,
    judge: SocketJudge,
    faults: Faults,
}

impl JudgedOutgoing {
    fn poll(
        &mut self,
        poll: impl FnOnce(Pin<&mut (dyn Sink<SocketFrame, Error = SocketError> + Send)>) -> Poll<Result<(), SocketError>>,
    ) -> Poll<Result<(), SocketError>> {
        if self.span.is_cut() {
            self.inner = None;
        }
        match &mut self.inner {
            Some(inner) => poll(inner.as_mut()),
            None => Poll::Ready(Err(cut())),
        }
    }
}

impl Sink<SocketFrame> for JudgedOutgoing {
    type Error = SocketError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.poll(|inner| inner.poll_ready(context))
    }

    fn start_send(mut self: Pin<&mut Self>, frame: SocketFrame) -> Result<(), SocketError> {
        match &frame {
            SocketFrame::Text(text) => {
                if let Err(fault) = self.judge.client_said(&String::from_utf8_lossy(text)) {
                    self.faults.report(&fault);
                }
            }
            SocketFrame::Binary(_) => {
                if let Err(fault) = self.judge.raw(Speaker::Client) {
                    self.faults.report(&fault);
                }
            }
            SocketFrame::Close { code, .. } => self.goodbye.store(*code, Ordering::Relaxed),
            _ => {}
        }
        match &mut self.inner {
            Some(inner) => inner.as_mut().start_send(frame),
            None => Err(cut()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.poll(|inner| inner.poll_flush(context))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.poll(|inner| inner.poll_close(context))
    }
}

fn cut() -> SocketError {
    SocketError::Lost("the test cut the line".into())
}
