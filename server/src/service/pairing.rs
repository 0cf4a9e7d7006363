//! How a machine and a person's device come to trust each other.
//!
//! The machine starts, and shows a token that works once. The device completes with it. Each gets a signing key of its
//! own, so that revoking the device ends nothing else. The machine learns its key by a poll that only it can make.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::{
    PairingCompleted, PairingCompletion, PairingResult, PairingStart, PairingStarted, PairingStatus, Platform,
};
use flightdeck_api::support::{ApiError, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use super::idempotency;
use super::patience::Patience;
use crate::auth::{Keys, Seal, Token, hash, match_code};
use crate::clock::Clock;
use crate::log::{Log, NonceGuard, Work, pairing_stream, workspace_stream};
use crate::secret::Secret;
use crate::store::Store;
use crate::store::devices::{self, DeviceRow};
use crate::store::events::NewEvent;
use crate::store::idempotency::Claim;
use crate::store::pairings::{self, PairingRow};
use crate::store::workspaces::{self, Scope, WorkspaceRow};

/// How long a pairing's tokens work, in milliseconds.
const LIFETIME: i64 = 10 * 60 * 1_000;

/// A device that is paired already, and the token it showed.
#[derive(Debug, Clone)]
pub struct KnownDevice {
    pub id: Uuid,
    pub token: Secret,
}

/// Pairs machines and devices.
#[derive(Clone)]
pub struct Pairing {
    store: Store,
    log: Log,
    keys: Arc<Keys>,
    seal: Seal,
    clock: Arc<dyn Clock>,
    patience: Patience,
}

impl Pairing {
    #[must_use]
    pub const fn new(
        store: Store,
        log: Log,
        keys: Arc<Keys>,
        seal: Seal,
        clock: Arc<dyn Clock>,
        patience: Patience,
    ) -> Self {
        Self { store, log, keys, seal, clock, patience }
    }

    /// Starts a pairing. With `workspace_id`, whose machine asks, it adds a device to that workspace.
    ///
    /// # Errors
    /// `idempotency_key_reused`.
    pub async fn start(
        &self,
        request: PairingStart,
        workspace_id: Option<Uuid>,
        claim: Option<Claim>,
        nonce: Option<NonceGuard>,
    ) -> Result<PairingStarted, ApiError> {
        let now = self.clock.now();
        let this = self.clone();
        self.log
            .transact(nonce, move |work: &mut Work<'_>| {
                let (this, request, claim) = (this.clone(), request.clone(), claim.clone());
                Box::pin(async move {
                    if let Some(answer) = this.known(work, claim.as_ref()).await? {
                        return Ok(answer);
                    }
                    let (pair_token, poll_token) = (Token::Pair.random(), Token::Poll.random());
                    let row = PairingRow {
                        id: Uuid::now_v7(),
                        token_hash: hash(pair_token.expose()),
                        poll_hash: hash(poll_token.expose()),
                        match_code: match_code(),
                        machine_id: request.machine_id,
                        workspace_fingerprint: request.workspace_fingerprint,
                        display_name: request.display_name,
                        adds_device: workspace_id.is_some(),
                        workspace_id,
                        device_id: None,
                        created_at: now,
                        expires_at: now + LIFETIME,
                        completed_at: None,
                    };
                    let answer = PairingStarted {
                        pair_token: pair_token.expose().to_owned(),
                        expires_at: Timestamp(row.expires_at),
                        match_code: row.match_code.clone(),
                        poll_token: poll_token.expose().to_owned(),
                    };
                    pairings::insert(work.tx().connection(), row).await?;
                    this.remember(work, claim.as_ref(), &answer, now).await?;
                    Ok::<_, ApiError>(answer)
                })
            })
            .await
    }

    /// Completes a pairing for a new device, or for `device`, which is known by its token.
    ///
    /// # Errors
    /// `pair_token_invalid`, `idempotency_key_reused`.
    pub async fn complete(
        &self,
        request: PairingCompletion,
        device: Option<KnownDevice>,
        claim: Option<Claim>,
    ) -> Result<PairingCompleted, ApiError> {
        let now = self.clock.now();
        let this = self.clone();
        self.log
            .transact(None, move |work: &mut Work<'_>| {
                let (this, request, device, claim) = (this.clone(), request.clone(), device.clone(), claim.clone());
                Box::pin(async move {
                    if let Some(answer) = this.known(work, claim.as_ref()).await? {
                        return Ok(answer);
                    }
                    let answer = this.admit(work, request, device, now).await?;
                    this.remember(work, claim.as_ref(), &answer, now).await?;
                    Ok::<_, ApiError>(answer)
                })
            })
            .await
    }

    async fn admit(
        &self,
        work: &mut Work<'_>,
        request: PairingCompletion,
        device: Option<KnownDevice>,
        now: i64,
    ) -> Result<PairingCompleted, ApiError> {
        let refused = || ApiError::new(ErrorCode::PairTokenInvalid);
        let connection = work.tx().connection();
        let pairing = pairings::find_by_token(connection, &hash(&request.pair_token)).await?.ok_or_else(refused)?;
        if pairing.completed_at.is_some() || pairing.expires_at <= now {
            return Err(refused());
        }
        let (device_id, token) = match device {
            // The token it has goes on working; giving out a second would leave two to revoke.
            Some(device) => {
                let row = devices::find(connection, device.id).await?;
                if row.is_none_or(|row| row.revoked_at.is_some()) {
                    return Err(ErrorCode::DeviceRevoked.into());
                }
                (device.id, device.token)
            }
            None => self.new_device(work, &request, now).await?,
        };
        let workspace_id = match pairing.workspace_id {
            Some(workspace_id) => workspace_id,
            None => self.new_workspace(work, &pairing, device_id, now).await?,
        };
        if !pairings::complete(connection, pairing.id, workspace_id, device_id, now).await? {
            return Err(refused());
        }
        workspaces::admit(connection, workspace_id, device_id, now).await?;
        let (secret, key) = self.keys.make(workspace_id, Some(device_id), now);
        workspaces::insert_key(connection, key).await?;

        let event = |stream: String, kind: &str| NewEvent {
            stream,
            id: Uuid::now_v7(),
            kind: kind.to_owned(),
            created_at: now,
            happened_at: None,
            payload: json!({ "device_id": device_id, "platform": request.platform.as_str() }).to_string(),
        };
        work.append(vec![
            event(workspace_stream(workspace_id), "device.paired"),
            event(pairing_stream(pairing.id), "pairing.completed"),
        ])
        .await?;
        let display_name = workspaces::find(connection, workspace_id, &Scope::All)
            .await?
            .map_or(pairing.display_name, |workspace| workspace.display_name);
        Ok(PairingCompleted {
            device_id,
            bridge_secret: secret.expose().to_owned(),
            workspace_id,
            device_token: token.expose().to_owned(),
            match_code: pairing.match_code,
            display_name,
        })
    }

    async fn new_device(
        &self,
        work: &Work<'_>,
        request: &PairingCompletion,
        now: i64,
    ) -> Result<(Uuid, Secret), ApiError> {
        let token = Token::Device.random();
        let row = DeviceRow {
            id: Uuid::now_v7(),
            user_id: None,
            platform: request.platform.as_str().to_owned(),
            name: request.device_name.clone(),
            push_token: Some(request.push_token.clone()).filter(|token| !token.is_empty()),
            token_hash: hash(token.expose()),
            created_at: now,
            updated_at: now,
            last_seen_at: None,
            revoked_at: None,
        };
        let id = row.id;
        devices::insert(work.tx().connection(), row).await?;
        Ok((id, token))
    }

    async fn new_workspace(
        &self,
        work: &Work<'_>,
        pairing: &PairingRow,
        device_id: Uuid,
        now: i64,
    ) -> Result<Uuid, ApiError> {
        let row = WorkspaceRow {
            id: Uuid::now_v7(),
            device_id: Some(device_id),
            machine_id: pairing.machine_id.clone(),
            display_name: pairing.display_name.clone(),
            project_fingerprint: pairing.workspace_fingerprint.clone(),
            created_at: now,
            updated_at: now,
        };
        let id = row.id;
        workspaces::insert(work.tx().connection(), row).await?;
        let (_, key) = self.keys.make(id, None, now);
        workspaces::insert_key(work.tx().connection(), key).await?;
        Ok(id)
    }

    /// The outcome for the machine that started; waits up to `timeout_seconds` for it.
    ///
    /// # Errors
    /// `credential_invalid`, if nobody was given this poll token.
    pub async fn result(&self, poll_token: &str, timeout_seconds: u64) -> Result<PairingResult, ApiError> {
        let find = || async {
            let row = pairings::find_by_poll(self.store.reader(), &hash(poll_token)).await?;
            row.ok_or_else(|| ApiError::new(ErrorCode::CredentialInvalid))
        };
        let deadline = self.patience.of(timeout_seconds);
        let mut pairing = find().await?;
        // Watch first, then look: nothing falls in between.
        let mut watching = self.log.watch(&pairing_stream(pairing.id));
        loop {
            pairing = find().await?;
            let now = self.clock.now();
            if pairing.expires_at <= now {
                return Ok(outcome(PairingStatus::Expired));
            }
            if pairing.completed_at.is_some() {
                return self.completed(&pairing).await;
            }
            if deadline.is_over() {
                return Ok(outcome(PairingStatus::Pending));
            }
            tokio::select! {
                () = watching.appended() => {}
                () = deadline.passed() => {}
                () = self.clock.sleep_until(pairing.expires_at) => {}
            }
        }
    }

    async fn completed(&self, pairing: &PairingRow) -> Result<PairingResult, ApiError> {
        let (Some(workspace_id), Some(device_id)) = (pairing.workspace_id, pairing.device_id) else {
            return Ok(outcome(PairingStatus::Pending));
        };
        let device = devices::find(self.store.reader(), device_id).await?;
        let bridge_secret = if pairing.adds_device {
            None
        } else {
            let keys = self.keys.of(workspace_id).await?;
            keys.iter().find(|key| key.device_id.is_none()).map(|key| key.secret.expose().to_owned())
        };
        Ok(PairingResult {
            workspace_id: Some(workspace_id),
            bridge_secret,
            device_id: Some(device_id),
            platform: device.as_ref().and_then(|device| device.platform.parse::<Platform>().ok()),
            device_name: device.and_then(|device| device.name),
            ..outcome(PairingStatus::Completed)
        })
    }

    /// Answers of pairings hold secrets, so what is remembered of them is sealed.
    async fn known<T: DeserializeOwned>(&self, work: &Work<'_>, claim: Option<&Claim>) -> Result<Option<T>, ApiError> {
        let Some(sealed) = idempotency::known(work, claim).await? else { return Ok(None) };
        let holder = claim.map_or("", |claim| claim.key.as_str());
        let opened = self.seal.unseal(&sealed, holder.as_bytes());
        let answer = opened.and_then(|text| serde_json::from_str(text.expose()).ok());
        answer.map(Some).ok_or_else(|| {
            tracing::error!("a remembered answer does not open: the seal key has changed");
            ErrorCode::Internal.into()
        })
    }

    async fn remember<T: Serialize>(
        &self,
        work: &Work<'_>,
        claim: Option<&Claim>,
        answer: &T,
        now: i64,
    ) -> Result<(), ApiError> {
        let Some(claim) = claim else { return Ok(()) };
        let text = Secret::new(serde_json::to_string(answer).map_err(|_| ApiError::new(ErrorCode::Internal))?);
        let sealed = self.seal.seal(&text, claim.key.as_bytes());
        idempotency::remember(work, Some(claim), &sealed, now).await
    }
}

const fn outcome(status: PairingStatus) -> PairingResult {
    PairingResult {
        status,
        workspace_id: None,
        bridge_secret: None,
        device_id: None,
        device_name: None,
        platform: None,
    }
}
