//! What generated code stands on: calls, retries, credentials, and the types that the protocol needs beside its own.
//!
//! Written by hand, and free of any knowledge about particular operations. Callers rarely need this module; what
//! they do need is also at the crate's root.

mod answer;
mod call;
mod clock;
mod credentials;
mod execute;
mod field;
mod http_transport;
mod operation;
mod pagination;
mod parameter;
mod random;
mod refusal;
mod retry;
mod secret;
mod sign;
mod socket;
mod timestamp;
mod transport;
mod unknown;
pub(crate) mod wait;

pub(crate) use answer::json_answer;
pub use answer::{Answer, DecodeError, Json, decode_json};
pub use call::{Call, Response};
pub use clock::{Clock, SystemClock};
pub use credentials::{Credentials, WorkspaceCredentials};
pub use field::Field;
pub use http_transport::HttpTransport;
pub use operation::{Method, Operation, Security};
pub use pagination::paginate;
pub use parameter::{ToParameter, segment};
pub use random::{Random, SystemRandom};
pub(crate) use retry::RetryBudget;
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use sign::sign;
pub use socket::{
    Ending, Intent, OpenError, Position, Progress, QueueLimits, Reconnect, ReconnectPolicy, SendError, Socket,
    SocketBuilder, SocketCloseCode, SocketConnection, SocketError, SocketFrame, SocketInfo, SocketLimits,
    SocketProtocol, SocketRequest, SocketSender, SocketState, SocketTransport, Update, WithoutPosition,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use transport::{RawResponse, Request, Transport, TransportError};
pub use unknown::{UnknownMessage, UnknownValue, UnknownVariant};
pub use wait::WaitOptions;
