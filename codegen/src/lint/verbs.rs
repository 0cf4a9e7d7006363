//! The verbs that an operation's name may begin with. Each means one thing; a new meaning is a reason to add one.

#[rustfmt::skip]
const VERBS: &[&str] = &[
    "accept", "acknowledge", "activate", "add", "allow", "answer", "append", "apply", "approve", "archive",
    "assign", "attach", "authorize", "block", "cancel", "change", "check", "claim", "clear", "close",
    "compact", "complete", "confirm", "connect", "consume", "count", "create", "deactivate", "decide",
    "delete", "deliver", "deny", "describe", "detach", "disable", "discard", "disconnect", "dismiss",
    "download", "edit", "enable", "end", "exchange", "execute", "expire", "export", "extend", "fetch", "find",
    "finish", "follow", "forget", "fork", "get", "grant", "handle", "import", "interrupt", "invite", "invoke",
    "issue", "join", "kick", "kill", "leave", "list", "load", "lock", "mark", "merge", "mint", "move", "mute",
    "notify", "open", "pair", "pause", "pin", "ping", "poll", "post", "preview", "probe", "prompt", "publish",
    "pull", "purge", "push", "put", "query", "read", "receive", "reconnect", "record", "redeem", "refresh",
    "register", "reject", "release", "reload", "remove", "rename", "renew", "reopen", "replace", "reply",
    "report", "request", "reset", "resize", "resolve", "restart", "restore", "resume", "retry", "revert",
    "revoke", "rotate", "run", "save", "schedule", "search", "select", "send", "set", "share", "show", "sign",
    "spawn", "start", "steer", "stop", "store", "submit", "subscribe", "switch", "sync", "take", "test",
    "toggle", "touch", "transfer", "trigger", "unblock", "unlock", "unmute", "unpin", "unregister",
    "unsubscribe", "update", "upgrade", "upload", "upsert", "validate", "verify", "wait", "watch", "withdraw",
    "write",
];

/// Whether a word is one of the verbs.
pub fn is_known(word: &str) -> bool {
    VERBS.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::VERBS;

    #[test]
    fn verbs_are_sorted_because_they_are_searched() {
        assert!(VERBS.is_sorted());
    }
}
