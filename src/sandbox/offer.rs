//! `POST /v2/messages`: whether a request is accepted, and how it is answered.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::contact::{Behaviour, asks_for_start};
use super::life;
use super::message::Message;
use super::refusal::{
    BAD_REQUEST, BLOCKED, INVALID_TO, QUEUE_FULL, Refusal, TOO_MANY_REQUESTS, UNAUTHENTICATED,
    UNEXPECTED, UNPROCESSABLE, json_bytes,
};
use super::request::SendRequest;
use super::state::{Hash, Memory, Remembered, State};
use crate::clock;
use crate::domain::PhoneNumber;

/// Messages whose life is not over yet; beyond it the queue counts as full.
const MAX_LIVES: usize = 10_000;
/// Characters of an idempotency key.
const MAX_KEY: usize = 255;

/// A request as it came.
pub(super) struct Offer {
    pub(super) authorization: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) body: Bytes,
}

/// An accepted request.
struct Accepted {
    answer: Bytes,
    contact: String,
    is_repeat: bool,
}

/// Accepts or refuses a request, and answers in the manner of its contact. Everything is done
/// before the first await: a caller that hangs up changes nothing.
pub(super) async fn receive(state: Arc<State>, offer: Offer) -> Response<Bytes> {
    let accepted = match judge(&state, &offer) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            tracing::info!(code = refusal.code(), "sandbox: message refused");
            return refusal.into_response();
        }
    };
    match Behaviour::of(&accepted.contact) {
        Behaviour::AnswerLost | Behaviour::Vanished => never(&state).await,
        Behaviour::AnswerLostOnce if !accepted.is_repeat => never(&state).await,
        Behaviour::Slow => tokio::time::sleep(state.pace.slow).await,
        _ => {}
    }
    json_bytes(StatusCode::OK, accepted.answer)
}

/// Keeps the connection open until the caller gives up or the sandbox ends.
async fn never(state: &State) {
    state.shutdown.cancelled().await;
    // The end cuts every connection; the answer must not slip out before that.
    std::future::pending::<()>().await;
}

fn judge(state: &Arc<State>, offer: &Offer) -> Result<Accepted, Refusal> {
    authenticate(state, offer.authorization.as_deref())?;
    check_key(offer.idempotency_key.as_deref())?;
    let hash: Hash = Sha256::digest(&offer.body).into();
    let mut memory = state.memory();
    if let Some(repeat) = replay(&memory, offer, &hash)? {
        return Ok(repeat);
    }
    let request = SendRequest::parse(&offer.body, clock::now().to_utc())?;
    let behaviour = Behaviour::of(&request.to);
    refuse_on_purpose(behaviour)?;
    fail_once(&mut memory, behaviour, offer, &hash)?;
    check_block(&memory, &request)?;
    if state.tasks.len() >= MAX_LIVES {
        let why = "Too many messages are waiting to be sent.";
        return Err(Refusal::new(QUEUE_FULL, why).retry_after(1));
    }
    let accepted = accept(state, &mut memory, request);
    if let Some(key) = &offer.idempotency_key {
        let Accepted { answer, contact, .. } = &accepted;
        let remembered =
            Remembered { request: hash, answer: answer.clone(), contact: contact.clone() };
        memory.keys.insert(key.clone(), remembered, key.len() + answer.len());
    }
    Ok(accepted)
}

pub(super) fn authenticate(state: &State, authorization: Option<&str>) -> Result<(), Refusal> {
    let key = authorization.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
    let known = match (&state.api_key, key) {
        (_, None | Some("")) => false,
        (None, Some(_)) => true,
        (Some(expected), Some(key)) => {
            subtle::ConstantTimeEq::ct_eq(expected.expose().as_bytes(), key.as_bytes()).into()
        }
    };
    if known { Ok(()) } else { Err(wrong_key()) }
}

fn wrong_key() -> Refusal {
    Refusal::new(UNAUTHENTICATED, "Could not find any usable credentials in the request.")
}

fn check_key(key: Option<&str>) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
    match key {
        Some(key) if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(allowed) => {
            let why = "An Idempotency-Key has 1 to 255 letters, digits, '_', ':' and '-'.";
            Err(Refusal::new(BAD_REQUEST, why))
        }
        _ => Ok(()),
    }
}

/// The same answer again when the key has brought a success before.
fn replay(memory: &Memory, offer: &Offer, hash: &Hash) -> Result<Option<Accepted>, Refusal> {
    let known = offer.idempotency_key.as_ref().and_then(|key| memory.keys.get(key));
    let Some(Remembered { request, answer, contact }) = known else { return Ok(None) };
    if request != hash {
        let why = "The Idempotency-Key was used with another request body before.";
        return Err(Refusal::new(UNPROCESSABLE, why));
    }
    tracing::info!("sandbox: request repeated under its idempotency key, answered as before");
    Ok(Some(Accepted { answer: answer.clone(), contact: contact.clone(), is_repeat: true }))
}

fn refuse_on_purpose(behaviour: Behaviour) -> Result<(), Refusal> {
    match behaviour {
        Behaviour::Refused => {
            let why = "The 'to' address is not a number that can receive messages.";
            Err(Refusal::new(INVALID_TO, why).at("/to"))
        }
        Behaviour::Unauthorized => Err(wrong_key()),
        _ => Ok(()),
    }
}

/// Fails the first request of its kind: by its idempotency key, else by its body.
fn fail_once(
    memory: &mut Memory,
    behaviour: Behaviour,
    offer: &Offer,
    hash: &Hash,
) -> Result<(), Refusal> {
    let refusal = match behaviour {
        Behaviour::RateLimitedOnce => {
            let why = "You have exceeded the maximum number of allowed requests.";
            Refusal::new(TOO_MANY_REQUESTS, why).retry_after(1)
        }
        Behaviour::ServerErrorOnce => Refusal::new(UNEXPECTED, "An unexpected error occurred."),
        _ => return Ok(()),
    };
    let kind = match &offer.idempotency_key {
        Some(key) => Sha256::digest(key).into(),
        None => *hash,
    };
    if memory.failed_once.contains(&kind) {
        return Ok(());
    }
    memory.failed_once.insert(kind, (), kind.len());
    Err(refusal)
}

/// Refuses what goes to a contact that said STOP, unless it is the way to make it say START.
fn check_block(memory: &Memory, request: &SendRequest) -> Result<(), Refusal> {
    let stopped = memory.stopped.contains(&request.to) && !asks_for_start(&request.text);
    if !stopped && Behaviour::of(&request.to) != Behaviour::OptedOut {
        return Ok(());
    }
    let why = format!(
        "Messages cannot be sent from '{}' to '{}' due to an existing block rule.",
        request.from.as_deref().unwrap_or(super::OWN_NUMBER),
        request.to,
    );
    Err(Refusal::new(BLOCKED, why).at("/to"))
}

fn accept(state: &Arc<State>, memory: &mut Memory, request: SendRequest) -> Accepted {
    let message = Message::outbound(&request, state.webhook_url.as_deref());
    // Our own types have string keys only, so they always serialise.
    let answer = serde_json::to_vec(&serde_json::json!({ "data": message })).unwrap_or_default();
    tracing::info!(
        message_id = %message.id,
        to = PhoneNumber::from_stored(request.to.clone()).masked(),
        parts = request.parts,
        "sandbox: message accepted"
    );
    let id = message.id;
    memory.keep(message);
    let contact = request.to.clone();
    state.spawn(life::live(Arc::clone(state), id, request));
    Accepted { answer: answer.into(), contact, is_repeat: false }
}
