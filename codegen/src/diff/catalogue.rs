//! The error catalogue and the security schemes.

use super::{Changes, Verdict};
use crate::ir::{Protocol, SecurityScheme};

/// Compares both.
pub fn compare(old: &Protocol, new: &Protocol, changes: &mut Changes) {
    for (code, old_error) in &old.errors {
        let subject = format!("error {code}");
        let Some(new_error) = new.errors.get(code) else {
            changes.add(Verdict::Breaking, &subject, "was removed");
            continue;
        };
        if old_error.status != new_error.status {
            let message = format!("the status was {} and is {}", old_error.status, new_error.status);
            changes.add(Verdict::Breaking, &subject, message);
        }
        if old_error.retryable != new_error.retryable {
            let message = if new_error.retryable { "can be retried now" } else { "cannot be retried any more" };
            changes.add(Verdict::Breaking, &subject, message);
        }
        changes.words(&subject, "message", &old_error.message, &new_error.message);
        changes.words(&subject, "action", &old_error.action, &new_error.action);
    }
    for code in new.errors.keys().filter(|code| !old.errors.contains_key(*code)) {
        changes.add(Verdict::Compatible, &format!("error {code}"), "was added");
    }
    schemes(old, new, changes);
}

fn schemes(old: &Protocol, new: &Protocol, changes: &mut Changes) {
    for (name, old_scheme) in &old.security_schemes {
        let subject = format!("security scheme {name}");
        match (old_scheme, new.security_schemes.get(name)) {
            (_, None) => changes.add(Verdict::Breaking, &subject, "was removed"),
            (SecurityScheme::Bearer { description: old }, Some(SecurityScheme::Bearer { description: new })) => {
                changes.words(&subject, "description", old, new);
            }
            (
                SecurityScheme::ApiKey { header: old_header, description: old },
                Some(SecurityScheme::ApiKey { header: new_header, description: new }),
            ) if old_header == new_header => changes.words(&subject, "description", old, new),
            (_, Some(_)) => changes.add(Verdict::Breaking, &subject, "travels another way"),
        }
    }
    for name in new.security_schemes.keys().filter(|name| !old.security_schemes.contains_key(*name)) {
        changes.add(Verdict::Compatible, &format!("security scheme {name}"), "was added");
    }
}
