//! Reading a media file that a server keeps.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use reqwest::Response;
use uuid::Uuid;

use super::Client;
use super::exchange::Exchange;
use crate::error::Error;

/// How long a file may take: it is read by a person's command, which can be interrupted.
const FILE_TIME: Duration = Duration::from_secs(3_600);

/// A media file that a server sends.
#[derive(Debug)]
pub struct RemoteMedium {
    server: String,
    response: Response,
    /// Its media type.
    pub content_type: String,
}

impl Client {
    /// A media file of a message, by its number from 1.
    ///
    /// # Errors
    /// `message_not_found`, `media_not_found`, `media_unavailable`; the server's; `server_unreachable` or
    /// `server_mismatch`.
    pub async fn medium(&self, message: Uuid, number: usize) -> Result<RemoteMedium, Error> {
        let path = ["messages", &message.to_string(), "media", &number.to_string()];
        let request = self.http.get(self.address.join(&path)).timeout(FILE_TIME);
        let server = self.address.as_str().to_owned();
        let response = Exchange::read(&server).open(request).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|name| name.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        Ok(RemoteMedium { server, response, content_type })
    }
}

impl RemoteMedium {
    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// `server_unreachable` if the response broke off.
    pub async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        let part = self.response.chunk().await;
        part.map_err(|error| Exchange::read(&self.server).incomplete_response(&error))
    }
}
