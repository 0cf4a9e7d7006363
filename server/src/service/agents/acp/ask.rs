//! A question of an agent: which option an answer takes, and who waits for it.

use agent_client_protocol::v1::Responder;
use agent_client_protocol::v1::schema::{
    PermissionOption, PermissionOptionKind, RequestPermissionOutcome, RequestPermissionResponse,
    SelectedPermissionOutcome,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::service::agents::update::{Answer, Permission, Question, Update};

/// Puts a question, and answers the agent when a person does, or when it does not matter any more.
pub(super) fn ask(
    question: Question,
    options: Vec<PermissionOption>,
    responder: Responder<RequestPermissionResponse>,
    cancelled: CancellationToken,
) -> Update {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let withdrawn = responder.cancellation();
        let answer = tokio::select! {
            biased;
            () = cancelled.cancelled() => Answer::Withdrawn,
            () = withdrawn.cancelled() => Answer::Withdrawn,
            answer = receiver => answer.unwrap_or(Answer::Withdrawn),
        };
        // Fails if the agent is gone.
        let _ = responder.respond(RequestPermissionResponse::new(outcome(&answer, &options)));
    });
    Update::Permission(Permission { question, answer: sender })
}

/// The option that an answer takes: the one that binds for this once, or else for always. An agent that offers neither is
/// told that nobody answers.
fn outcome(answer: &Answer, options: &[PermissionOption]) -> RequestPermissionOutcome {
    let kinds = match answer {
        Answer::Allow { .. } => [PermissionOptionKind::AllowOnce, PermissionOptionKind::AllowAlways],
        Answer::Deny { .. } => [PermissionOptionKind::RejectOnce, PermissionOptionKind::RejectAlways],
        Answer::Withdrawn => return RequestPermissionOutcome::Cancelled,
    };
    let option = kinds.iter().find_map(|kind| options.iter().find(|option| option.kind == *kind));
    option.map_or(RequestPermissionOutcome::Cancelled, |option| {
        RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option.option_id.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(answer: &Answer, kinds: &[PermissionOptionKind]) -> Option<String> {
        let options: Vec<_> = kinds.iter().map(|kind| PermissionOption::new(format!("{kind:?}"), "x", *kind)).collect();
        match outcome(answer, &options) {
            RequestPermissionOutcome::Selected(selected) => Some(selected.option_id.to_string()),
            _ => None,
        }
    }

    #[test]
    fn options_are_chosen_by_their_kind() {
        use PermissionOptionKind::{AllowAlways, AllowOnce, RejectAlways, RejectOnce};
        let (allow, deny) = (Answer::Allow { note: None }, Answer::Deny { note: None });
        let all = [RejectAlways, AllowAlways, RejectOnce, AllowOnce];
        assert_eq!(chosen(&allow, &all).as_deref(), Some("AllowOnce"));
        assert_eq!(chosen(&deny, &all).as_deref(), Some("RejectOnce"));
        assert_eq!(chosen(&Answer::Withdrawn, &all), None);
        assert_eq!(chosen(&allow, &[RejectOnce, AllowAlways]).as_deref(), Some("AllowAlways"));
        assert_eq!(chosen(&deny, &[AllowOnce, RejectAlways]).as_deref(), Some("RejectAlways"));
        assert_eq!(chosen(&deny, &[AllowOnce, AllowAlways]), None);
        assert_eq!(chosen(&allow, &[]), None);
    }
}
