//! A sync, as a server does it.

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

use super::Client;
use super::exchange::Exchange;
use crate::domain::{SyncNews, SyncProgress, SyncReport, SyncRequest};
use crate::error::Error;

/// How long a sync may take: ten days of messages at the rate that Telnyx allows.
const SYNC_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);
/// The longest silence: the server sends something every few seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest line.
const LONGEST_LINE: usize = 64 << 20;

impl Client {
    /// Has the server sync, and hears how far it is.
    ///
    /// # Errors
    /// The server's; `server_unreachable` if its answer breaks off: it may go on all the same.
    pub async fn sync(
        &self,
        request: SyncRequest,
        listener: &(dyn Fn(SyncProgress) + Send + Sync),
    ) -> Result<SyncReport, Error> {
        let SyncRequest { since, fetch, dry_run } = request;
        let mut query: Vec<_> = since.iter().map(|time| ("since", time.to_string())).collect();
        query.extend((!fetch).then(|| ("no_fetch", true.to_string())));
        query.extend(dry_run.then(|| ("dry_run", true.to_string())));
        let post = self.http.post(self.address.join(&["sync"])).query(&query);
        let post = post.timeout(SYNC_TIMEOUT).json(&serde_json::json!({}));
        let exchange = Exchange::read(self.address.as_str());
        let response = exchange.open(post).await?;
        follow(&exchange, response, listener).await
    }
}

/// Reads line by line up to the report.
async fn follow(
    exchange: &Exchange<'_>,
    mut response: Response,
    listener: &(dyn Fn(SyncProgress) + Send + Sync),
) -> Result<SyncReport, Error> {
    let broken_off = || exchange.unreachable("broke off its answer; the next sync goes on");
    let mut text = Vec::new();
    loop {
        let chunk = timeout(SILENCE, response.chunk()).await.map_err(|_| broken_off())?;
        let chunk = chunk.map_err(|_| broken_off())?.ok_or_else(broken_off)?;
        text.extend_from_slice(&chunk);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&line).map_err(|_| exchange.unreadable_response())? {
                SyncNews::Progress(progress) => listener(progress),
                SyncNews::Report(report) => return Ok(report),
                SyncNews::Error(error) => return Err(error.into()),
            }
        }
        if text.len() > LONGEST_LINE {
            return Err(exchange.unreadable_response());
        }
    }
}
