//! The way to the threads through another convo: the verbs of [`Threads`] over its REST API.
//!
//! Whatever the server refuses comes back as the very [`Error`] it would be here, so that a
//! command ends the same way wherever the threads are.
//!
//! [`Threads`]: crate::threading::Threads

mod address;
mod exchange;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Secret;
use crate::domain::cursor::MAX_PAGE;
use crate::domain::{
    Conversation, Cursor, Listing, Message, Page, PhoneNumber, Place, Selector, SendPlan,
    SendRequest, Thread, Window,
};
use crate::error::{Code, Error};
use crate::threading::{Sent, no_conversation};
use crate::tls;
use address::{Address, fits_segment};
use exchange::Exchange;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a whole answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A send may take the server 30 s; the rest is for the way there and back.
const SEND_TIMEOUT: Duration = Duration::from_secs(40);
/// The header that carries the key of a send, both ways.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Another convo, reached over its REST API. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    interrupt: CancellationToken,
}

impl Client {
    /// Prepares to talk to the server at an address; nothing is sent yet.
    ///
    /// # Errors
    /// `not_configured` when the address is none, when texts would travel readable over a
    /// network, or when TLS cannot be set up.
    pub fn new(base_url: &str, token: Option<&Secret>) -> Result<Self, Error> {
        let address = Address::parse(base_url)?;
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
        }
        if !address.is_encrypted() {
            // Spares reading this machine's certificates, and works where there are none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            Error::new(
                Code::NotConfigured,
                format!("TLS cannot be set up: {}", exchange::cause(&error)),
            )
            .hint("install this system's CA certificates")
        })?;
        Ok(Self { http, address, interrupt: CancellationToken::new() })
    }

    /// The token that gives up waiting for a send, for a person's Ctrl-C. The server carries on.
    #[must_use]
    pub fn interrupt(&self) -> &CancellationToken {
        &self.interrupt
    }

    /// One page of the threads that a listing asks for, after a place in its order: as many as
    /// the server gives at once.
    ///
    /// # Errors
    /// What the server refuses; `server_unreachable` or `server_mismatch`.
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
        let exchange = Exchange::reading(self.address.as_str());
        let (headers, rows) = exchange.run(request).await?;
        let next = headers.get(LINK).map(|link| next_place(link).ok_or_else(|| exchange.garbled()));
        Ok(Page { rows, next: next.transpose()? })
    }

    /// The thread a person named.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_id`; `server_unreachable` or `server_mismatch`.
    pub async fn find(&self, selector: &Selector) -> Result<Conversation, Error> {
        let named = selector.as_str();
        if !fits_segment(named) {
            return Err(no_conversation());
        }
        self.read(&["conversations", named], &[("limit", "1".to_owned())]).await
    }

    /// Messages of a thread, in chronological order.
    ///
    /// # Errors
    /// `message_not_found` when the window begins at a message the thread does not have;
    /// `server_unreachable` or `server_mismatch`.
    pub async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
        history: bool,
    ) -> Result<Vec<Message>, Error> {
        let (mut all, mut window) = (Vec::new(), window);
        loop {
            let wanted = limit_of(window).min(MAX_PAGE);
            if wanted == 0 {
                return Ok(all);
            }
            let path = ["conversations", &conversation.to_string()];
            let mut query = window_query(window, wanted);
            if history {
                query.push(("history", true.to_string()));
            }
            let thread: Thread = self.read(&path, &query).await?;
            let page = thread.messages;
            let is_last = (page.len() as u64) < wanted;
            window = beyond(window, &page);
            match window {
                Window::Newest { .. } => drop(all.splice(0..0, page)),
                Window::Oldest { .. } => all.extend(page),
            }
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Sends a message. Without a key one is made, so that the send can be repeated safely.
    ///
    /// # Errors
    /// What the server refuses; `server_unreachable` when surely nothing was sent;
    /// `outcome_unknown`, with the key to repeat it under, when the answer was lost.
    pub async fn send(
        &self,
        to: &str,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Sent, Error> {
        let key = key.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let header = HeaderValue::from_str(&key)
            .map_err(|_| Error::invalid("the idempotency key has characters no header takes"))?;
        let post =
            self.post_send(to, request)?.timeout(SEND_TIMEOUT).header(IDEMPOTENCY_KEY, header);
        let exchange = Exchange::sending(self.address.as_str(), &key);
        let (headers, message) = tokio::select! {
            answer = exchange.run::<Message>(post) => answer?,
            () = self.interrupt.cancelled() => return Err(interrupted(&key)),
        };
        let told = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
        let idempotency_key = told.map_or_else(|| key.clone(), str::to_owned);
        Ok(Sent { message, idempotency_key })
    }

    /// Offers a message again whose outcome is unknown, beyond 24 hours only with `force`.
    ///
    /// # Errors
    /// What the server refuses; `server_unreachable` when surely nothing was sent;
    /// `outcome_unknown` when the answer was lost.
    pub async fn retry(&self, id: Uuid, force: bool) -> Result<Message, Error> {
        let url = self.address.join(&["messages", &id.to_string(), "retry"]);
        let mut post = self.http.post(url).timeout(SEND_TIMEOUT).json(&serde_json::json!({}));
        if force {
            post = post.query(&[("force", "true")]);
        }
        let exchange = Exchange::retrying(self.address.as_str(), id);
        tokio::select! {
            answer = exchange.run::<Message>(post) => answer.map(|(_, message)| message),
            () = self.interrupt.cancelled() => Err(Error::new(
                Code::OutcomeUnknown,
                "interrupted while the server was sending",
            )
            .hint("the server carries on; the message tells what became of it")
            .with(|extra| extra.message_id = Some(id))),
        }
    }

    /// Tells what [`send`](Self::send) would do, and does nothing.
    ///
    /// # Errors
    /// The same refusals as a send, before anything is stored; `server_unreachable` or
    /// `server_mismatch`.
    pub async fn plan(&self, to: &str, request: &SendRequest) -> Result<SendPlan, Error> {
        let post = self.post_send(to, request)?.query(&[("dry_run", "true")]);
        self.exchange(post).await
    }

    /// One message with its history.
    ///
    /// # Errors
    /// `message_not_found`; `server_unreachable` or `server_mismatch`.
    pub async fn message(&self, id: Uuid) -> Result<Message, Error> {
        self.read(&["messages", &id.to_string()], &[]).await
    }

    fn post_send(&self, to: &str, request: &SendRequest) -> Result<RequestBuilder, Error> {
        if !fits_segment(to) {
            return Err(match PhoneNumber::parse(to) {
                Err(error) => Error::number(&error),
                Ok(_) => Error::invalid("the recipient is no phone number"),
            });
        }
        let url = self.address.join(&["conversations", to, "send"]);
        Ok(self.http.request(Method::POST, url).json(request))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        self.exchange(self.http.get(self.address.join(path)).query(query)).await
    }

    async fn exchange<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let (_, answer) = Exchange::reading(self.address.as_str()).run(request).await?;
        Ok(answer)
    }
}

fn interrupted(key: &str) -> Error {
    Error::new(Code::OutcomeUnknown, "interrupted while the server was sending")
        .hint("the server carries on; repeat only with the same idempotency key")
        .with(|extra| extra.idempotency_key = Some(key.to_owned()))
}

fn default_headers(token: Option<&Secret>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                Error::new(Code::NotConfigured, "CONVO_API_TOKEN has characters no header takes")
                    .hint("copy it again from the server's settings, without a line break")
            })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}

