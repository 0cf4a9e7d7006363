//! `kill -9` in the middle of a question: of the hook that waits, and of the server that it waits at. The question and
//! its answer outlive both, and the answer permits one call, not two.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{ServerProcess, for_each_database};
use serde_json::{Value, json};

use crate::machine::{Machine, said, until};

/// The agent begins a tool call; what its hook is told of it belongs to `CALL`.
const CALL: &str = "toolu_01";

/// A hook that has asked, by now, and the approval that it waits for.
struct Asking {
    hook: tokio::process::Child,
    approval_id: String,
}

/// Begins the tool call and asks for its permission, as the agent does, until somebody can see the question.
async fn ask(machine: &Machine) -> Result<Asking> {
    let hook = begin(machine).await?;
    let pending = until(machine, &["approvals"], |list| list.as_array().is_some_and(|list| list.len() == 1)).await?;
    let approval_id = pending[0]["approval_id"].as_str().context("an approval has an id")?.to_owned();
    Ok(Asking { hook, approval_id })
}

/// The two hooks of a call that needs permission; gives the second, which waits.
async fn begin(machine: &Machine) -> Result<tokio::process::Child> {
    let silent = machine.hook("PreToolUse", &json!({"tool_use_id": CALL})).await?;
    ensure!(silent.is_empty(), "the hook says something nobody asked: {silent}");
    machine.start_hook("PermissionRequest", &json!({})).await
}

/// What the agent reads in a hook's answer: `allow`, `deny`, or nothing.
fn behavior(answer: &str) -> Result<Value> {
    if answer.trim().is_empty() {
        return Ok(Value::Null);
    }
    let answer: Value = serde_json::from_str(answer).with_context(|| format!("the hook printed {answer}"))?;
    Ok(answer["hookSpecificOutput"]["decision"]["behavior"].clone())
}

for_each_database! {
    /// The hook dies while it waits, the person decides, and the agent asks again about the very same call: it is told.
    /// Once it has acted on that, the verdict is used up: the same call has to be asked about anew.
    async fn a_hook_that_was_killed_gets_the_verdict_once(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let machine = Machine::new(server.url())?;
        machine.run(&["pair", "--self"]).await?;
        let mut asking = ask(&machine).await?;
        let id = asking.approval_id.as_str();
        asking.hook.kill().await?;
        machine.run(&["approvals", "approve", id]).await?;

        let again = said(begin(&machine).await?, "hook, run again").await?;
        ensure!(behavior(&again)? == "allow", "the hook that came back says {again:?}");
        ensure!(store.count("approvals").await? == 1, "it asked anew instead of coming back");

        // The agent does what it was permitted to do.
        machine.hook("PostToolUse", &json!({"tool_use_id": CALL, "tool_response": {"stdout": ""}})).await?;
        until(&machine, &["approvals", "show", id], |approval| approval["consumed_at"].is_string()).await?;
        // Whoever asks about it now asks something new, and only a person can answer that.
        let third = ask(&machine).await?;
        ensure!(third.approval_id != id, "the used verdict is on offer again");
        machine.run(&["approvals", "deny", &third.approval_id]).await?;
        let answer = said(third.hook, "hook, run a third time").await?;
        ensure!(behavior(&answer)? == "deny", "the call is permitted a second time: {answer}");
        let approval = machine.json(&["approvals", "show", id]).await?;
        ensure!(approval["status"] == "APPROVED", "the ledger forgot the verdict: {approval}");
    }

    /// A denial is told again just as well, for the agent must not take silence for a yes.
    async fn a_hook_that_was_killed_is_told_of_a_denial(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let machine = Machine::new(server.url())?;
        machine.run(&["pair", "--self"]).await?;
        let mut asking = ask(&machine).await?;
        asking.hook.kill().await?;
        machine.run(&["approvals", "deny", &asking.approval_id, "--note", "not on a Friday"]).await?;
        let again = said(begin(&machine).await?, "hook, run again").await?;
        ensure!(behavior(&again)? == "deny" && again.contains("not on a Friday"), "the hook says {again:?}");
    }

    /// The server is killed between the question and the answer, and comes back on the same port: the question is
    /// there, the tap works, and the hook, which has held on, is told.
    async fn a_hook_holds_on_while_the_server_is_killed(database) {
        let store = TestDatabase::create(database).await?;
        let mut server = ServerProcess::on(&store, &[]).await?;
        let machine = Machine::new(server.url())?;
        machine.run(&["pair", "--self"]).await?;
        let mut asking = ask(&machine).await?;
        let id = asking.approval_id.as_str();

        let port = server.url().rsplit(':').next().context("the server has a port")?.to_owned();
        server.kill().await?;
        ensure!(asking.hook.try_wait()?.is_none(), "the hook gave up with the server");
        let _server = ServerProcess::on(&store, &[("PORT", &port)]).await?;
        let approval = machine.json(&["approvals", "show", id]).await?;
        ensure!(approval["status"] == "PENDING", "after the kill it is {approval}");
        machine.run(&["approvals", "approve", id]).await?;
        let answer = said(asking.hook, "hook").await?;
        ensure!(behavior(&answer)? == "allow", "the agent is told {answer:?}");
        ensure!(store.count("approvals").await? == 1, "the hook asked anew");
    }
}
