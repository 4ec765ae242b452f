//! The routes of the sandbox.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use chrono::{DateTime, FixedOffset};
use futures_util::{Stream, StreamExt, pin_mut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use uuid::Uuid;
use warp::filters::BoxedFilter;
use warp::{Filter, Rejection};

use super::account;
use super::api_error::{
    ApiError, BAD_REQUEST, CONTENT_TYPE_UNKNOWN, INVALID_JSON, MESSAGE_NOT_FOUND,
    METHOD_NOT_ALLOWED, NOT_FOUND, TOO_LARGE, TOO_MANY_REQUESTS, json,
};
use super::cancel;
use super::contact::OWN_NUMBER;
use super::lifecycle;
use super::lists::{self, ListQuery};
use super::message::{InboundDraft, PICTURE, SandboxMessage, TelnyxTime};
use super::send::{self, SendCall, authenticate};
use super::state::{Memory, RecordedRequest, SandboxState};
use crate::clock;
use crate::domain::PhoneNumber;

/// Maximum size of a request body in bytes.
const MAX_BODY: usize = 1 << 20;

type ApiResponse = Response<Bytes>;

/// All routes of the sandbox, including the response for unknown ones.
pub(super) fn all(
    state: &Arc<SandboxState>,
) -> impl Filter<Extract = (ApiResponse,), Error = Infallible> + Clone + Send + Sync + 'static {
    send_message(Arc::clone(state))
        .or(show_message(Arc::clone(state)))
        .unify()
        .or(cancel_message(Arc::clone(state)))
        .unify()
        .or(account_routes(state))
        .unify()
        .or(list("webhook_deliveries", lists::deliveries, state))
        .unify()
        .or(list("detail_records", lists::records, state))
        .unify()
        .or(list("messaging_optouts", lists::opt_outs, state))
        .unify()
        .or(requests(Arc::clone(state)))
        .unify()
        .or(receive(Arc::clone(state)))
        .unify()
        .or(picture())
        .unify()
        .recover(recover)
        .unify()
}

/// `POST /v2/messages`
fn send_message(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("v2" / "messages")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |headers: HeaderMap, body| {
            let state = Arc::clone(&state);
            async move {
                match read_call(&state, &headers, body).await {
                    Ok(call) => send::send(state, call).await,
                    Err(error) => error.into_response(),
                }
            }
        })
        .boxed()
}