/// The place in `<…?after=PLACE&…>; rel="next"`.
fn next_place(link: &HeaderValue) -> Option<Cursor> {
    let (target, _) = link.to_str().ok()?.strip_prefix('<')?.split_once('>')?;
    let (_, query) = target.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(name, value)| (name == "after").then(|| value.parse().ok())?)
}

fn limit_of(window: Window) -> u64 {
    match window {
        Window::Newest { limit, .. } | Window::Oldest { limit, .. } => limit,
    }
}

/// What remains of a window once a page of it was read.
fn beyond(window: Window, page: &[Message]) -> Window {
    let limit = limit_of(window).saturating_sub(page.len() as u64);
    match window {
        Window::Newest { before, .. } => {
            let first = page.first().map(|message| Place::Message(message.id));
            Window::Newest { before: first.or(before), limit }
        }
        Window::Oldest { after, .. } => {
            Window::Oldest { after: page.last().map(|message| message.id).or(after), limit }
        }
    }
}

/// A window as query parameters. The nil id stands for the place before the first message.
fn window_query(window: Window, limit: u64) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", limit.to_string())];
    match window {
        Window::Newest { before, .. } => {
            query.extend(before.map(|place| ("before", place.to_string())));
        }
        Window::Oldest { after, .. } => {
            query.push(("after", after.unwrap_or_default().to_string()));
        }
    }
    query
}
