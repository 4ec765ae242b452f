//! `POST /webhooks/sms`: believed by its signature, answered once its data is safe.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;

use super::reply;
use super::state::State;
use crate::clock;
use crate::error::{Code, Error};
use crate::metrics;
use crate::telnyx::signature::SignatureError;
use crate::threading::Received;
use crate::throttle::Throttle;

/// Takes in one webhook.
pub(super) async fn receive<B: Buf, E>(
    state: Arc<State>,
    arrived: Instant,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let by = arrived + state.limits.webhook_time;
    let unreadable = |_: &Error| metrics::webhook("unreadable");
    state.bodies.admit(&headers).inspect_err(unreadable)?;
    let raw = state.bodies.collect(body, by).await.inspect_err(unreadable)?;
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    let (timestamp, signature) = (header("telnyx-timestamp"), header("telnyx-signature-ed25519"));
    let now = clock::now().as_micros() / 1_000_000;
    let (verifier, body) = (&state.verifier, &raw.bytes);
    let verified = verifier.verify_among_others(timestamp, signature, body, now).await;
    verified.map_err(|reason| {
        note_refusal(reason);
        Error::new(Code::InvalidSignature, "invalid signature")
    })?;
    let received = store(&state, raw.bytes.clone(), by).await.inspect_err(note_failure)?;
    let (outcome, answer) = words(received);
    metrics::webhook_accepted(outcome);
    Ok(reply::json_bytes(StatusCode::OK, answer))
}

/// Stores a webhook by an instant. A job whose caller is told 503 is not written.
async fn store(state: &State, raw: Bytes, by: Instant) -> Result<Received, Error> {
    let _place = state.queue()?;
    let stored = async { state.threads().await?.receive(raw).await };
    tokio::time::timeout_at(by.into(), stored).await.unwrap_or_else(|_| {
        Err(Error::new(Code::DatabaseUnavailable, "the event could not be stored in time"))
    })
}

/// What became of a webhook, as a word and as the whole answer.
fn words(received: Received) -> (&'static str, &'static str) {
    match received {
        Received::Stored => ("stored", r#"{"status":"stored"}"#),
        Received::Updated => ("updated", r#"{"status":"updated"}"#),
        Received::Duplicate => ("duplicate", r#"{"status":"duplicate"}"#),
        Received::Ignored => ("ignored", r#"{"status":"ignored"}"#),
    }
}

/// A webhook that was believed and yet not taken in. While the database is away there are many.
fn note_failure(error: &Error) {
    static LINES: Throttle = Throttle::new();
    let code = error.code();
    metrics::webhook(if code == Code::InvalidRequest { "invalid" } else { "unavailable" });
    LINES.pass(code, |left_out| {
        tracing::warn!(code = code.as_str(), left_out, "a signed webhook was not taken in");
    });
}

/// The caller hears the same in every case; the log tells the operator which one it is. Strangers
/// may post as much as they like, so each reason gets a line in a while.
fn note_refusal(reason: SignatureError) {
    static LINES: Throttle = Throttle::new();
    let word = match reason {
        SignatureError::NoKey => "no_key",
        SignatureError::MissingHeader => "missing_header",
        SignatureError::BadTimestamp => "bad_timestamp",
        SignatureError::BadSignature => "bad_signature",
        SignatureError::Stale { .. } => "stale",
    };
    metrics::webhook_refused(word);
    LINES.pass(word, |left_out| match reason {
        SignatureError::NoKey => {
            tracing::error!(left_out, "TELNYX_PUBLIC_KEY is not set: every webhook is refused");
        }
        SignatureError::Stale { skew_seconds } => tracing::warn!(
            skew_seconds,
            left_out,
            "refused a webhook with a good signature: its time is too far from this machine's \
             clock; check the clock (NTP)"
        ),
        reason => tracing::warn!(%reason, left_out, "refused a webhook"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_the_words_of_the_api() {
        for received in
            [Received::Stored, Received::Updated, Received::Duplicate, Received::Ignored]
        {
            let (word, answer) = words(received);
            assert_eq!(answer, serde_json::json!({ "status": received }).to_string());
            assert_eq!(answer, serde_json::json!({ "status": word }).to_string());
        }
    }
}
