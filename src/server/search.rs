//! `GET /messages`: searching messages.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use warp::reply::Response;

use super::list::{self, ListRequest};
use super::query::Query;
use super::state::ServerState;
use crate::domain::search::INCOMPLETE_BEFORE;
use crate::domain::{Page, Timestamp};
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
    let conversations = state.conversations().await?.clone();
    let request = ListRequest { limit, after, parameters: search.parameters() };
    let search = Arc::new(search);
    // Of the first page, which is read before the headers are sent.
    let incomplete = Arc::new(OnceLock::new());
    let first = Arc::clone(&incomplete);
    let mut response = list::respond(&client, &state, request, move |after, limit| {
        let (conversations, search) = (conversations.clone(), Arc::clone(&search));
        let first = Arc::clone(&first);
        async move {
            let page = conversations.search(&search, after, limit, PATIENCE).await?;
            first.get_or_init(|| page.incomplete_before);
            Ok(Page { rows: page.hits, next: page.next })
        }
    })
    .await?;
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
