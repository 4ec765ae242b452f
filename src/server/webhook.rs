//! `POST /webhooks/sms`: authenticated by its signature, answered 200 once it is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use warp::reply::Response;

use super::body::{Arrival, MAX_DISCARDED, discard};
use super::response;
use super::state::ServerState;
use crate::clock;
use crate::domain::EventOutcome;
use crate::error::{Code, Error};
use crate::metrics::{self, SignatureFailure, WebhookFailure};
use crate::telnyx::signature::{SIGNATURE_HEADER, SignatureError, TIMESTAMP_HEADER};
use crate::threading::VerifiedBy;
use crate::throttle::Throttle;

/// How long the body of a webhook with a stale timestamp is waited for.
const STALE_BODY_TIME: Duration = Duration::from_millis(250);
/// The longest body that is read without a public key.
const LONGEST_QUESTION: usize = 64;

/// `POST /webhooks/sms`
pub(super) async fn receive<B: Buf, E>(
    state: Arc<ServerState>,
    arrival: Arrival,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let unreadable = |_: &Error| metrics::webhook_failed(WebhookFailure::Unreadable);
    let body =
        state.bodies.admit(body, &arrival.connection, &headers).await.inspect_err(unreadable)?;
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    let timestamp = header(TIMESTAMP_HEADER);
    let signature = header(SIGNATURE_HEADER);
    let now = clock::now().as_micros() / 1_000_000;
    let checked = state.verifier.check_headers(timestamp, signature, now);
    let deadline = arrival.since + state.limits.webhook_time;
    let body_deadline = match checked {
        Ok(()) => deadline,
        // With the body, the log can tell a wrong clock from a forged webhook.
        Err(SignatureError::Stale { .. }) => deadline.min(Instant::now() + STALE_BODY_TIME),
        // `convo doctor` may ask whether this is the right server before there is a key.
        Err(SignatureError::NoKey) if is_short(&headers) => {
            deadline.min(Instant::now() + STALE_BODY_TIME)
        }
        Err(reason) => {
            arrival.connection.receive(discard(body, &headers, MAX_DISCARDED)).await;
            return Err(refuse(reason));
        }
    };
    let raw = match state.bodies.collect(body, &arrival.connection, body_deadline).await {
        Err(error) if checked.is_err() && error.code() == Code::RequestTimeout => {
            return Err(refuse(match checked {
                Err(SignatureError::NoKey) => SignatureError::NoKey,
                _ => SignatureError::StaleWithoutBody,
            }));
        }
        collected => collected.inspect_err(unreadable)?,
    };
    let verified = state.verifier.verify_in_batch(timestamp, signature, &raw.bytes, now).await;
    let position = match verified {
        Ok(position) => position,
        Err(reason) => {
            let answer = state.opened().and_then(|conversations| {
                conversations.answer_question(timestamp, signature, &raw.bytes, now)
            });
            let Some(answer) = answer else { return Err(refuse(reason)) };
            arrival.context.set_trusted();
            return response::json(StatusCode::OK, &answer);
        }
    };
    arrival.context.set_trusted();
    let stored = store(&state, raw.bytes.clone(), position, deadline).await;
    let outcome = stored.inspect_err(record_failure)?;
    metrics::webhook_accepted(outcome);
    response::json(StatusCode::OK, &json!({ "status": outcome }))
}

/// Whether a body is so short that it may be a question about the endpoint.
fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: usize| length <= LONGEST_QUESTION)
}

/// Stores a webhook. On a timeout its job is withdrawn from the writer's queue, so what was answered
/// 503 is not stored.
async fn store(
    state: &ServerState,
    raw: Bytes,
    position: usize,
    deadline: Instant,
) -> Result<EventOutcome, Error> {
    let _permit = state.webhook_permit()?;
    let public_key = state.verifier.keys().get(position).map_or("", String::as_str);
    let by = VerifiedBy { position, public_key };
    let stored = async { state.conversations().await?.receive_signed(raw, by).await };
    tokio::time::timeout_at(deadline.into(), stored).await.unwrap_or_else(|_| {
        Err(Error::new(Code::DatabaseUnavailable, "the event could not be stored in time"))
    })
}

/// Records that a signed webhook was not stored. During a database outage there are many.
fn record_failure(error: &Error) {
    static LINES: Throttle = Throttle::new();
    let code = error.code();
    metrics::webhook_failed(match code {
        Code::InvalidRequest => WebhookFailure::Invalid,
        _ => WebhookFailure::Unavailable,
    });
    LINES.pass(code, |suppressed| {
        tracing::warn!(code = code.as_str(), suppressed, "a signed webhook was not stored");
    });
}

/// Records why a webhook is refused. The response is the same in every case; only the log and the
/// metrics have the reason. Anyone may post here, so each reason is throttled.
fn refuse(error: SignatureError) -> Error {
    static LINES: Throttle = Throttle::new();
    let reason = match error {
        SignatureError::NoKey => SignatureFailure::NoKey,
        SignatureError::MissingHeader => SignatureFailure::MissingHeader,
        SignatureError::BadTimestamp | SignatureError::StaleWithoutBody => {
            SignatureFailure::BadTimestamp
        }
        SignatureError::BadSignature => SignatureFailure::BadSignature,
        SignatureError::Stale { .. } => SignatureFailure::Stale,
    };
    metrics::signature_refused(reason);
    LINES.pass(reason, |suppressed| match error {
        SignatureError::NoKey => {
            tracing::error!(suppressed, "TELNYX_PUBLIC_KEY is not set: every webhook is refused");
        }
        SignatureError::Stale { skew_seconds } => tracing::warn!(
            skew_seconds,
            suppressed,
            "refused a webhook with a valid signature: its timestamp is too far from this \
             machine's clock; check the clock (NTP)"
        ),
        reason => tracing::warn!(%reason, suppressed, "refused a webhook"),
    });
    Error::new(Code::InvalidSignature, "invalid signature")
}
