//! Which request goes where: path first, then method, then who asks. Every leaf is boxed, which
//! keeps compile times bounded; the busy ones stand first.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method};
use warp::filters::BoxedFilter;
use warp::reject::{Rejection, custom};
use warp::reply::Response;
use warp::{Filter, any, body, ext, header, path, query};

use super::access::{Asked, Caller};
use super::path::Segment;
use super::reply::{Refused, WrongMethod, recover, respond};
use super::request::Context;
use super::state::State;
use super::{metrics, reading, send, webhook};
use crate::config::Scope;

/// Every route of the server. Whatever is asked, the answer is JSON.
pub(super) fn all(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    let busy = receive(state).or(health()).unify();
    let others = send_message(state)
        .or(conversations(state))
        .unify()
        .or(conversation(state))
        .unify()
        .or(retry(state))
        .unify()
        .or(message(state))
        .unify()
        .or(ready(state))
        .unify()
        .or(metrics(state))
        .unify()
        .or(openapi(state))
        .unify()
        .boxed();
    busy.or(others).unify().recover(recover).unify().boxed()
}

fn receive(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "sms")
        .and(route("/webhooks/sms"))
        .and(post())
        .and(with(state))
        .and(arrival())
        .and(header::headers_cloned())
        .and(body::stream())
        .then(webhook::receive)
        .map(respond)
        .boxed()
}

fn health() -> BoxedFilter<(Response,)> {
    path!("health").and(route("/health")).and(get()).map(reading::health).boxed()
}

fn ready(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("health" / "ready")
        .and(route("/health/ready"))
        .and(get())
        .and(allowed(Scope::Read, state))
        .and(with(state))
        .then(reading::ready)
        .map(respond)
        .boxed()
}

fn metrics(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("metrics")
        .and(route("/metrics"))
        .and(get())
        .and(allowed(Scope::Read, state))
        .and(with(state))
        .then(metrics::metrics)
        .map(respond)
        .boxed()
}

fn openapi(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("openapi.json")
        .and(route("/openapi.json"))
        .and(get())
        .and(allowed(Scope::Read, state))
        .map(reading::openapi)
        .boxed()
}

fn send_message(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "send")
        .and(route("/conversations/{number}/send"))
        .and(post())
        .and(allowed(Scope::Send, state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(header::headers_cloned())
        .and(body::stream())
        .then(send::send)
        .map(respond)
        .boxed()
}

fn conversations(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("conversations")
        .and(route("/conversations"))
        .and(get())
        .and(allowed(Scope::Read, state))
        .and(with(state))
        .and(raw_query())
        .then(reading::conversations)
        .map(respond)
        .boxed()
}

fn conversation(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment)
        .and(route("/conversations/{id or number}"))
        .and(get())
        .and(allowed(Scope::Read, state))
        .and(with(state))
        .and(raw_query())
        .then(reading::conversation)
        .map(respond)
        .boxed()
}

fn message(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment)
        .and(route("/messages/{id}"))
        .and(get())
        .and(allowed(Scope::Read, state))
        .and(with(state))
        .then(reading::message)
        .map(respond)
        .boxed()
}

fn retry(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "retry")
        .and(route("/messages/{id}/retry"))
        .and(post())
        .and(allowed(Scope::Send, state))
        .and(with(state))
        .and(raw_query())
        .then(send::retry)
        .map(respond)
        .boxed()
}

fn with(
    state: &Arc<State>,
) -> impl Filter<Extract = (Arc<State>,), Error = Infallible> + Clone + use<> {
    let state = Arc::clone(state);
    any().map(move || Arc::clone(&state))
}

/// When the request began to arrive.
fn arrival() -> impl Filter<Extract = (Instant,), Error = Infallible> + Copy {
    ext::optional::<Caller>()
        .map(|caller: Option<Caller>| caller.map_or_else(Instant::now, |who| who.arrived))
}

/// Lets a caller pass whom the access rule knows and allows that much.
fn allowed(
    scope: Scope,
    state: &Arc<State>,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    with(state)
        .and(warp::method())
        .and(ext::optional::<Caller>())
        .and(header::headers_cloned())
        .and(ext::optional::<Arc<Context>>())
        .and_then(move |state, method, caller, headers, context| {
            check(scope, state, method, caller, headers, context)
        })
        .untuple_one()
}

async fn check(
    scope: Scope,
    state: Arc<State>,
    method: Method,
    caller: Option<Caller>,
    headers: HeaderMap,
    context: Option<Arc<Context>>,
) -> Result<(), Rejection> {
    let asked = Asked { scope, method: &method, caller: caller.as_ref(), headers: &headers };
    let checked = state.access.check(&asked, Instant::now());
    let token = match &checked {
        Ok(token) => token.as_ref(),
        Err(denied) => denied.token.as_ref(),
    };
    if let (Some(context), Some(token)) = (context, token) {
        context.set_token(Arc::clone(token));
    }
    let Err(denied) = checked else { return Ok(()) };
    if let Some(hold) = denied.hold {
        hold.over().await;
    }
    Err(custom(Refused(denied.error)))
}

/// Tells the request which route took it, by a template: a path may hold a number.
fn route(template: &'static str) -> impl Filter<Extract = (), Error = Infallible> + Copy {
    ext::optional::<Arc<Context>>()
        .map(move |context: Option<Arc<Context>>| {
            if let Some(context) = context {
                context.set_route(template);
            }
        })
        .untuple_one()
}

/// `GET`, and `HEAD`, whose answer loses its body on the way out.
fn get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), "GET, HEAD")
}

fn post() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::POST, "POST")
}

fn only(
    fits: fn(&Method) -> bool,
    allow: &'static str,
) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::method()
        .and_then(move |method: Method| async move {
            if fits(&method) { Ok(()) } else { Err(custom(WrongMethod(allow))) }
        })
        .untuple_one()
}

/// The query as it was sent; empty when there is none.
fn raw_query() -> BoxedFilter<(String,)> {
    query::raw().or(any().map(String::new)).unify().boxed()
}
