//! What the protocol says about one operation, as far as the runtime needs it. Generated code declares one
//! constant for each; nothing here sends anything.

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method as it is on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether sending the same request twice has the effect of sending it once.
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

/// One operation of the protocol.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The operation's id in the protocol, e.g. `submitEvent`. Names the call in traces and errors.
    pub id: &'static str,
    pub method: Method,
    /// The path's template, e.g. `/v1/runs/{run_id}`.
    pub path: &'static str,
    /// What it accepts as proof of who is calling, in order of preference. Empty: open to all.
    pub security: &'static [Security],
    /// Takes an `Idempotency-Key`; the runtime sends one by itself, so that the call may be repeated.
    pub idempotent: bool,
    /// Sending the same request twice has the effect of sending it once, without a key: by its method, or because
    /// the protocol promises it.
    pub repeatable: bool,
}

/// One accepted way to authenticate: security schemes by their name in the protocol.
///
/// `signature`, `deviceToken` and `deviceId` are filled in from the client's [`Credentials`](crate::Credentials).
/// Every other scheme is a bearer token that the caller gives with [`Call::bearer`](crate::runtime::Call::bearer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// One scheme.
    Scheme(&'static str),
    /// Several schemes that go together. None at all means: also works without credentials.
    All(&'static [&'static str]),
}

impl Security {
    /// The schemes that go together.
    pub fn schemes(&self) -> &[&'static str] {
        match self {
            Self::Scheme(name) => std::slice::from_ref(name),
            Self::All(names) => names,
        }
    }
}
