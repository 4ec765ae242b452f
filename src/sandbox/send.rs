//! `POST /v2/messages`: accepting or refusing a message.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::api_error::{
    ApiError, BAD_REQUEST, BLOCKED, INVALID_TO, QUEUE_FULL, TOO_MANY_REQUESTS, UNAUTHENTICATED,
    UNEXPECTED, UNPROCESSABLE, json_bytes,
};
use super::contact::{Behaviour, asks_for_start};
use super::lifecycle;
use super::message::SandboxMessage;
use super::request::MessageRequest;
use super::state::{BodyHash, Memory, SandboxState, StoredResponse};
use crate::clock;
use crate::domain::PhoneNumber;

/// Messages in progress at the same time; beyond it the queue counts as full.
const MAX_IN_PROGRESS: usize = 10_000;
/// Maximum length of an idempotency key in characters.
const MAX_KEY_LENGTH: usize = 255;

/// The parts of a request that decide about it.
pub(super) struct SendCall {
    pub(super) authorization: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) body: Bytes,
}

struct AcceptedSend {
    response: Bytes,
    contact: String,
    is_repeat: bool,
}

/// Accepts or refuses a request and responds as the contact's behaviour demands. All effects happen
/// before the first await, so a caller that disconnects changes nothing.
pub(super) async fn send(state: Arc<SandboxState>, call: SendCall) -> Response<Bytes> {
    let accepted = match decide(&state, &call) {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::info!(code = error.code(), "sandbox: message refused");
            return error.into_response();
        }
    };
    match Behaviour::for_number(&accepted.contact) {
        Behaviour::AnswerLost | Behaviour::Vanished => never_respond(&state).await,
        Behaviour::AnswerLostOnce if !accepted.is_repeat => never_respond(&state).await,
        Behaviour::Slow => tokio::time::sleep(state.pace.slow).await,
        _ => {}
    }
    json_bytes(StatusCode::OK, accepted.response)
}

/// Keeps the connection open until the caller gives up or the sandbox shuts down.
async fn never_respond(state: &SandboxState) {
    state.shutdown.cancelled().await;
    // The shutdown closes the connection; until then no response must get out.
    std::future::pending::<()>().await;
}

fn decide(state: &Arc<SandboxState>, call: &SendCall) -> Result<AcceptedSend, ApiError> {
    authenticate(state, call.authorization.as_deref())?;
    check_key(call.idempotency_key.as_deref())?;
    let hash: BodyHash = Sha256::digest(&call.body).into();
    let mut memory = state.memory();
    if let Some(repeat) = replay(&memory, call, &hash)? {
        return Ok(repeat);
    }
    let request = MessageRequest::parse(&call.body, clock::now().to_utc())?;
    let behaviour = Behaviour::for_number(&request.to);
    fail_always(behaviour)?;
    fail_once(&mut memory, behaviour, call, &hash)?;
    check_block(&memory, &request)?;
    if state.tasks.len() >= MAX_IN_PROGRESS {
        let detail = "Too many messages are waiting to be sent.";
        return Err(ApiError::new(QUEUE_FULL, detail).retry_after(1));
    }
    let accepted = accept(state, &mut memory, request);
    if let Some(key) = &call.idempotency_key {
        let AcceptedSend { response, contact, .. } = &accepted;
        let stored =
            StoredResponse { request: hash, response: response.clone(), contact: contact.clone() };
        memory.keys.insert(key.clone(), stored, key.len() + response.len());
    }
    Ok(accepted)
}

pub(super) fn authenticate(
    state: &SandboxState,
    authorization: Option<&str>,
) -> Result<(), ApiError> {
    let key = authorization.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
    let is_valid = match (&state.api_key, key) {
        (_, None | Some("")) => false,
        (None, Some(_)) => true,
        (Some(expected), Some(key)) => {
            subtle::ConstantTimeEq::ct_eq(expected.expose().as_bytes(), key.as_bytes()).into()
        }
    };
    if is_valid { Ok(()) } else { Err(wrong_key()) }
}

