//! The two things that are worth waiting for: a verdict, and a paired device. How a wait goes on through broken
//! connections is in `runtime/wait.rs`.

use uuid::Uuid;

use crate::generated::bridge::WaitForApprovalParameters;
use crate::generated::pairing::GetPairingResultParameters;
use crate::generated::types::{ApprovalStatus, ApprovalVerdict, PairingResult, PairingStatus};
use crate::runtime::wait::{Poll, reattach};
use crate::{Client, Result, Secret, WaitOptions};

impl Client {
    /// Waits until an approval is decided, expires or is withdrawn, through restarts of the server and broken
    /// connections. The question itself lives on the server: a caller that stops waiting loses nothing, and may wait
    /// again later. Dropping the future stops it.
    ///
    /// When the time given by [`WaitOptions::until`] is up, the verdict is `PENDING`.
    ///
    /// ```no_run
    /// # async fn example(client: flightdeck_sdk::Client, approval_id: uuid::Uuid) -> flightdeck_sdk::Result<()> {
    /// use std::time::Duration;
    ///
    /// use flightdeck_sdk::{WaitOptions, types::ApprovalStatus};
    ///
    /// let options = WaitOptions::default().until(Duration::from_secs(300));
    /// let verdict = client.wait_for_approval(&approval_id, options).await?;
    /// if verdict.status == ApprovalStatus::Approved {
    ///     println!("approved: {}", verdict.note.as_deref().unwrap_or("no note"));
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The approval does not exist, or the client may not see it; or the time was up while the server could not be
    /// reached.
    pub async fn wait_for_approval(&self, approval_id: &Uuid, options: WaitOptions) -> Result<ApprovalVerdict> {
        let shared = self.shared();
        let settled = |verdict: &ApprovalVerdict| verdict.status != ApprovalStatus::Pending;
        reattach(&*shared.clock, &*shared.random, options, settled, |poll: Poll| {
            let parameters = WaitForApprovalParameters::default().with_timeout(poll.seconds);
            poll.limit(self.bridge().wait_for_approval(approval_id, &parameters))
        })
        .await
    }

    /// Waits until a device has completed the pairing that gave this poll token, in the same way as
    /// [`wait_for_approval`](Self::wait_for_approval).
    ///
    /// # Errors
    /// The token is not, or no longer, valid; or the time was up while the server could not be reached.
    pub async fn wait_for_pairing(&self, poll_token: impl Into<Secret>, options: WaitOptions) -> Result<PairingResult> {
        let shared = self.shared();
        let poll_token = poll_token.into();
        let settled = |result: &PairingResult| result.status != PairingStatus::Pending;
        reattach(&*shared.clock, &*shared.random, options, settled, |poll: Poll| {
            let parameters = GetPairingResultParameters::default().with_timeout(poll.seconds);
            poll.limit(self.pairing().get_pairing_result(&parameters).bearer(&poll_token))
        })
        .await
    }
}
