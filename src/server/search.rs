//! `GET /messages`: searching messages.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use warp::reply::Response;

use super::conversations::{add_link_after, list_frame};
use super::query::Query;
use super::state::ServerState;
use super::stream::{self, PAGE};
use crate::domain::search::INCOMPLETE_BEFORE;
use crate::domain::{Cursor, MessageSearch, Timestamp};
use crate::error::Error;

/// How long a search waits for the index, which is otherwise written in the background.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// All messages that match, streamed; with `limit` a page of them.
pub(super) async fn list(
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let limit = query.limit()?;
    let after = query.cursor("after")?;
    let search = query.search()?;
    query.finish()?;
    search.check()?;
    let Some(limit) = limit else { return all(&client, &state, search, after).await };
    let conversations = state.conversations().await?;
    let memory = state.answer_memory(&client).reserve().await?;
    let page = conversations.search(&search, after, limit, PATIENCE).await?;
    let mut response = stream::page(list_frame(), memory, page.hits).await?;
    add_incomplete(&mut response, page.incomplete_before);
    if let Some(next) = page.next {
        add_link_after(&mut response, search.parameters(), limit, &next);
    }
    Ok(response)
}

async fn all(
    client: &Arc<str>,
    state: &ServerState,
    search: MessageSearch,
    after: Option<Cursor>,
) -> Result<Response, Error> {
    let conversations = state.conversations().await?.clone();
    let permit = state.stream_permit(client)?;
    let memory = state.answer_memory(client);
    let search = Arc::new(search);
    // Of the first page, which is read before the headers are sent.
    let incomplete = Arc::new(OnceLock::new());
    let first = Arc::clone(&incomplete);
    let fetch = move |after| {
        let (conversations, search) = (conversations.clone(), Arc::clone(&search));
        let first = Arc::clone(&first);
        async move {
            let page = conversations.search(&search, after, PAGE, PATIENCE).await?;
            first.get_or_init(|| page.incomplete_before);
            Ok((page.hits, page.next))
        }
    };
    let mut response = stream::rows(list_frame(), permit, memory, after, fetch).await?;
    add_incomplete(&mut response, incomplete.get().copied().flatten());
    Ok(response)
}

/// Says up to when the index does not have all messages.
fn add_incomplete(response: &mut Response, before: Option<Timestamp>) {
    let value = before.and_then(|before| HeaderValue::try_from(before.to_string()).ok());
    if let Some(value) = value {
        response.headers_mut().insert(HeaderName::from_static(INCOMPLETE_BEFORE), value);
    }
}