fn wrong_key() -> ApiError {
    ApiError::new(UNAUTHENTICATED, "Could not find any usable credentials in the request.")
}

fn check_key(key: Option<&str>) -> Result<(), ApiError> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
    match key {
        Some(key) if !(1..=MAX_KEY_LENGTH).contains(&key.len()) || !key.bytes().all(is_allowed) => {
            let detail = "An Idempotency-Key has 1 to 255 letters, digits, '_', ':' and '-'.";
            Err(ApiError::new(BAD_REQUEST, detail))
        }
        _ => Ok(()),
    }
}

/// The same response again, if the request succeeded with this key before.
fn replay(
    memory: &Memory,
    call: &SendCall,
    hash: &BodyHash,
) -> Result<Option<AcceptedSend>, ApiError> {
    let stored = call.idempotency_key.as_ref().and_then(|key| memory.keys.get(key));
    let Some(StoredResponse { request, response, contact }) = stored else { return Ok(None) };
    if request != hash {
        let detail = "The Idempotency-Key has already been used with a different request body.";
        return Err(ApiError::new(UNPROCESSABLE, detail));
    }
    tracing::info!("sandbox: request repeated with its idempotency key, same response");
    let accepted =
        AcceptedSend { response: response.clone(), contact: contact.clone(), is_repeat: true };
    Ok(Some(accepted))
}

fn fail_always(behaviour: Behaviour) -> Result<(), ApiError> {
    match behaviour {
        Behaviour::Refused => {
            let detail = "The 'to' address is not a number that can receive messages.";
            Err(ApiError::new(INVALID_TO, detail).at("/to"))
        }
        Behaviour::Unauthorized => Err(wrong_key()),
        _ => Ok(()),
    }
}

/// Fails a request the first time, identified by its idempotency key, or else by its body.
fn fail_once(
    memory: &mut Memory,
    behaviour: Behaviour,
    call: &SendCall,
    hash: &BodyHash,
) -> Result<(), ApiError> {
    let error = match behaviour {
        Behaviour::RateLimitedOnce => {
            let detail = "You have exceeded the maximum number of allowed requests.";
            ApiError::new(TOO_MANY_REQUESTS, detail).retry_after(1)
        }
        Behaviour::ServerErrorOnce => ApiError::new(UNEXPECTED, "An unexpected error occurred."),
        _ => return Ok(()),
    };
    let identity = match &call.idempotency_key {
        Some(key) => Sha256::digest(key).into(),
        None => *hash,
    };
    if memory.failed_once.contains(&identity) {
        return Ok(());
    }
    memory.failed_once.insert(identity, (), identity.len());
    Err(error)
}

/// Refuses messages to a contact that said STOP, except one that asks it to say START.
fn check_block(memory: &Memory, request: &MessageRequest) -> Result<(), ApiError> {
    let is_blocked = memory.blocked.contains(&request.to) && !asks_for_start(&request.text);
    if !is_blocked && Behaviour::for_number(&request.to) != Behaviour::OptedOut {
        return Ok(());
    }
    let detail = format!(
        "Messages cannot be sent from '{}' to '{}' due to an existing block rule.",
        request.from.as_deref().unwrap_or(super::OWN_NUMBER),
        request.to,
    );
    Err(ApiError::new(BLOCKED, detail).at("/to"))
}

fn accept(state: &Arc<SandboxState>, memory: &mut Memory, request: MessageRequest) -> AcceptedSend {
    let message = SandboxMessage::outbound(&request, memory.profile.webhook_url.as_deref());
    // Serialization cannot fail: all keys are strings.
    let response = serde_json::to_vec(&serde_json::json!({ "data": message })).unwrap_or_default();
    tracing::info!(
        message_id = %message.id,
        to = PhoneNumber::from_stored(request.to.clone()).masked(),
        parts = request.parts,
        "sandbox: message accepted"
    );
    let id = message.id;
    memory.store(message);
    let contact = request.to.clone();
    state.spawn(lifecycle::run(Arc::clone(state), id, request));
    AcceptedSend { response: response.into(), contact, is_repeat: false }
}