/// Reads and records a request.
async fn read_call(
    state: &SandboxState,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<SendCall, ApiError> {
    let body = collect(body).await;
    let received = body.as_ref().cloned().unwrap_or_default();
    state.memory().record(recorded(&Method::POST, "/v2/messages", headers, &received));
    let body = body?;
    if !is_json(headers) {
        let detail = "The Content-Type must be application/json.";
        return Err(ApiError::new(CONTENT_TYPE_UNKNOWN, detail));
    }
    let authorization = header(headers, AUTHORIZATION.as_str());
    Ok(SendCall { authorization, idempotency_key: header(headers, IDEMPOTENCY_KEY), body })
}

/// `GET /v2/messages/{id}`
fn show_message(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("v2" / "messages" / String)
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .map(move |id: String, headers: HeaderMap| {
            let path = format!("/v2/messages/{id}");
            state.memory().record(recorded(&Method::GET, &path, &headers, &Bytes::new()));
            if let Err(error) = may_read(&state, &headers) {
                return error.into_response();
            }
            let id = Uuid::parse_str(&id).ok();
            let message = id.and_then(|id| state.memory().messages.get(&id).cloned());
            match message {
                Some(message) => json(StatusCode::OK, &serde_json::json!({ "data": message })),
                None => {
                    let detail = "The message does not exist or is older than 10 days.";
                    ApiError::new(MESSAGE_NOT_FOUND, detail).into_response()
                }
            }
        })
        .boxed()
}

/// `DELETE /v2/messages/{id}`
fn cancel_message(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("v2" / "messages" / String)
        .and(warp::delete())
        .and(warp::header::headers_cloned())
        .map(move |id: String, headers: HeaderMap| {
            let path = format!("/v2/messages/{id}");
            state.memory().record(recorded(&Method::DELETE, &path, &headers, &Bytes::new()));
            let authorization = header(&headers, AUTHORIZATION.as_str());
            cancel::cancel(&state, &id, authorization.as_deref())
                .unwrap_or_else(ApiError::into_response)
        })
        .boxed()
}

/// The routes about the account's number and its messaging profile.
fn account_routes(state: &Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    numbers(Arc::clone(state))
        .or(show_profile(Arc::clone(state)))
        .unify()
        .or(change_profile(Arc::clone(state)))
        .unify()
        .boxed()
}

/// `GET /v2/phone_numbers/messaging`
fn numbers(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path!("v2" / "phone_numbers" / "messaging")
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(query)
        .map(move |headers: HeaderMap, query: String| {
            let path = "/v2/phone_numbers/messaging";
            state.memory().record(recorded(&Method::GET, path, &headers, &Bytes::new()));
            match admitted(&state, &headers) {
                Ok(()) => account::numbers(&query),
                Err(error) => error.into_response(),
            }
        })
        .boxed()
}

/// `GET /v2/messaging_profiles/{id}`
fn show_profile(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("v2" / "messaging_profiles" / String)
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .map(move |id: String, headers: HeaderMap| {
            let path = format!("/v2/messaging_profiles/{id}");
            state.memory().record(recorded(&Method::GET, &path, &headers, &Bytes::new()));
            let shown =
                admitted(&state, &headers).and_then(|()| account::profile(&state, &id, None));
            shown.unwrap_or_else(ApiError::into_response)
        })
        .boxed()
}

/// `PATCH /v2/messaging_profiles/{id}`
fn change_profile(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("v2" / "messaging_profiles" / String)
        .and(warp::patch())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |id: String, headers: HeaderMap, body| {
            let state = Arc::clone(&state);
            async move {
                let body = collect(body).await;
                let received = body.as_ref().cloned().unwrap_or_default();
                let path = format!("/v2/messaging_profiles/{id}");
                state.memory().record(recorded(&Method::PATCH, &path, &headers, &received));
                let changed = admitted(&state, &headers)
                    .and(body)
                    .and_then(|body| account::profile(&state, &id, Some(&body)));
                changed.unwrap_or_else(ApiError::into_response)
            }
        })
        .boxed()
}

fn admitted(state: &SandboxState, headers: &HeaderMap) -> Result<(), ApiError> {
    authenticate(state, header(headers, AUTHORIZATION.as_str()).as_deref())
}

/// `GET /v2/…`: one of Telnyx's lists.
fn list(
    name: &'static str,
    read: fn(&Memory, &ListQuery) -> Result<ApiResponse, ApiError>,
    state: &Arc<SandboxState>,
) -> BoxedFilter<(ApiResponse,)> {
    let state = Arc::clone(state);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path("v2")
        .and(warp::path(name))
        .and(warp::path::end())
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(query)
        .map(move |headers: HeaderMap, query: String| {
            let path = format!("/v2/{name}");
            state.memory().record(recorded(&Method::GET, &path, &headers, &Bytes::new()));
            may_read(&state, &headers)
                .and_then(|()| read(&state.memory(), &ListQuery::parse(&query)))
                .unwrap_or_else(ApiError::into_response)
        })
        .boxed()
}

/// Checks the key of a request that reads, and whether it is to be refused.
fn may_read(state: &SandboxState, headers: &HeaderMap) -> Result<(), ApiError> {
    authenticate(state, header(headers, AUTHORIZATION.as_str()).as_deref())?;
    match state.memory().refusal() {
        None => Ok(()),
        Some(seconds) => {
            let detail = "You have exceeded the maximum number of allowed requests.";
            Err(ApiError::new(TOO_MANY_REQUESTS, detail).retry_after(seconds))
        }
    }
}

