//! `GET /messages/{id}/media/{n}`: a file of an inbound message, as it is kept.

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use http::{Method, StatusCode};
use warp::reply::{Reply, Response};

use super::connection::Streamed;
use super::messages::message_id;
use super::path::Segment;
use super::response::refuse;
use super::state::ServerState;
use super::stream::Exclusive;
use crate::domain::media::{file_name, medium_not_found};
use crate::error::{Code, Error};
use crate::media::{KeptMedium, MediaLibrary};
use crate::metrics;

/// What a browser may do with the content that it is given: nothing.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// Which part of a file a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum WantedPart {
    /// All of it.
    Whole,
    /// A part that is there.
    Part(Range<u64>),
    /// A part beyond its end.
    Beyond,
}

/// Streams the file. Nobody can make a browser run what is in it: its type is one of a short list, it is
/// offered for saving, and its policy forbids everything.
pub(super) async fn show(
    named: Segment,
    number: Segment,
    method: Method,
    headers: HeaderMap,
    client: Arc<str>,
    state: Arc<ServerState>,
) -> Result<Response, Error> {
    let message = message_id(&named)?;
    let number = number.decode()?;
    let number =
        number.parse().map_err(|_| medium_not_found(0).hint("they are numbered from 1"))?;
    let conversations = state.conversations().await?.clone();
    let permit = state.stream_permit(&client)?;
    let library = MediaLibrary::new(conversations, state.media.clone());
    let medium = library.find(message, number).await?;
    let etag = format!("\"{}\"", medium.hash);
    let (status, range) = match wanted(&headers, &etag, medium.size) {
        WantedPart::Whole => (StatusCode::OK, 0..medium.size),
        WantedPart::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        WantedPart::Beyond => return Ok(beyond(medium.size)),
    };
    let length = range.end - range.start;
    let content_range =
        format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), medium.size);
    let mut response = if method == Method::HEAD {
        Response::default()
    } else {
        let parts = library.read(&medium, range).await?.map(move |part| {
            // Held until the client has everything, or leaves.
            let _ = &permit;
            part.inspect_err(|error| metrics::error(error.code()))
        });
        warp::reply::stream(Exclusive::new(parts)).into_response()
    };
    response.extensions_mut().insert(Streamed);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    describe(headers, &medium, &file_name(message, number, &medium.content_type));
    insert(headers, ETAG, &etag);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        insert(headers, CONTENT_RANGE, &content_range);
    }
    Ok(response)
}

fn describe(headers: &mut HeaderMap, medium: &KeptMedium, name: &str) {
    insert(headers, CONTENT_TYPE, &medium.content_type);
    insert(headers, CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The response to a request for what is beyond the end.
fn beyond(size: u64) -> Response {
    let what = "the range begins beyond the end of the file";
    let mut response = refuse(&Error::new(Code::RangeNotSatisfiable, what));
    insert(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// What a request wants: a header that is not one plain range asks for everything, and so does one for a
/// part of other content.
fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> WantedPart {
    let is_other = headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag.as_bytes());
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    match range.filter(|_| !is_other).and_then(parse_range) {
        None => WantedPart::Whole,
        Some((Some(first), last)) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            if first < end { WantedPart::Part(first..end) } else { WantedPart::Beyond }
        }
        Some((None, Some(0))) => WantedPart::Beyond,
        Some((None, _)) if size == 0 => WantedPart::Beyond,
        Some((None, last)) => WantedPart::Part(size.saturating_sub(last.unwrap_or_default())..size),
    }
}

/// The first and the last byte of one range; without a first one, the second is how many of the last ones.
fn parse_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().map(Some),
        _ => None,
    };
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    match (number(first)?, number(last)?) {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        range => Some(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood_and_anything_else_is_everything() {
        for (range, part) in [
            ("bytes=0-0", WantedPart::Part(0..1)),
            ("bytes=2-5", WantedPart::Part(2..6)),
            ("bytes=2-", WantedPart::Part(2..10)),
            ("bytes=2-99", WantedPart::Part(2..10)),
            ("bytes=-3", WantedPart::Part(7..10)),
            ("bytes=-99", WantedPart::Part(0..10)),
            ("bytes=10-", WantedPart::Beyond),
            ("bytes=-0", WantedPart::Beyond),
            ("bytes=5-2", WantedPart::Whole),
            ("bytes=-", WantedPart::Whole),
            ("bytes=0-1,3-4", WantedPart::Whole),
            ("bytes=+1-2", WantedPart::Whole),
            ("lines=1-2", WantedPart::Whole),
            ("bytes=0-18446744073709551615", WantedPart::Part(0..10)),
            ("bytes=0-99999999999999999999", WantedPart::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(range));
            assert_eq!(wanted(&headers, "\"a\"", 10), part, "{range}");
            headers.insert(IF_RANGE, HeaderValue::from_static("\"a\""));
            assert_eq!(wanted(&headers, "\"a\"", 10), part, "{range}");
            headers.insert(IF_RANGE, HeaderValue::from_static("\"b\""));
            assert_eq!(wanted(&headers, "\"a\"", 10), WantedPart::Whole, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), "\"a\"", 0), WantedPart::Whole);
    }
}
