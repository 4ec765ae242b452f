//! `POST /conversations/{number}/send`: a message to a contact.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::task::JoinError;
use tracing::Instrument;
use warp::reply::Response;

use super::body::Arrival;
use super::json_body::BodyForm;
use super::path::Segment;
use super::query::Query;
use super::state::ServerState;
use super::{json_body, response};
use crate::domain::{
    CheckedRequest, Draft, IdempotencyKey, Message, Recipient, SendRequest, Sent, verdict,
};
use crate::error::{Code, Error};
use crate::metrics;

/// The header with the idempotency key, in the request and in the response.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FORM: BodyForm =
    BodyForm { name: "a valid send request", example: r#"{"message": "Hello"}"# };

/// Sends a message, or with `dry_run` returns the plan for it.
pub(super) async fn send<B: Buf, E>(
    number: Segment,
    headers: HeaderMap,
    state: Arc<ServerState>,
    arrival: Arrival,
    query: String,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let to = number.number()?;
    let dry_run = parse_query(&query)?;
    let key = idempotency_key(&headers)?;
    let raw = json_body::collect(&state, &headers, &arrival, body).await?;
    let draft = address(&state, &to, parse_body(&raw.bytes)?).await;
    if dry_run {
        let plan = state.conversations().await?.plan(&draft?).await?;
        return response::json(StatusCode::OK, &plan);
    }
    let draft = draft.inspect_err(|error| metrics::send(Err(error.code())))?;
    respond(&run(&state, draft, key).await?)
}

/// The draft of a message to a contact that is given by number, whole name or whole id.
async fn address(state: &ServerState, to: &str, request: SendRequest) -> Result<Draft, Error> {
    let recipient = Recipient::parse(to)?;
    let request = CheckedRequest::new(request)?;
    let to = state.conversations().await?.recipient(&recipient).await?;
    Ok(request.to(to))
}

/// Sends in a task of its own: a client that disconnects cannot cancel it between Telnyx's response
/// and recording it, and a shutdown waits for it.
async fn run(
    state: &ServerState,
    draft: Draft,
    key: Option<IdempotencyKey>,
) -> Result<Sent, Error> {
    let conversations = state.conversations().await?.clone();
    let permit = state.send_permit()?;
    let key_of_panic = key.clone();
    let task = async move {
        let _permit = permit;
        conversations.send(&draft, key.as_ref()).await
    };
    state.sends.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
        Err(failed_midway(&error)
            .with(|extra| extra.idempotency_key = key_of_panic.map(String::from)))
    })
}

/// The error of a send whose task did not complete.
pub(super) fn failed_midway(error: &JoinError) -> Error {
    // The panic hook has logged where; its message may quote private data.
    tracing::error!(panicked = error.is_panic(), "a send ended without an outcome");
    Error::new(Code::OutcomeUnknown, "sending failed midway: the message may have been sent")
}

/// 202 while it is not known whether the message was sent. Under a repeated key the message may
/// have failed since; it was made all the same.
pub(super) fn status_of(message: &Message) -> StatusCode {
    match verdict(message) {
        Err(error) if message.status.is_open() => error.http_status(),
        _ => StatusCode::CREATED,
    }
}

fn respond(sent: &Sent) -> Result<Response, Error> {
    let mut response = response::json(status_of(&sent.message), &sent.message)?;
    if let Ok(key) = HeaderValue::from_str(sent.idempotency_key.as_str()) {
        response.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    Ok(response)
}

fn parse_query(raw: &str) -> Result<bool, Error> {
    let mut query = Query::new(raw);
    let dry_run = query.flag("dry_run")?;
    query.finish()?;
    Ok(dry_run)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Error> {
    let mut all = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let key = match (all.next(), all.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("there is more than one Idempotency-Key header"));
        }
    };
    IdempotencyKey::parse(key).map(Some)
}

fn parse_body(raw: &[u8]) -> Result<SendRequest, Error> {
    json_body::parse(raw, FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<SendRequest, Error> {
        parse_body(body.as_bytes())
    }

    fn refused(body: &str) -> String {
        parsed(body).expect_err("must be refused").to_string()
    }

    #[test]
    fn an_invalid_body_is_refused_with_the_position() {
        for (body, expected) in [
            ("", "the body is not valid JSON (line 1, column 0)"),
            ("{\"message\":", "the body is not valid JSON (line 1, column 11)"),
            ("{\n'message': 1}", "the body is not valid JSON (line 2, column 1)"),
            ("{\"message\":\"\\ud800\"}", "the body is not valid JSON (line 1, column 19)"),
            ("[\"Hello\"]", "the body is not a JSON object"),
            ("\"Hello\"", "the body is not a JSON object"),
            ("null", "the body is not a JSON object"),
        ] {
            assert_eq!(refused(body), expected, "{body}");
        }
    }

    #[test]
    fn an_invalid_field_is_named() {
        assert!(refused(r#"{"mesage":"x"}"#).contains("unknown field `mesage`"));
        let error = refused(r#"{"message":5}"#);
        assert!(error.contains("expected a string (line 1, column 12)"), "{error}");
        assert!(refused(r#"{"send_at":"soon"}"#).contains("not an RFC 3339 time"));
        assert!(refused(&format!("{{\"{}\":1}}", "x".repeat(5_000))).len() < 300);
    }

    #[test]
    fn a_valid_body_is_parsed() {
        let request = parsed(" {\"message\":\"Hello\"}").expect("a request");
        assert_eq!(request.message.as_deref(), Some("Hello"));
    }

    #[test]
    fn an_idempotency_key_is_one_valid_header() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, value.parse().expect("a header value"));
            }
            let key = idempotency_key(&headers).map_err(|error| error.code());
            key.map(|key| key.map(String::from))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Order:17_a-b"]), Ok(Some("Order:17_a-b".into())));
        for bad in [&[""][..], &["a b"], &["é"], &["a", "a"], &["x".repeat(256).as_str()]] {
            assert_eq!(read(bad), Err(Code::InvalidRequest), "{bad:?}");
        }
    }
}
