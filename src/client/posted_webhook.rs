//! Posting a webhook to a server on this machine, as Telnyx does.

use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use url::Url;

use super::connect_error;
use crate::error::{Code, Error};
use crate::net;
use crate::tls;

/// Longer than Telnyx waits, since somebody may be debugging the receiver.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of an answer is read.
const MOST_READ: usize = 64 << 10;

/// The answer to a webhook.
#[derive(Clone, Debug)]
pub struct PostedWebhook {
    /// Its HTTP status.
    pub status: StatusCode,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// Posts a webhook once. `timestamp` and `signature` are those of Telnyx's headers.
///
/// # Errors
/// `server_unreachable` if there is no answer.
pub async fn post_webhook(
    url: &Url,
    headers: [(&'static str, String); 2],
    body: Vec<u8>,
) -> Result<PostedWebhook, Error> {
    tls::install();
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .timeout(TIMEOUT)
        .user_agent("telnyx-webhooks")
        .no_proxy();
    if url.scheme() == "http" {
        // Does not load the system's certificates, of which there may be none.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|error| {
        Error::new(Code::NotConfigured, format!("TLS cannot be set up: {}", net::cause(&error)))
            .hint("install the system's CA certificates")
    })?;
    let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut response = request.body(body).send().await.map_err(|error| {
        let what = format!("{url} cannot be reached: {}", connect_error::reason(&error));
        Error::new(Code::ServerUnreachable, what)
            .hint("start the server, or name another URL with --to")
    })?;
    let (status, mut body) = (response.status(), Vec::new());
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MOST_READ - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MOST_READ {
            break;
        }
    }
    Ok(PostedWebhook { status, body })
}
