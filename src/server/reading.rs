//! The routes that only read: threads, one thread, one message, readiness.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, LINK};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use warp::reply::Response;

use super::path::Segment;
use super::query::Query;
use super::state::State;
use super::stream::{self, Frame, PAGE};
use super::{openapi, reply};
use crate::domain::{Conversation, Cursor, Listing, Place, Selector, Thread, Window};
use crate::error::{Code, Error};
use crate::threading::Check;

/// Longest wait for each check of readiness; all are made at once.
const READY_TIME: Duration = Duration::from_secs(2);

/// Whether this process can do its work.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Readiness {
    status: &'static str,
    /// What must hold, each with whether it does.
    checks: Vec<Check>,
}

impl Readiness {
    /// Ready is who passes every check.
    pub(super) fn of(checks: Vec<Check>) -> Self {
        let is_ready = checks.iter().all(|check| check.ok);
        Self { status: if is_ready { "ready" } else { "not ready" }, checks }
    }

    fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// `GET /openapi.json`: what this server can be asked.
pub(super) fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::document);
    reply::json_bytes(StatusCode::OK, DOCUMENT.as_bytes())
}

/// `GET /health`: this process answers.
pub(super) fn health() -> Response {
    reply::json_bytes(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// `GET /health/ready`: this process can do its work, check by check.
pub(super) async fn ready(state: Arc<State>) -> Result<Response, Error> {
    let mut checks = match state.opened() {
        Some(threads) => threads.ready(READY_TIME).await,
        None => vec![Check::new("database", false, "the server waits for its database")],
    };
    let has_key = !state.verifier.is_empty();
    checks.push(Check::new("public_key", has_key, "TELNYX_PUBLIC_KEY is not set"));
    let stays = !state.closing.load(Ordering::Relaxed);
    checks.push(Check::new("running", stays, "the server is about to stop"));
    let readiness = Readiness::of(checks);
    let status = match readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    reply::json(status, &readiness)
}

/// `GET /conversations`: the threads that the parameters ask for, streamed, or with `limit` one
/// page.
pub(super) async fn conversations(state: Arc<State>, query: String) -> Result<Response, Error> {
    let mut query = Query::parse(&query);
    let (limit, after) = (query.limit()?, query.cursor("after")?);
    let listing = query.listing()?;
    query.finish()?;
    let Some(limit) = limit else { return all_conversations(state, listing, after).await };
    let page = state.threads().await?.list(&listing, after, limit).await?;
    let mut response = reply::json(StatusCode::OK, &page.rows)?;
    if let Some(link) = page.next.and_then(|next| next_link(&listing, limit, next)) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

async fn all_conversations(
    state: Arc<State>,
    listing: Listing,
    after: Option<Cursor>,
) -> Result<Response, Error> {
    let frame = Frame { open: b"[".to_vec(), close: "]" };
    let (threads, permit) = (state.threads().await?.clone(), state.listing()?);
    let listing = Arc::new(listing);
    stream::rows(frame, permit, after, move |after| {
        let (threads, listing) = (threads.clone(), Arc::clone(&listing));
        async move {
            let page = threads.list(&listing, after, PAGE).await?;
            Ok((page.rows, page.next))
        }
    })
    .await
}

/// The link to the next page of the same listing.
fn next_link(listing: &Listing, limit: u64, after: Cursor) -> Option<HeaderValue> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(listing.parameters())
        .append_pair("limit", &limit.to_string())
        .append_pair("after", &after.to_string())
        .finish();
    HeaderValue::try_from(format!("</conversations?{query}>; rel=\"next\"")).ok()
}

/// `GET /conversations/{id or number}`: the thread with all its messages, streamed, or with
/// `limit` the newest ones, those before a message or a time, or those after a message; with `history` each with
/// what was reported about it.
pub(super) async fn conversation(
    named: Segment,
    state: Arc<State>,
    query: String,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.decode()?);
    let mut query = Query::parse(&query);
    let limit = query.limit()?;
    let (before, after) = (query.place("before")?, query.id("after")?);
    let history = query.flag("history")?;
    query.finish()?;
    let window = choose(limit, before, after)?;
    let threads = state.threads().await?;
    let conversation = threads.find(&selector).await?;
    match window {
        Some(window) => {
            let messages = threads.messages(conversation.id, window, history).await?;
            reply::json(StatusCode::OK, &Thread { conversation, messages })
        }
        None => all_messages(&state, &conversation, after, history).await,
    }
}

/// The window that the parameters ask for; `None` for everything from a place on. The nil id
/// stands for the place before the first message.
fn choose(
    limit: Option<u64>,
    before: Option<Place>,
    after: Option<Uuid>,
) -> Result<Option<Window>, Error> {
    match (limit, before, after) {
        (_, Some(_), Some(_)) => {
            Err(Error::invalid("before and after exclude each other").hint("give one of them"))
        }
        (None, Some(_), None) => {
            Err(Error::invalid("before needs a limit").hint("add one, for example limit=100"))
        }
        (None, None, _) => Ok(None),
        (Some(limit), before, None) => Ok(Some(Window::Newest { before, limit })),
        (Some(limit), None, Some(after)) => {
            Ok(Some(Window::Oldest { after: not_nil(after), limit }))
        }
    }
}

fn not_nil(id: Uuid) -> Option<Uuid> {
    Some(id).filter(|id| !id.is_nil())
}

async fn all_messages(
    state: &State,
    conversation: &Conversation,
    after: Option<Uuid>,
    history: bool,
) -> Result<Response, Error> {
    let id = conversation.id;
    let mut open = reply::to_json(conversation)?;
    // The messages are the last field of the thread's object.
    open.pop();
    open.extend_from_slice(br#","messages":["#);
    let (threads, permit) = (state.threads().await?.clone(), state.listing()?);
    let frame = Frame { open, close: "]}" };
    stream::rows(frame, permit, after.and_then(not_nil), move |after| {
        let threads = threads.clone();
        let window = Window::Oldest { after, limit: PAGE };
        async move {
            let messages = threads.messages(id, window, history).await?;
            let is_full = messages.len() as u64 >= PAGE;
            let next = messages.last().filter(|_| is_full).map(|message| message.id);
            Ok((messages, next))
        }
    })
    .await
}

/// `GET /messages/{id}`: one message with its history.
pub(super) async fn message(named: Segment, state: Arc<State>) -> Result<Response, Error> {
    let id = message_id(&named)?;
    reply::json(StatusCode::OK, &state.threads().await?.message(id).await?)
}

/// The message that a path names.
pub(super) fn message_id(named: &Segment) -> Result<Uuid, Error> {
    let no_message = |_| Error::new(Code::MessageNotFound, "Message not found");
    Uuid::try_parse(&named.decode()?).map_err(no_message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn the_next_page_begins_after_the_last_row() {
        let at = Timestamp::from_micros(1_500);
        let cursor = Cursor { at, id: Uuid::from_u128(7), until: None };
        let link = next_link(&Listing::default(), 2, cursor).expect("a header");
        let expected = "</conversations?limit=2&after=1500_00000000000000000000000000000007>; \
                        rel=\"next\"";
        assert_eq!(link.to_str().ok(), Some(expected));
    }

    #[test]
    fn the_next_page_is_of_the_same_listing() {
        let asked = "number=%2B1+555+123+4567&status=queued,unknown&reverse=true&opted_out=true\
                     &direction=outbound&since=2026-11-22T15:00:00%2B02:00";
        let listing = Query::parse(asked).listing().expect("a listing");
        let at = Timestamp::from_micros(1_500);
        let cursor = Cursor { at, id: Uuid::from_u128(7), until: Some(at) };
        let link = next_link(&listing, 2, cursor).expect("a header");
        let link = link.to_str().expect("a text");
        let query = link.split(['?', '>']).nth(1).expect("a query");
        let mut query = Query::parse(query);
        assert_eq!(query.listing().expect("a listing"), listing);
        assert_eq!(query.cursor("after").expect("a cursor"), Some(cursor));
        assert_eq!(query.limit().expect("a limit"), Some(2));
        query.finish().expect("nothing else");
    }

    #[test]
    fn parameters_choose_the_window() {
        let id = Some(Uuid::from_u128(7));
        let nil = Some(Uuid::nil());
        let before = id.map(Place::Message);
        let window = |limit, before, after| choose(limit, before, after).map_err(|e| e.code());
        assert_eq!(window(None, None, id), Ok(None));
        assert_eq!(window(Some(5), before, None), Ok(Some(Window::Newest { before, limit: 5 })));
        assert_eq!(window(Some(5), None, id), Ok(Some(Window::Oldest { after: id, limit: 5 })));
        assert_eq!(window(Some(5), None, nil), Ok(Some(Window::Oldest { after: None, limit: 5 })));
        assert_eq!(window(None, before, None), Err(Code::InvalidRequest));
        assert_eq!(window(Some(5), before, id), Err(Code::InvalidRequest));
    }
}
