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
use crate::telnyx::signature::SignatureError;
use crate::threading::Received;

/// Takes in one webhook.
pub(super) async fn receive<B: Buf, E>(
    state: Arc<State>,
    arrived: Instant,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let by = arrived + state.limits.webhook_time;
    let raw = state.bodies.collect(body, by).await?;
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    let (timestamp, signature) = (header("telnyx-timestamp"), header("telnyx-signature-ed25519"));
    let now = clock::now().as_micros() / 1_000_000;
    state.verifier.verify(timestamp, signature, &raw.bytes, now).map_err(|reason| {
        log_refusal(reason);
        Error::new(Code::InvalidSignature, "invalid signature")
    })?;
    let received = store(&state, raw.bytes.clone(), by).await.inspect_err(|error| {
        tracing::warn!(code = error.code().as_str(), "a signed webhook was not taken in");
    })?;
    tracing::debug!(?received, "took in a webhook");
    Ok(reply::json_bytes(StatusCode::OK, words(received)))
}

/// Stores a webhook by an instant. A job whose caller is told 503 is not written.
async fn store(state: &State, raw: Bytes, by: Instant) -> Result<Received, Error> {
    let _place = state.queue()?;
    let stored = async { state.threads().await?.receive(raw).await };
    tokio::time::timeout_at(by.into(), stored).await.unwrap_or_else(|_| {
        Err(Error::new(Code::DatabaseUnavailable, "the event could not be stored in time"))
    })
}

fn words(received: Received) -> &'static str {
    match received {
        Received::Stored => r#"{"status":"stored"}"#,
        Received::Updated => r#"{"status":"updated"}"#,
        Received::Duplicate => r#"{"status":"duplicate"}"#,
        Received::Ignored => r#"{"status":"ignored"}"#,
    }
}

/// The caller hears the same in every case; the log tells the operator which one it is.
fn log_refusal(reason: SignatureError) {
    match reason {
        SignatureError::NoKey => {
            tracing::error!("TELNYX_PUBLIC_KEY is not set: every webhook is refused");
        }
        SignatureError::Stale { skew_seconds } => tracing::warn!(
            skew_seconds,
            "refused a webhook with a good signature: its time is too far from this machine's \
             clock; check the clock (NTP)"
        ),
        reason => tracing::warn!(%reason, "refused a webhook"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_the_words_of_the_api() {
        for received in
            [Received::Stored, Received::Updated, Received::Duplicate, Received::Ignored]
        {
            let expected = serde_json::json!({ "status": received }).to_string();
            assert_eq!(words(received), expected);
        }
    }
}