/// `GET /sandbox/requests`
fn requests(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("sandbox" / "requests")
        .and(warp::get())
        .map(move || {
            let requests = state.memory().requests();
            json(StatusCode::OK, &requests)
        })
        .boxed()
}

/// The body of `POST /sandbox/inbound`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundRequest {
    from: String,
    to: Option<String>,
    text: String,
    #[serde(default)]
    picture: bool,
    received_at: Option<DateTime<FixedOffset>>,
}

/// `POST /sandbox/inbound`: a message from a contact.
fn receive(state: Arc<SandboxState>) -> BoxedFilter<(ApiResponse,)> {
    warp::path!("sandbox" / "inbound")
        .and(warp::post())
        .and(warp::body::stream())
        .then(move |body| {
            let state = Arc::clone(&state);
            async move {
                let response = collect(body).await.and_then(|body| receive_inbound(&state, &body));
                response.unwrap_or_else(ApiError::into_response)
            }
        })
        .boxed()
}

fn receive_inbound(state: &Arc<SandboxState>, body: &[u8]) -> Result<ApiResponse, ApiError> {
    let request: InboundRequest = serde_json::from_slice(body)
        .map_err(|error| ApiError::new(INVALID_JSON, format!("{error}.")))?;
    let number = |text: &str, pointer: &str| {
        let invalid =
            |_| ApiError::new(BAD_REQUEST, "The value is not a phone number.").at(pointer);
        PhoneNumber::parse(text).map_err(invalid)
    };
    let from = number(&request.from, "/from")?;
    let to = number(request.to.as_deref().unwrap_or(OWN_NUMBER), "/to")?;
    let draft = InboundDraft {
        from: from.as_str(),
        to: to.as_str(),
        text: request.text,
        picture_url: request.picture.then(|| state.picture_url.clone()),
    };
    let mut message = SandboxMessage::inbound(draft, state.webhook_url().as_deref());
    if let Some(at) = request.received_at {
        message.received_at = TelnyxTime(at.to_utc());
    }
    let response = json(StatusCode::OK, &serde_json::json!({ "data": message }));
    let task_state = Arc::clone(state);
    state.spawn(async move { lifecycle::receive(&task_state, message, 1).await });
    Ok(response)
}

/// `GET /sandbox/picture.png`
fn picture() -> BoxedFilter<(ApiResponse,)> {
    warp::path!("sandbox" / "picture.png")
        .and(warp::get())
        .map(|| {
            let mut response = Response::new(Bytes::from_static(PICTURE));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
            response
        })
        .boxed()
}

/// The response for a request without a route.
async fn recover(rejection: Rejection) -> Result<ApiResponse, Infallible> {
    let error = if rejection.is_not_found() {
        ApiError::new(NOT_FOUND, "The sandbox has no such route.")
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        ApiError::new(METHOD_NOT_ALLOWED, "The route does not allow this method.")
    } else {
        ApiError::new(BAD_REQUEST, "The request could not be understood.")
    };
    Ok(error.into_response())
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

fn recorded(method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> RecordedRequest {
    RecordedRequest {
        method: method.to_string(),
        path: path.to_owned(),
        idempotency_key: header(headers, IDEMPOTENCY_KEY),
        body: body.clone(),
        at: clock::now(),
    }
}

/// A header as text, with U+FFFD for what is not UTF-8, which no check accepts.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A body without a Content-Type counts as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = header(headers, CONTENT_TYPE.as_str()) else { return true };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

async fn collect(
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Bytes, ApiError> {
    pin_mut!(body);
    let mut collected = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| ApiError::new(BAD_REQUEST, "The body is incomplete."))?;
        if collected.len() + part.remaining() > MAX_BODY {
            return Err(ApiError::new(TOO_LARGE, "The body is larger than 1 MiB."));
        }
        collected.put(part);
    }
    Ok(collected.freeze())
}
