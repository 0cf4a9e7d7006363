//! What generated stubs stand on, written by hand: scalar types, refusals, the request's context, checked JSON.
//!
//! Nothing here knows a surface, a service or a rule of the product. Types of the wire belong in the spec.

mod answer;
mod check;
mod context;
mod error;
mod framework;
mod int64;
mod json;
mod json_object;
mod later;
mod operation;
mod parameter;
mod presence;
mod refused;
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
pub use later::Later;
pub use operation::OperationInfo;
pub use parameter::{Header, Path, Query};
pub use presence::{Nullable, nullable, present};
pub use refused::{DeclaredErrors, Refused};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use unknown_value::UnknownValue;
