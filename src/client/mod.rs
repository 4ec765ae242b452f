//! The client of the REST API, with the operations that a local database offers, too.
//!
//! An error of the server becomes the same [`Error`] that it would be locally, so that a command ends
//! the same way in both cases.

mod address;
mod batches;
mod connect_error;
mod contacts;
mod exchange;
mod export;
mod feed;
mod forget;
mod forward;
mod health;
mod link;
mod media;
mod posted_webhook;
mod search;
mod stats;
mod stored_events;
mod sync;
#[cfg(test)]
mod tests;
mod unread;

use std::str::FromStr;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::RequestBuilder;
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::conversation;
use crate::domain::cursor::MAX_PAGE;
use crate::domain::{
    Conversation, Cursor, Draft, IdempotencyKey, Listing, Message, MessagePage, Page, Selector,
    SendPlan, Sent, Thread, Window,
};
use crate::error::{Code, Error};
use crate::net;
use crate::secret::Secret;
use crate::tls;
use address::{ServerAddress, is_valid_segment};
use exchange::Exchange;
pub use export::ExportStream;
pub use health::Health;
pub use media::RemoteMedium;
pub use posted_webhook::{PostedWebhook, post_webhook};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The server takes up to 30 s for a send; the rest is for the network.
const SEND_TIMEOUT: Duration = Duration::from_secs(40);
/// The time for an answer about a server's health.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// The header with the idempotency key, in the request and in the response.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A client of a convo server. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    address: ServerAddress,
    interrupt: CancellationToken,
}

impl Client {
    /// Does not connect yet.
    ///
    /// # Errors
    /// `not_configured` if the address is invalid, if texts would be sent unencrypted over a network,
    /// or if TLS cannot be set up.
    pub fn new(base_url: &str, token: Option<&Secret>) -> Result<Self, Error> {
        Self::with_address(ServerAddress::parse(base_url)?, token)
    }

    /// A client that only asks whether a server works, which needs no token. It sends one, which
    /// lets the server say more, but not unencrypted over a network.
    ///
    /// # Errors
    /// `not_configured` if the address is invalid or TLS cannot be set up.
    pub fn for_health(base_url: &str, token: Option<&Secret>) -> Result<Self, Error> {
        let address = ServerAddress::parse_any(base_url)?;
        let token = token.filter(|_| address.is_private());
        Self::with_address(address, token)
    }

