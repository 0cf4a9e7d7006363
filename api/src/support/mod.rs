//! What generated stubs stand on, written by hand: scalar types, refusals, the request's context, checked JSON, sockets.
//!
//! Nothing here knows a surface, a service or a rule of the product. Types of the wire belong in the spec.

mod answer;
mod check;
mod context;
mod error;
mod explain;
mod framework;
mod int64;
mod json;
mod json_object;
mod json_value;
mod later;
mod operation;
mod parameter;
mod presence;
mod refused;
mod socket;
mod timestamp;
mod unknown_value;

pub use answer::{Answer, NoContent, answers};
pub use check::{Location, Pattern, Problems, Validate};
pub use context::{Context, ContextParts};
pub use error::{ApiError, Detail};
pub use framework::api_error;
pub use int64::Int64;
pub use json::Json;
pub use json_object::JsonObject;
pub use json_value::JsonValue;
pub use later::Later;
pub use operation::OperationInfo;
pub use parameter::{Header, Path, Query};
pub use presence::{Nullable, nullable, present};
pub use refused::{DeclaredErrors, Refused};
pub use socket::{
    Fault, FaultKind, Frame, Incoming, Outbox, Outgoing, QueryParameters, Queue, RAW_FRAME, RawSender, Reconnect,
    SendsRaw, ServerMessage, Socket, SocketInfo, SocketLimits, SocketSession, Taken,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use unknown_value::UnknownValue;
