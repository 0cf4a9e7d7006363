//! What generated code expects of the runtime: its value types as they are, its calls replaced.

#[path = "../../../sdk/rust/src/runtime/answer.rs"]
mod answer;
#[path = "../../../sdk/rust/src/runtime/field.rs"]
mod field;
#[path = "../../../sdk/rust/src/runtime/operation.rs"]
mod operation;
#[path = "../../../sdk/rust/src/runtime/pagination.rs"]
mod pagination;
#[path = "../../../sdk/rust/src/runtime/parameter.rs"]
mod parameter;
#[path = "../../../sdk/rust/src/runtime/secret.rs"]
mod secret;
#[path = "socket.rs"]
mod socket;
#[path = "../../../sdk/rust/src/runtime/timestamp.rs"]
mod timestamp;
#[path = "../../../sdk/rust/src/runtime/unknown.rs"]
mod unknown;

pub use crate::client::Call;
pub(crate) use answer::json_answer;
pub use answer::{Answer, DecodeError, decode_json};
pub use field::Field;
pub use operation::{Method, Operation, Security};
pub use pagination::paginate;
pub use parameter::{ToParameter, segment};
pub use secret::Secret;
pub use socket::{
    Intent, Position, Progress, Reconnect, SocketBuilder, SocketCloseCode, SocketInfo, SocketLimits, SocketProtocol,
    WithoutPosition,
};
pub use timestamp::Timestamp;
pub use unknown::{UnknownMessage, UnknownValue, UnknownVariant};
