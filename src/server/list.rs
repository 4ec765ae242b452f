//! Lists: all rows, streamed, or a page of them with a link to the next one.

use std::sync::Arc;

use http::header::{HeaderValue, LINK};
use serde::Serialize;
use warp::reply::Response;

use super::state::ServerState;
use super::stream::{self, Frame, PAGE};
use crate::domain::Page;
use crate::error::Error;

/// What is asked of a list.
#[derive(Debug)]
pub(super) struct ListRequest<P> {
    /// The size of the page; without it, all rows are asked for.
    pub(super) limit: Option<u64>,
    /// The end of the previous page.
    pub(super) after: Option<P>,
    /// The filters, as query parameters for the link to the next page.
    pub(super) parameters: Vec<(&'static str, String)>,
}

/// Responds with a list. `read` reads so many rows after a position.
pub(super) async fn respond<T, P, F, R>(
    client: &Arc<str>,
    state: &ServerState,
    request: ListRequest<P>,
    read: F,
) -> Result<Response, Error>
where
    T: Serialize + Send + 'static,
    P: ToString + Send + 'static,
    F: Fn(Option<P>, u64) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Page<T, P>, Error>> + Send + 'static,
{
    let ListRequest { limit, after, mut parameters } = request;
    let Some(limit) = limit else {
        let (permit, memory) = (state.stream_permit(client)?, state.answer_memory(client));
        let fetch = move |after| {
            let page = read(after, PAGE);
            async move { page.await.map(|page| (page.rows, page.next)) }
        };
        return stream::rows(frame(), permit, memory, after, fetch).await;
    };
    let memory = state.answer_memory(client).reserve().await?;
    let page = read(after, limit).await?;
    let mut response = stream::page(frame(), memory, page.rows).await?;
    if let Some(next) = page.next {
        parameters.push(("limit", limit.to_string()));
        parameters.push(("after", next.to_string()));
        add_next_link(&mut response, &parameters);
    }
    Ok(response)
}

/// Adds the `Link` header to the next page. Its target is relative, only a query: behind a proxy the
/// path of the request may be another.
pub(super) fn add_next_link(response: &mut Response, parameters: &[(&'static str, String)]) {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(parameters).finish();
    if let Ok(link) = HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, link);
    }
}

fn frame() -> Frame {
    Frame { open: b"[".to_vec(), close: "]".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_relative_reference_with_encoded_parameters() {
        let mut response = Response::default();
        add_next_link(&mut response, &[("number", "+1 5".into()), ("limit", "2".into())]);
        let link = response.headers()[LINK].to_str().expect("a text");
        assert_eq!(link, "<?number=%2B1+5&limit=2>; rel=\"next\"");
    }
}
