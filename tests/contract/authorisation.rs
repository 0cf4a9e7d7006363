//! Who may do what, for every operation of the document: no list of operations is kept here, so none can be missed.
//!
//! Each operation's own example says what has to be there for it to succeed; then it is asked again with the wrong
//! credentials, or none.

use anyhow::{Context, Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::OperationInfo;
use flightdeck_server::config::Environment;
use flightdeck_tests::{Kind, TestOptions, for_each_database};

use serde_json::Value;
use uuid::Uuid;

use crate::examples::{Credential, Player};
use crate::support::without_request_id;

/// Operations that can't be called without a credential: those that are not open to all, nor, in development, to
/// clients on the same machine, which is where these tests run.
fn guarded(environment: Environment) -> impl Iterator<Item = &'static OperationInfo> {
    let open = move |operation: &OperationInfo| {
        operation.security.is_empty()
            || operation.security.iter().any(|schemes| schemes.is_empty())
            || (environment == Environment::Development && OPEN_TO_THIS_MACHINE.contains(&operation.id))
    };
    OPERATIONS.iter().filter(move |operation| !open(operation))
}

fn accepts(operation: &OperationInfo, scheme: &str) -> bool {
    operation.security.iter().any(|schemes| schemes.contains(&scheme))
}

/// In development a client on the same machine needs no credential for these.
const OPEN_TO_THIS_MACHINE: [&str; 2] = ["getMetrics", "decideMobileApproval"];

/// Whether the machine's own key is refused, although the operation accepts signatures.
fn wants_a_device(operation: &OperationInfo) -> bool {
    operation.errors.contains(&ErrorCode::DeviceRequired)
}

