//! Reading an export of a server as it comes.

use std::time::Duration;

use bytes::Bytes;

use super::exchange::Exchange;
use super::{Client, READ_TIMEOUT};
use crate::domain::ExportFilter;
use crate::error::Error;

/// How long a whole export may take. Only each part of it has to come in time.
const LONGEST_EXPORT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// An export that a server sends.
#[derive(Debug)]
pub struct ExportStream {
    response: reqwest::Response,
    server: String,
}

impl ExportStream {
    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// `server_unreachable` if it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let exchange = Exchange::read(&self.server);
        match tokio::time::timeout(READ_TIMEOUT, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| exchange.incomplete_response(&error)),
            Err(_) => Err(exchange.unreachable("did not respond in time")),
        }
    }
}

impl Client {
    /// An export of what a filter covers.
    ///
    /// # Errors
    /// `conversation_not_found`; `server_unreachable` or `server_mismatch`.
    pub async fn export(&self, filter: &ExportFilter) -> Result<ExportStream, Error> {
        let request = self.http.get(self.address.join(&["export"])).query(&filter.parameters());
        let request = request.timeout(LONGEST_EXPORT);
        let server = self.address.as_str().to_owned();
        let exchange = Exchange::read(&server);
        let opened = tokio::time::timeout(READ_TIMEOUT, exchange.open(request)).await;
        let response =
            opened.unwrap_or_else(|_| Err(exchange.unreachable("did not respond in time")))?;
        Ok(ExportStream { response, server })
    }
}
