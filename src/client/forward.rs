//! Forwarding, as a server does it.

use std::time::Duration;

use super::Client;
use crate::domain::{Forward, ForwardReplay, ForwardTest, Timestamp};
use crate::error::Error;

/// The server itself waits 15 seconds for the receiver of a test event.
const TEST_TIMEOUT: Duration = Duration::from_secs(40);

impl Client {
    /// Where every name stands.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`, as for the other methods here.
    pub async fn forwards(&self) -> Result<Vec<Forward>, Error> {
        self.read(&["forwards"], &[]).await
    }

    /// Has a test event delivered.
    ///
    /// # Errors
    /// `forward_not_found`.
    pub async fn test_forward(&self, name: &str) -> Result<ForwardTest, Error> {
        let request = self.http.post(self.address.join(&["forwards", name, "test"]));
        self.run(request.timeout(TEST_TIMEOUT).json(&serde_json::json!({}))).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// `forward_not_found`.
    pub async fn enable_forward(&self, name: &str) -> Result<Forward, Error> {
        let request = self.http.post(self.address.join(&["forwards", name, "enable"]));
        self.run(request.json(&serde_json::json!({}))).await
    }

    /// Has events delivered again.
    ///
    /// # Errors
    /// `forward_not_found`.
    pub async fn replay_forward(
        &self,
        name: &str,
        since: Option<Timestamp>,
    ) -> Result<ForwardReplay, Error> {
        let query: Vec<_> = since.iter().map(|time| ("since", time.to_string())).collect();
        let request = self.http.post(self.address.join(&["forwards", name, "replay"]));
        self.run(request.query(&query).json(&serde_json::json!({}))).await
    }
}
