//! Conversations: the list, and one with its messages.

use std::sync::Arc;

use uuid::Uuid;
use warp::reply::Response;

use super::list::{self, ListRequest, add_next_link};
use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use super::stream::{self, Frame, PAGE};
use crate::domain::cursor::MAX_PAGE;
use crate::domain::{Conversation, Place, Selector, Window};
use crate::error::Error;

/// `GET /conversations`: all that match the filters, streamed; with `limit` a page of them.
pub(super) async fn list(
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let limit = query.limit()?;
    let after = query.cursor("after")?;
    let listing = query.listing()?;
    query.finish()?;
    let conversations = state.conversations().await?.clone();
    let request = ListRequest { limit, after, parameters: listing.parameters() };
    let listing = Arc::new(listing);
    list::respond(&client, &state, request, move |after, limit| {
        let (conversations, listing) = (conversations.clone(), Arc::clone(&listing));
        async move { conversations.list(&listing, after, limit).await }
    })
    .await
}

/// `GET /conversations/{id or number}`: a conversation with all its messages, streamed. With `limit`
/// only the newest ones, those before a message or a time, or those after a message.
pub(super) async fn show(
    named: Segment,
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.number()?);
    let mut query = Query::new(&query);
    let limit = query.limit()?;
    let before = query.place("before")?;
    let after = query.message_id("after")?;
    let history = query.flag("history")?;
    query.finish()?;
    let window = window(limit, before, after)?;
    let conversations = state.conversations().await?;
    let conversation = conversations.find(&selector).await?;
    match window {
        Some(window) => {
            let memory = state.answer_memory(&client).reserve().await?;
            let page = conversations.messages(conversation.id, window, history).await?;
            let frame = conversation_frame(&conversation)?;
            let mut response = stream::page(frame, memory, page.rows).await?;
            if let Some(next) = page.next {
                add_next_link(&mut response, &next_page(window.beyond(next), history));
            }
            Ok(response)
        }
        None => all_messages(&client, &state, &conversation, after, history).await,
    }
}

/// The requested window; `None` for everything after a message. The nil id stands for the position
/// before the first message.
fn window(
    limit: Option<u64>,
    before: Option<Place>,
    after: Option<Uuid>,
) -> Result<Option<Window>, Error> {
    match (limit, before, after) {
        (_, Some(_), Some(_)) => {
            Err(Error::invalid("before and after cannot be combined").hint("use one of them"))
        }
        (None, None, _) => Ok(None),
        (limit, before, None) => {
            Ok(Some(Window::Newest { before, limit: limit.unwrap_or(MAX_PAGE) }))
        }
        (Some(limit), None, Some(after)) => {
            Ok(Some(Window::Oldest { after: not_nil(after), limit }))
        }
    }
}

/// The query parameters of the page in a window.
fn next_page(window: Window, history: bool) -> Vec<(&'static str, String)> {
    let mut parameters = window.parameters();
    if history {
        parameters.push(("history", true.to_string()));
    }
    parameters
}

fn not_nil(id: Uuid) -> Option<Uuid> {
    Some(id).filter(|id| !id.is_nil())
}

/// A conversation whose messages are to follow.
fn conversation_frame(conversation: &Conversation) -> Result<Frame, Error> {
    let mut open = response::to_json(conversation)?;
    // Reopens the object: the messages are its last field.
    open.pop();
    open.extend_from_slice(br#","messages":["#);
    Ok(Frame { open, close: "]}".into() })
}

async fn all_messages(
    client: &Arc<str>,
    state: &ServerState,
    conversation: &Conversation,
    after: Option<Uuid>,
    history: bool,
) -> Result<Response, Error> {
    let id = conversation.id;
    let frame = conversation_frame(conversation)?;
    let conversations = state.conversations().await?.clone();
    let permit = state.stream_permit(client)?;
    let memory = state.answer_memory(client);
    stream::rows(frame, permit, memory, after.and_then(not_nil), move |after| {
        let conversations = conversations.clone();
        let window = Window::Oldest { after, limit: PAGE };
        async move {
            let page = conversations.messages(id, window, history).await?;
            Ok((page.rows, page.next))
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn the_next_page_has_the_same_filters() {
        let filters = "number=%2B1+555+123+4567&status=queued,unknown&reverse=true&opted_out=true\
                     &direction=outbound&since=2026-11-22T15:00:00%2B02:00";
        let listing = Query::new(filters).listing().expect("a listing");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let mut query = Query::new(&query.extend_pairs(listing.parameters()).finish());
        assert_eq!(query.listing().expect("a listing"), listing);
        query.finish().expect("nothing else");
    }

    #[test]
    fn the_window_follows_from_the_parameters() {
        let id = Some(Uuid::from_u128(7));
        let nil = Some(Uuid::nil());
        let before = id.map(Place::Message);
        let window =
            |limit, before, after| super::window(limit, before, after).map_err(|e| e.code());
        assert_eq!(window(None, None, id), Ok(None));
        assert_eq!(window(Some(5), before, None), Ok(Some(Window::Newest { before, limit: 5 })));
        assert_eq!(window(Some(5), None, id), Ok(Some(Window::Oldest { after: id, limit: 5 })));
        assert_eq!(window(Some(5), None, nil), Ok(Some(Window::Oldest { after: None, limit: 5 })));
        let largest = Window::Newest { before, limit: MAX_PAGE };
        assert_eq!(window(None, before, None), Ok(Some(largest)), "backwards only in pages");
        assert_eq!(window(Some(5), before, id), Err(Code::InvalidRequest));
    }
}