    fn with_address(address: ServerAddress, token: Option<&Secret>) -> Result<Self, Error> {
        tls::install();
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(READ_TIMEOUT)
            .user_agent(concat!("convo/", env!("CARGO_PKG_VERSION")))
            .default_headers(default_headers(token)?);
        if address.is_loopback() {
            builder = builder.no_proxy();
        } else {
            net::refuse_socks_proxy(address.as_str())?;
        }
        if !address.is_encrypted() {
            // Does not load the system's certificates, of which there may be none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            Error::new(Code::NotConfigured, format!("TLS cannot be set up: {}", net::cause(&error)))
                .hint("install the system's CA certificates")
        })?;
        Ok(Self { http, address, interrupt: CancellationToken::new() })
    }

    /// Cancelled on Ctrl-C, it stops waiting for a send, which the server completes.
    #[must_use]
    pub fn interrupt(&self) -> &CancellationToken {
        &self.interrupt
    }

    /// A page of a list, of at most `limit` rows after a position. It may have fewer rows than both
    /// `limit` and the remaining list.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`.
    pub async fn list(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, Error> {
        let mut query = listing.parameters();
        query.push(("limit", limit.min(MAX_PAGE).to_string()));
        query.extend(after.map(|cursor| ("after", cursor.to_string())));
        let request = self.http.get(self.address.join(&["conversations"])).query(&query);
        let exchange = Exchange::read(self.address.as_str());
        let (headers, rows) = exchange.run(request).await?;
        let next = next(&exchange, &headers, "after")?;
        Ok(Page { rows, next })
    }

    /// The conversation that a user named.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_id`; `server_unreachable` or `server_mismatch`.
    pub async fn find(&self, selector: &Selector) -> Result<Conversation, Error> {
        let name = selector.as_str();
        if !is_valid_segment(name) {
            return Err(conversation::not_found());
        }
        self.read(&["conversations", name], &[("limit", "1".to_owned())]).await
    }

    /// A page of the messages of a conversation within a window, in chronological order. It may have
    /// fewer rows than both `limit` and the window.
    ///
    /// # Errors
    /// `message_not_found` if the message at which the window begins is not in the conversation;
    /// `server_unreachable` or `server_mismatch`.
    pub async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
        history: bool,
    ) -> Result<MessagePage, Error> {
        let mut query = window.parameters();
        if history {
            query.push(("history", true.to_string()));
        }
        let url = self.address.join(&["conversations", &conversation.to_string()]);
        let exchange = Exchange::read(self.address.as_str());
        let (headers, thread) = exchange.run::<Thread>(self.http.get(url).query(&query)).await?;
        let next = next(&exchange, &headers, window.next_parameter())?;
        Ok(MessagePage { rows: thread.messages, next })
    }

    /// Sends a message. Without a key, a new one is used, so that the send can be repeated safely; an
    /// answer has its own.
    ///
    /// # Errors
    /// The server's; `server_unreachable` if certainly nothing was sent; `outcome_unknown`, with the
    /// key for a repeat, if the response was lost.
    pub async fn send(&self, draft: &Draft, key: Option<&IdempotencyKey>) -> Result<Sent, Error> {
        let key = draft.key(key)?.unwrap_or_else(IdempotencyKey::random);
        let post =
            self.post_send(draft).timeout(SEND_TIMEOUT).header(IDEMPOTENCY_KEY, key.as_str());
        let exchange = Exchange::send(self.address.as_str(), &key);
        let (headers, message) = tokio::select! {
            response = exchange.run::<Message>(post) => response?,
            () = self.interrupt.cancelled() => return Err(interrupted()
                .hint("the server completes the send; repeat it only with the same idempotency key")
                .with(|extra| extra.idempotency_key = Some(key.to_string()))),
        };
        let used = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
        let used = used.and_then(|value| IdempotencyKey::parse(value).ok());
        Ok(Sent { message, idempotency_key: used.unwrap_or(key) })
    }

    /// Retries a message of unknown outcome; after 24 hours only with `force`.
    ///
    /// # Errors
    /// The server's; `server_unreachable` if certainly nothing was sent; `outcome_unknown` if the
    /// response was lost.
    pub async fn retry(&self, id: Uuid, force: bool) -> Result<Message, Error> {
        let url = self.address.join(&["messages", &id.to_string(), "retry"]);
        let mut post = self.http.post(url).timeout(SEND_TIMEOUT).json(&serde_json::json!({}));
        if force {
            post = post.query(&[("force", "true")]);
        }
        let exchange = Exchange::retry(self.address.as_str(), id);
        tokio::select! {
            response = exchange.run::<Message>(post) => response.map(|(_, message)| message),
            () = self.interrupt.cancelled() => Err(interrupted()
                .hint("the server completes the send; the message's status will show the outcome")
                .with(|extra| extra.message_id = Some(id))),
        }
    }

    /// Cancels a scheduled message.
    ///
    /// # Errors
    /// The server's; `server_unreachable` if certainly nothing was cancelled; `outcome_unknown` if the
    /// response was lost.
    pub async fn cancel(&self, id: Uuid) -> Result<Message, Error> {
        let url = self.address.join(&["messages", &id.to_string(), "cancel"]);
        let post = self.http.post(url).timeout(SEND_TIMEOUT).json(&serde_json::json!({}));
        let exchange = Exchange::cancel(self.address.as_str(), id);
        exchange.run::<Message>(post).await.map(|(_, message)| message)
    }

    /// What [`send`](Self::send) would do, without doing it.
    ///
    /// # Errors
    /// Those of a send before anything is stored; `server_unreachable` or `server_mismatch`.
    pub async fn plan(&self, draft: &Draft) -> Result<SendPlan, Error> {
        let post = self.post_send(draft).query(&[("dry_run", "true")]);
        self.run(post).await
    }

    /// A message with its history.
    ///
    /// # Errors
    /// `message_not_found`; `server_unreachable` or `server_mismatch`.
    pub async fn message(&self, id: Uuid) -> Result<Message, Error> {
        self.read(&["messages", &id.to_string()], &[]).await
    }

    /// Whether the server is alive, or ready to serve.
    ///
    /// # Errors
    /// `server_unreachable` if it is not, or does not answer.
    pub async fn health(&self, ready: bool) -> Result<Health, Error> {
        let path = if ready { &["health", "ready"][..] } else { &["health"] };
        let request = self.http.get(self.address.join(path)).timeout(HEALTH_TIMEOUT);
        Exchange::read(self.address.as_str()).health(request).await
    }

    fn post_send(&self, draft: &Draft) -> RequestBuilder {
        let url = self.address.join(&["conversations", draft.to().as_str(), "send"]);
        self.http.post(url).json(draft.request())
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        self.run(self.http.get(self.address.join(path)).query(query)).await
    }

    async fn run<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let (_, value) = Exchange::read(self.address.as_str()).run(request).await?;
        Ok(value)
    }
}

/// The position in the `Link` header to the next page.
fn next<P: FromStr>(
    exchange: &Exchange<'_>,
    headers: &HeaderMap,
    parameter: &str,
) -> Result<Option<P>, Error> {
    let Some(link) = headers.get(LINK) else { return Ok(None) };
    let next = link::next(link, parameter).ok_or_else(|| exchange.unreadable_response())?;
    Ok(Some(next))
}

fn interrupted() -> Error {
    Error::new(Code::OutcomeUnknown, "interrupted while the server was sending")
}

fn default_headers(token: Option<&Secret>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                Error::new(
                    Code::NotConfigured,
                    "CONVO_API_TOKEN has characters that a header cannot contain",
                )
                .hint("copy it again from the server's settings, without a line break")
            })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}
