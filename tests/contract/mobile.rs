//! What the inherited mobile client sends, in all its spellings.

use anyhow::ensure;
use flightdeck_sdk::types::{ApprovalStatus, MobileDecision, MobileVerb};
use flightdeck_tests::{Request, TestServer, for_each_database};
use serde_json::json;
use uuid::Uuid;

use crate::support::{ask, refused, start_run};

for_each_database! {
    async fn either_spelling_decides(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        for (verb, status) in [
            (MobileVerb::Approve, ApprovalStatus::Approved),
            (MobileVerb::Approved, ApprovalStatus::Approved),
            (MobileVerb::Deny, ApprovalStatus::Denied),
            (MobileVerb::Denied, ApprovalStatus::Denied),
        ] {
            let id = ask(&server, &workspace, run_id).await?;
            let decided = workspace.device.mobile().decide_mobile_approval(&id, &MobileDecision::new(verb.clone())).await?;
            ensure!(decided.status == status && decided.note.is_none(), "{verb} gave {decided:?}");
        }
    }

    async fn both_spellings_are_the_same_decision(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let id = ask(&server, &workspace, run_id).await?;
        let mobile = workspace.device.mobile();
        mobile.decide_mobile_approval(&id, &MobileDecision::new(MobileVerb::Deny)).await?;
        mobile.decide_mobile_approval(&id, &MobileDecision::new(MobileVerb::Denied)).await?;
        refused(mobile.decide_mobile_approval(&id, &MobileDecision::new(MobileVerb::Approved)).await, "approval_conflict")?;
        let seen = workspace.device.approvals().get_approval(&id).await?;
        ensure!(seen.status == ApprovalStatus::Denied, "{seen:?}");
    }

    /// The client sends `note: null` where it has none, and names itself by `X-Device-Id`.
    async fn a_null_note_and_a_bare_device_id_will_do_on_the_same_machine(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let id = ask(&server, &workspace, run_id).await?;
        let body = json!({"decision": "APPROVE", "note": null});
        let request = Request::post(format!("/mobile/approval/{id}/decision"), &body)
            .header("X-Device-Id", workspace.device_id.to_string());
        let decided = server.send(&request).await?.success()?;
        ensure!(decided == json!({"status": "APPROVED", "note": null}), "{decided}");
        let approval = workspace.device.approvals().get_approval(&id).await?;
        ensure!(approval.decided_by_device_id == Some(workspace.device_id), "{approval:?}");
        let nobody = request.header("X-Device-Id", Uuid::new_v4().to_string());
        ensure!(server.send(&nobody).await?.status == 401, "somebody unknown decided");
    }
}
