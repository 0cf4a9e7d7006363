//! Agents that the server can run: the known ones and those of its operator, and who may ask.

use anyhow::ensure;
use flightdeck_tests::{TestOptions, TestServer, for_each_database};

for_each_database! {
    async fn an_operator_s_agents_are_listed_and_their_programs_looked_for(database) {
        let agents = "mine=acp:/bin/sh --stdio;lost=codex:no-such-program-anywhere;gemini=acp:/opt/gemini";
        let options = TestOptions::new(database).set("FLIGHTDECK_AGENTS", agents).set("FLIGHTDECK_AGENT", "mine");
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let listed = workspace.device.agents().list_runnable_agents().await?.agents;
        let find = |name: &str| listed.iter().find(|agent| agent.name == name);
        let mine = find("mine").expect("it is listed");
        ensure!(mine.usable && mine.default && mine.command.as_deref() == Some("/bin/sh --stdio"), "{mine:?}");
        let lost = find("lost").expect("it is listed");
        ensure!(!lost.usable && lost.problem.as_deref().is_some_and(|it| it.contains("no-such-program")), "{lost:?}");
        let gemini = find("gemini").expect("it is listed");
        ensure!(gemini.command.as_deref() == Some("/opt/gemini"), "{gemini:?}");
        ensure!(find("mock").is_some_and(|mock| mock.usable && !mock.default && mock.command.is_none()), "no mock");
    }
}
