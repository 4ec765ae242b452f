//! Cancelling a scheduled message, and what Telnyx's answer proves.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;

use super::answer::Rejection;
use super::client::{TelnyxClient, read_body};
use crate::net::cause;

/// What the answer to a request to cancel a message proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The message is cancelled.
    Cancelled,
    /// This request changed nothing: Telnyx refused it, or did not receive it.
    Rejected(Rejection),
    /// The message may be cancelled.
    Ambiguous,
}

impl TelnyxClient {
    /// Asks Telnyx to cancel a message, which it does up to a minute before the time of sending.
    pub async fn cancel(&self, telnyx_message_id: &str, timeout: Duration) -> CancelAnswer {
        let Some(url) = self.message_url(telnyx_message_id) else {
            return CancelAnswer::Ambiguous;
        };
        let request = self
            .http
            .delete(url)
            .header(AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .timeout(timeout);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return CancelAnswer::Rejected(Rejection::Unreachable { why: cause(&error) });
            }
            Err(_) => return CancelAnswer::Ambiguous,
        };
        let status = response.status();
        if status.is_success() {
            return CancelAnswer::Cancelled;
        }
        let headers = std::mem::take(response.headers_mut());
        Rejection::from_response(status, &headers, &read_body(response).await)
            .map_or(CancelAnswer::Ambiguous, CancelAnswer::Rejected)
    }
}
