//! The routes of the sandbox.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, pin_mut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use uuid::Uuid;
use warp::filters::BoxedFilter;
use warp::{Filter, Rejection};

use super::contact::OWN_NUMBER;
use super::life;
use super::message::{Inbound, Message, PICTURE};
use super::offer::{self, Offer, authenticate};
use super::refusal::{
    BAD_REQUEST, CONTENT_TYPE_UNKNOWN, INVALID_JSON, MESSAGE_NOT_FOUND, METHOD_NOT_ALLOWED,
    NOT_FOUND, Refusal, TOO_LARGE, json,
};
use super::state::{Recorded, State};
use crate::clock;
use crate::domain::PhoneNumber;

/// Bytes of a request body.
const MAX_BODY: usize = 1 << 20;

type Answer = Response<Bytes>;

/// Everything the sandbox serves. Nothing is rejected: what has no route is answered too.
pub(super) fn all(
    state: &Arc<State>,
) -> impl Filter<Extract = (Answer,), Error = Infallible> + Clone + Send + Sync + 'static {
    send(Arc::clone(state))
        .or(show(Arc::clone(state)))
        .unify()
        .or(requests(Arc::clone(state)))
        .unify()
        .or(write(Arc::clone(state)))
        .unify()
        .or(picture())
        .unify()
        .recover(refuse)
        .unify()
}

/// `POST /v2/messages`
fn send(state: Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("v2" / "messages")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |headers: HeaderMap, body| {
            let state = Arc::clone(&state);
            async move {
                match take_offer(&state, &headers, body).await {
                    Ok(offer) => offer::receive(state, offer).await,
                    Err(refusal) => refusal.into_response(),
                }
            }
        })
        .boxed()
}

async fn take_offer(
    state: &State,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Offer, Refusal> {
    let body = collect(body).await;
    let seen = body.as_ref().cloned().unwrap_or_default();
    state.memory().record(recorded(&Method::POST, "/v2/messages", headers, &seen));
    let body = body?;
    if !is_json(headers) {
        let why = "The Content-Type must be application/json.";
        return Err(Refusal::new(CONTENT_TYPE_UNKNOWN, why));
    }
    let authorization = header(headers, AUTHORIZATION.as_str());
    Ok(Offer { authorization, idempotency_key: header(headers, IDEMPOTENCY_KEY), body })
}

/// `GET /v2/messages/{id}`
fn show(state: Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("v2" / "messages" / String)
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .map(move |id: String, headers: HeaderMap| {
            let path = format!("/v2/messages/{id}");
            state.memory().record(recorded(&Method::GET, &path, &headers, &Bytes::new()));
            if let Err(refusal) =
                authenticate(&state, header(&headers, AUTHORIZATION.as_str()).as_deref())
            {
                return refusal.into_response();
            }
            let id = Uuid::parse_str(&id).ok();
            let message = id.and_then(|id| state.memory().messages.get(&id).cloned());
            match message {
                Some(message) => json(StatusCode::OK, &serde_json::json!({ "data": message })),
                None => {
                    let why = "The message does not exist or is older than 10 days.";
                    Refusal::new(MESSAGE_NOT_FOUND, why).into_response()
                }
            }
        })
        .boxed()
}

/// `GET /sandbox/requests`
fn requests(state: Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("sandbox" / "requests")
        .and(warp::get())
        .map(move || {
            let requests = state.memory().requests();
            json(StatusCode::OK, &requests)
        })
        .boxed()
}

/// What `POST /sandbox/inbound` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: String,
    to: Option<String>,
    text: String,
    #[serde(default)]
    picture: bool,
}

/// `POST /sandbox/inbound`: a contact writes of its own accord.
fn write(state: Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("sandbox" / "inbound")
        .and(warp::post())
        .and(warp::body::stream())
        .then(move |body| {
            let state = Arc::clone(&state);
            async move {
                let answer = collect(body).await.and_then(|body| receive_written(&state, &body));
                answer.unwrap_or_else(Refusal::into_response)
            }
        })
        .boxed()
}

fn receive_written(state: &Arc<State>, body: &[u8]) -> Result<Answer, Refusal> {
    let written: Written = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(INVALID_JSON, format!("{error}.")))?;
    let number = |typed: &str, at: &str| {
        let refusal = |_| Refusal::new(BAD_REQUEST, "That is not a phone number.").at(at);
        PhoneNumber::parse(typed).map_err(refusal)
    };
    let from = number(&written.from, "/from")?;
    let to = number(written.to.as_deref().unwrap_or(OWN_NUMBER), "/to")?;
    let inbound = Inbound {
        from: from.as_str(),
        to: to.as_str(),
        text: written.text,
        picture_url: written.picture.then(|| state.picture_url.clone()),
    };
    let message = Message::inbound(inbound, state.webhook_url.as_deref());
    let answer = json(StatusCode::OK, &serde_json::json!({ "data": message }));
    let task_state = Arc::clone(state);
    state.spawn(async move { life::write(&task_state, message, 1).await });
    Ok(answer)
}

/// `GET /sandbox/picture.png`
fn picture() -> BoxedFilter<(Answer,)> {
    warp::path!("sandbox" / "picture.png")
        .and(warp::get())
        .map(|| {
            let mut answer = Response::new(Bytes::from_static(PICTURE));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
            answer
        })
        .boxed()
}

/// Answers what has no route.
async fn refuse(rejection: Rejection) -> Result<Answer, Infallible> {
    let refusal = if rejection.is_not_found() {
        Refusal::new(NOT_FOUND, "The sandbox has no such route.")
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        Refusal::new(METHOD_NOT_ALLOWED, "The route exists, but not for this method.")
    } else {
        Refusal::new(BAD_REQUEST, "The request could not be understood.")
    };
    Ok(refusal.into_response())
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

fn recorded(method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> Recorded {
    Recorded {
        method: method.to_string(),
        path: path.to_owned(),
        idempotency_key: header(headers, IDEMPOTENCY_KEY),
        body: body.clone(),
        at: clock::now(),
    }
}

/// A header as text; what is no text becomes U+FFFD, which no check accepts.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Without a Content-Type the body counts as JSON, because nothing else is ever sent here.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = header(headers, CONTENT_TYPE.as_str()) else { return true };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The whole body, if it is not too large.
async fn collect(
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Bytes, Refusal> {
    pin_mut!(body);
    let mut collected = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| Refusal::new(BAD_REQUEST, "The body broke off."))?;
        if collected.len() + part.remaining() > MAX_BODY {
            return Err(Refusal::new(TOO_LARGE, "The body is larger than 1 MiB."));
        }
        collected.put(part);
    }
    Ok(collected.freeze())
}
