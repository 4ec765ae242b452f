//! `POST /conversations/{number}/send`: a message to a contact; `POST /messages/{id}/retry`: one
//! whose outcome is unknown, once more.

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use futures_util::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::error::Category;
use tokio::task::JoinError;
use tracing::Instrument;
use warp::reply::Response;

use super::path::Segment;
use super::query::Query;
use super::reading::message_id;
use super::state::State;
use super::{access, reply};
use crate::domain::send::check_idempotency_key;
use crate::domain::{Message, SendRequest, Status};
use crate::error::{Code, Error};
use crate::threading::Sent;

/// The header that carries the key of a send, both ways.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest part of a parser's remark that is passed on: it may quote the body.
const LONGEST_REMARK: usize = 200;

/// Sends a message, or with `dry_run` tells what sending it would mean.
pub(super) async fn send<B: Buf, E>(
    number: Segment,
    state: Arc<State>,
    arrived: Instant,
    query: String,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let to = number.decode()?;
    let dry_run = read_query(&query)?;
    if headers.contains_key(CONTENT_TYPE) && !access::is_json(&headers) {
        return Err(access::not_json());
    }
    let key = read_key(&headers)?;
    state.bodies.admit(&headers)?;
    let raw = state.bodies.collect(body, arrived + state.limits.request_time).await?;
    let request = read_request(&raw.bytes)?;
    if dry_run {
        let plan = state.threads().await?.plan(&to, &request).await?;
        return reply::json(StatusCode::OK, &plan);
    }
    answer(&run(&state, to, request, key).await?)
}

/// Sends in a task of its own: a client that hangs up cannot stop it between Telnyx's answer and
/// its record, and a shutdown waits for it.
async fn run(
    state: &State,
    to: String,
    request: SendRequest,
    key: Option<String>,
) -> Result<Sent, Error> {
    let (threads, slot) = (state.threads().await?.clone(), state.slot()?);
    let repeat_under = key.clone();
    let task = async move {
        let _slot = slot;
        threads.send(&to, &request, key.as_deref()).await
    };
    state.sends.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
        Err(failed_midway(&error).with(|extra| extra.idempotency_key = repeat_under))
    })
}

/// Offers a message again whose outcome is unknown; with `force` also when Telnyx has forgotten it.
pub(super) async fn retry(
    named: Segment,
    state: Arc<State>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::parse(&query);
    let force = query.flag("force")?;
    query.finish()?;
    let id = message_id(&named)?;
    let (threads, slot) = (state.threads().await?.clone(), state.slot()?);
    let task = async move {
        let _slot = slot;
        threads.retry(id, force).await
    };
    let message = state.sends.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
        Err(failed_midway(&error).with(|extra| extra.message_id = Some(id)))
    })?;
    reply::json(status_of(&message), &message)
}

/// The error of one whose send ended by a fault.
pub(super) fn failed_midway(error: &JoinError) -> Error {
    // The words of a fault may quote the message; its place is in the log already.
    tracing::error!(fault = error.is_panic(), "a send ended without an outcome");
    Error::new(Code::OutcomeUnknown, "the send failed midway: it may have been sent")
}

/// Whether a message was handed over, or nobody knows yet.
fn status_of(message: &Message) -> StatusCode {
    if message.status <= Status::Unknown { StatusCode::ACCEPTED } else { StatusCode::CREATED }
}

fn answer(sent: &Sent) -> Result<Response, Error> {
    let mut response = reply::json(status_of(&sent.message), &sent.message)?;
    if let Ok(key) = HeaderValue::from_str(&sent.idempotency_key) {
        response.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    Ok(response)
}

fn read_query(raw: &str) -> Result<bool, Error> {
    let mut query = Query::parse(raw);
    let dry_run = query.flag("dry_run")?;
    query.finish()?;
    Ok(dry_run)
}

fn read_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut all = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let key = match (all.next(), all.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => return Err(Error::invalid("there are two Idempotency-Key headers")),
    };
    check_idempotency_key(key)?;
    Ok(Some(key.to_owned()))
}

fn read_request(raw: &[u8]) -> Result<SendRequest, Error> {
    // The parser would also take an array of the fields' values.
    let begins_object = raw.trim_ascii_start().first() == Some(&b'{');
    match serde_json::from_slice(raw) {
        Ok(request) if begins_object => Ok(request),
        Ok(_) => Err(not_an_object()),
        Err(error) if error.classify() == Category::Data && !begins_object => Err(not_an_object()),
        Err(error) => Err(explain(&error)),
    }
}

fn not_an_object() -> Error {
    Error::invalid("the body is no JSON object").hint(r#"send one like {"message": "Hello"}"#)
}

/// Where the body is wrong, and what is wrong there.
fn explain(error: &serde_json::Error) -> Error {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.classify() != Category::Data {
        return Error::invalid(format!("the body is not valid JSON ({place})"));
    }
    let remark = error.to_string();
    let remark = remark.rsplit_once(" at line ").map_or(remark.as_str(), |(remark, _)| remark);
    let remark: String = remark.chars().take(LONGEST_REMARK).collect();
    Error::invalid(format!("the body is not a message to send: {remark} ({place})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        read_request(body.as_bytes()).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_wrong_body_is_told_by_place() {
        for (body, told) in [
            ("", "the body is not valid JSON (line 1, column 0)"),
            ("{\"message\":", "the body is not valid JSON (line 1, column 11)"),
            ("{\n'message': 1}", "the body is not valid JSON (line 2, column 1)"),
            ("{\"message\":\"\\ud800\"}", "the body is not valid JSON (line 1, column 19)"),
            ("[\"Hello\"]", "the body is no JSON object"),
            ("\"Hello\"", "the body is no JSON object"),
            ("null", "the body is no JSON object"),
        ] {
            assert_eq!(refused(body), told, "{body}");
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        assert!(refused(r#"{"mesage":"x"}"#).contains("unknown field `mesage`"));
        let told = refused(r#"{"message":5}"#);
        assert!(told.contains("expected a string (line 1, column 12)"), "{told}");
        assert!(refused(r#"{"send_at":"soon"}"#).contains("not an RFC 3339 time"));
        assert!(refused(&format!("{{\"{}\":1}}", "x".repeat(5_000))).len() < 300);
    }

    #[test]
    fn a_good_body_is_read() {
        let request = read_request(b" {\"message\":\"Hello\"}").expect("a request");
        assert_eq!(request.message.as_deref(), Some("Hello"));
    }

    #[test]
    fn keys_are_words_for_a_header() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, value.parse().expect("a header value"));
            }
            read_key(&headers).map_err(|error| error.code())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Order:17_a-b"]), Ok(Some("Order:17_a-b".into())));
        for bad in [&[""][..], &["a b"], &["é"], &["a", "a"], &["x".repeat(256).as_str()]] {
            assert_eq!(read(bad), Err(Code::InvalidRequest), "{bad:?}");
        }
    }
}