/// Runs a check for each operation on a server of its own, and names every one that fails.
async fn each<Check>(
    database: Kind,
    environment: Environment,
    operations: impl Iterator<Item = &'static OperationInfo>,
    check: Check,
) -> Result<()>
where
    Check: AsyncFn(&mut Player, &'static OperationInfo) -> Result<()>,
{
    let mut faults = Vec::new();
    for operation in operations {
        let options = TestOptions::new(database).set("FLIGHTDECK_AGENT_WORKSPACES", "*");
        let options = if environment == Environment::Production { options.production() } else { options };
        let mut player = Player::start(options).await?;
        if let Err(error) = check(&mut player, operation).await {
            faults.push(format!("{}: {error:?}", operation.id));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

for_each_database! {
    async fn nothing_that_is_guarded_works_without_a_credential(database) {
        for environment in [Environment::Development, Environment::Production] {
            each(database, environment, guarded(environment), async |player, operation| {
                let request = player.ready(operation, Credential::None).await?;
                player.server.send(&request).await?.refused("credential_missing")?;
                Ok(())
            })
            .await?;
        }
    }

    async fn a_made_up_token_opens_nothing(database) {
        let operations = guarded(Environment::Production);
        each(database, Environment::Production, operations, async |player, operation| {
            let request = player.ready(operation, Credential::None).await?;
            for token in ["made-up", "DEV", "", "null", "undefined"] {
                let answer = player.server.send(&request.clone().bearer(token)).await?;
                let code = answer.code();
                ensure!(
                    matches!(code.as_str(), "credential_missing" | "credential_invalid"),
                    "the token {token:?} was answered {} {code}",
                    answer.status
                );
            }
            Ok(())
        })
        .await?;
    }

    async fn a_revoked_device_can_do_nothing(database) {
        let operations = guarded(Environment::Production).filter(|operation| accepts(operation, "deviceToken"));
        each(database, Environment::Production, operations, async |player, operation| {
            player.ready(operation, Credential::None).await?;
            player.given("devices/revokeDevice").await?;
            let request = player.ready(operation, Credential::Scheme("deviceToken")).await?;
            player.server.send(&request).await?.refused("device_revoked")?;
            Ok(())
        })
        .await?;
    }

    /// The key that a device signs with goes with the device.
    async fn a_revoked_device_s_key_signs_nothing(database) {
        let operations = OPERATIONS.iter().filter(|operation| accepts(operation, "signature"));
        each(database, Environment::Production, operations, async |player, operation| {
            player.ready(operation, Credential::None).await?;
            player.given("devices/revokeDevice").await?;
            let request = player.ready(operation, Credential::Scheme("deviceSignature")).await?;
            player.server.send(&request).await?.refused("device_revoked")?;
            Ok(())
        })
        .await?;
    }

    /// What asks for a permission must not be able to give it.
    async fn a_machine_decides_nothing_and_a_device_s_key_does(database) {
        for environment in [Environment::Development, Environment::Production] {
            let operations = OPERATIONS.iter().filter(|operation| wants_a_device(operation));
            each(database, environment, operations, async |player, operation| {
                let request = player.ready(operation, Credential::Scheme("signature")).await?;
                player.server.send(&request).await?.refused("device_required")?;
                // Nothing was decided: the device's decision is the first one.
                let request = player.ready(operation, Credential::Scheme("deviceSignature")).await?;
                player.server.send(&request).await?.success()?;
                Ok(())
            })
            .await?;
        }
    }

    /// A client on the same machine may only say who it is, in development. Nobody may in production.
    async fn saying_one_s_name_is_enough_in_development_only(database) {
        let operations = || guarded(Environment::Production).filter(|operation| accepts(operation, "deviceId"));
        for environment in [Environment::Development, Environment::Production] {
            each(database, environment, operations(), async |player, operation| {
                let request = player.ready(operation, Credential::Scheme("deviceId")).await?;
                let answer = player.server.send(&request).await?;
                if environment == Environment::Production {
                    ensure!(answer.status == 401, "answered {}: {}", answer.status, answer.json());
                } else {
                    answer.success()?;
                }
                Ok(())
            })
            .await?;
        }
    }

    /// A proxy on this machine makes every client look as if it were on this machine.
    async fn saying_one_s_name_is_not_enough_through_a_proxy(database) {
        let operations = guarded(Environment::Production).filter(|operation| accepts(operation, "deviceId"));
        each(database, Environment::Development, operations, async |player, operation| {
            for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
                let request = player.ready(operation, Credential::Scheme("deviceId")).await?;
                let answer = player.server.send(&request.header(header, "203.0.113.7")).await?;
                ensure!(answer.status == 401, "with {header} it was answered {}", answer.status);
            }
            Ok(())
        })
        .await?;
    }

    /// What belongs to somebody else looks as if it were not there: the same answer, word for word.
    async fn not_yours_and_not_there_look_the_same(database) {
        let operations = guarded(Environment::Production).filter(|operation| operation.path.contains('{'));
        each(database, Environment::Production, operations, async |player, operation| {
            let mine = player.ready(operation, Credential::None).await?.target;
            let nobodys = mine.replace(id_in(operation, &mine)?, &Uuid::new_v4().to_string());
            player.given("a stranger").await?;
            // In production a bare device id is no credential at all.
            let schemes = operation.security.iter().flat_map(|schemes| *schemes);
            for scheme in schemes.filter(|scheme| **scheme != "deviceId") {
                let by_device = *scheme == "signature" && wants_a_device(operation);
                let scheme = if by_device { "deviceSignature" } else { *scheme };
                let not_yours = ask(player, operation, scheme, &mine).await?;
                let code = ErrorCode::ALL.iter().find(|code| not_yours["code"] == code.as_str());
                let hidden = code.is_some_and(|code| code.status() == 404);
                ensure!(hidden, "{scheme}: what is not yours was answered {not_yours}");

                let not_there = ask(player, operation, scheme, &nobodys).await?;
                ensure!(not_yours == not_there, "{scheme}: not yours is {not_yours}, not there is {not_there}");
            }
            Ok(())
        })
        .await?;
    }
}

/// The id that a path names.
fn id_in<'a>(operation: &OperationInfo, target: &'a str) -> Result<&'a str> {
    let at =
        operation.path.split('/').position(|segment| segment.starts_with('{')).context("the path has a parameter")?;
    target.split(['/', '?']).nth(at).context("the request has the parameter, too")
}

/// Asks as whoever the player is now, and gives the body without what differs from request to request.
async fn ask(player: &mut Player, operation: &OperationInfo, scheme: &'static str, target: &str) -> Result<Value> {
    let mut request = player.ready(operation, Credential::Scheme(scheme)).await?;
    request.target = target.to_owned();
    Ok(without_request_id(player.server.send(&request).await?.json()))
}

#[test]
fn what_decides_or_runs_agents_wants_a_device() -> Result<()> {
    let wanting: Vec<_> =
        OPERATIONS.iter().filter(|operation| wants_a_device(operation)).map(|operation| operation.id).collect();
    let deciding: Vec<_> =
        OPERATIONS.iter().filter(|operation| decides(operation) || runs_agents(operation)).map(|it| it.id).collect();
    ensure!(wanting == deciding, "these decide or run agents: {deciding:?}, and these want a device: {wanting:?}");
    Ok(())
}

fn decides(operation: &OperationInfo) -> bool {
    operation.id.starts_with("decide")
}

fn runs_agents(operation: &OperationInfo) -> bool {
    operation.path.starts_with("/api/chats") || operation.path == "/v1/agents" || operation.id == "createSession"
}

#[test]
fn every_operation_says_who_may_call_it() -> Result<()> {
    let open: Vec<_> =
        OPERATIONS.iter().filter(|operation| operation.security.is_empty()).map(|operation| operation.id).collect();
    // What anybody may ask has to be listed here, so that it is a decision.
    ensure!(open == ["getHealth", "getReadiness"], "these are open to all: {open:?}");
    Ok(())
}
