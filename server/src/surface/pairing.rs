//! The `pairing` surface.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::pairing::{GetPairingResultParameters, PairingApi};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context};

use crate::auth::{Authority, Limit, bearer};
use crate::secret::Secret;
use crate::service::claim;
use crate::service::pairing::{KnownDevice, Pairing};

pub(super) struct PairingSurface {
    pub(super) authority: Authority,
    pub(super) pairing: Pairing,
}

impl PairingSurface {
    /// Counts by network address: whoever guesses tokens has no other name.
    fn count(&self, context: &Context) -> Result<(), ApiError> {
        let address = context.peer().map_or(0, |peer| match peer.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
            // One subscriber has a whole /64.
            std::net::IpAddr::V6(ip) => u128::from(ip) >> 64 << 64,
        });
        self.authority.limits().count(Limit::Pairing, address)
    }
}

impl PairingApi for PairingSurface {
    async fn start_pairing(
        &self,
        context: &Context,
        body: types::PairingStart,
    ) -> Result<types::PairingStarted, ApiError> {
        self.count(context)?;
        let signed = match context.header("X-Signature") {
            Some(_) => Some(self.authority.signed(context, None).await?),
            None => None,
        };
        let workspace_id = signed.as_ref().and_then(|signed| signed.workspace_id);
        let caller = workspace_id.map_or_else(String::new, |id| id.to_string());
        let claim = claim(context, "startPairing", &caller)?;
        self.pairing.start(body, workspace_id, claim, signed.map(|signed| signed.nonce)).await
    }

    async fn complete_pairing(
        &self,
        context: &Context,
        body: types::PairingCompletion,
    ) -> Result<types::PairingCompleted, ApiError> {
        self.count(context)?;
        let device = match (self.authority.bearer_device(context).await?, bearer(context)?) {
            (Some(row), Some(token)) => Some(KnownDevice { id: row.id, token: Secret::new(token) }),
            _ => None,
        };
        let caller = device.as_ref().map_or_else(String::new, |device| device.id.to_string());
        let claim = claim(context, "completePairing", &caller)?;
        self.pairing.complete(body, device, claim).await
    }

    async fn get_pairing_result(
        &self,
        context: &Context,
        parameters: GetPairingResultParameters,
    ) -> Result<types::PairingResult, ApiError> {
        let token = bearer(context)?.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?;
        let result = self.pairing.result(token, parameters.timeout).await;
        // Who holds a token may ask again and again; who guesses is counted.
        if result.as_ref().is_err_and(|error| error.code == ErrorCode::CredentialInvalid) {
            self.count(context)?;
        }
        result
    }
}
