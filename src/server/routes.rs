//! The routes. Each filter checks the path first, then the method, then access. All are boxed, which
//! keeps compile times bounded, and ordered by how often they are requested.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method};
use warp::filters::BoxedFilter;
use warp::reject::{Rejection, custom};
use warp::reply::Response;
use warp::{Filter, any, body, ext, header, path, query};

use super::access::{AccessDenied, AccessRequest, Caller, Scope};
use super::body::Arrival;
use super::context::RequestContext;
use super::path::Segment;
use super::permits::Admission;
use super::response::{Refused, WrongMethod, recover, respond};
use super::state::ServerState;
use super::{
    batches, contacts, conversations, events, export, forget, forwards, health, media, messages,
    metrics, openapi, search, send, stats, stored_events, sync, unread, webhook,
};
use crate::metrics::Route;

/// The scopes of those who may see metrics and the details of readiness.
const METRICS: &[Scope] = &[Scope::Metrics, Scope::Read];

/// All routes. Errors are JSON, also for unknown paths.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let frequent = receive(state).or(health()).unify();
    let others = send_message(state)
        .or(batches(state))
        .unify()
        .or(conversations(state))
        .unify()
        .or(conversation(state))
        .unify()
        .or(marking(state))
        .unify()
        .or(forgetting(state))
        .unify()
        .or(contacts(state))
        .unify()
        .or(retry(state))
        .unify()
        .or(cancel(state))
        .unify()
        .or(search_messages(state))
        .unify()
        .or(message(state))
        .unify()
        .or(statistics(state))
        .unify()
        .or(medium(state))
        .unify()
        .or(events(state))
        .unify()
        .or(forwarding(state))
        .unify()
        .or(list_stored_events(state))
        .unify()
        .or(stored_event(state))
        .unify()
        .or(export(state))
        .unify()
        .or(synchronize(state))
        .unify()
        .or(ready(state))
        .unify()
        .or(metrics(state))
        .unify()
        .or(openapi(state))
        .unify()
        .boxed();
    let routes = frequent.or(others).unify().boxed();
    let versioned = path("v1").and(routes.clone());
    routes.or(versioned).unify().recover(recover).unify().boxed()
}

fn receive(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "sms")
        .and(route(Route::Webhook))
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
    path!("health").and(route(Route::Health)).and(get()).map(health::live).boxed()
}

fn ready(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("health" / "ready")
        .and(route(Route::Ready))
        .and(get())
        .and(knows_caller(METRICS, state))
        .and(with(state))
        .then(health::ready)
        .map(respond)
        .boxed()
}

fn metrics(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("metrics")
        .and(route(Route::Metrics))
        .and(get())
        .and(allowed(METRICS, state))
        .and(with(state))
        .then(metrics::show)
        .map(respond)
        .boxed()
}

fn openapi(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("openapi.json")
        .and(route(Route::OpenApi))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .map(openapi::show)
        .boxed()
}

fn send_message(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "send")
        .and(route(Route::Send))
        .and(post())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(send::send)
        .map(respond)
        .boxed()
}

/// Batches, whose rows are sent one by one.
fn batches(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let record = path!("batches" / Segment)
        .and(route(Route::Batch))
        .and(post())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(batches::record)
        .map(respond)
        .boxed();
    path!("batches" / Segment / "check")
        .and(route(Route::BatchCheck))
        .and(post())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(batches::check)
        .map(respond)
        .or(record)
        .unify()
        .boxed()
}

fn conversations(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations")
        .and(route(Route::Conversations))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(conversations::list)
        .map(respond)
        .boxed()
}

fn conversation(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment)
        .and(route(Route::Conversation))
        .and(get_beside_delete())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(conversations::show)
        .map(respond)
        .boxed()
}

/// Marking a conversation read or unread.
fn marking(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let unread = path!("conversations" / Segment / "unread")
        .and(route(Route::MarkUnread))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(unread::unread)
        .map(respond)
        .boxed();
    path!("conversations" / Segment / "read")
        .and(route(Route::MarkRead))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(unread::read)
        .map(respond)
        .or(unread)
        .unify()
        .boxed()
}

/// Forgetting a contact, which is for administrators.
fn forgetting(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let list = path!("forgotten")
        .and(route(Route::Forgotten))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forget::list)
        .map(respond)
        .boxed();
    path!("conversations" / Segment)
        .and(route(Route::Conversation))
        .and(delete())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forget::forget)
        .map(respond)
        .or(list)
        .unify()
        .boxed()
}

/// Contacts and their names.
fn contacts(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    list_contacts(state)
        .or(contact(state))
        .unify()
        .or(name_contacts(state))
        .unify()
        .or(name_contact(state))
        .unify()
        .or(unname_contact(state))
        .unify()
        .boxed()
}

fn list_contacts(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("contacts")
        .and(route(Route::Contacts))
        .and(get_beside_put())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(contacts::list)
        .map(respond)
        .boxed()
}

/// Whoever may send can find out whom a name means.
fn contact(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("contacts" / Segment)
        .and(route(Route::Contact))
        .and(get())
        .and(allowed(&[Scope::Read, Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(contacts::show)
        .map(respond)
        .boxed()
}

fn name_contacts(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("contacts")
        .and(route(Route::Contacts))
        .and(put_beside_get())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(contacts::name_all)
        .map(respond)
        .boxed()
}

fn name_contact(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "name")
        .and(route(Route::ContactName))
        .and(put_beside_delete())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(contacts::name)
        .map(respond)
        .boxed()
}

fn unname_contact(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "name")
        .and(route(Route::ContactName))
        .and(delete_beside_put())
        .and(allowed(&[Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(contacts::unname)
        .map(respond)
        .boxed()
}

fn message(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment)
        .and(route(Route::Message))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .then(messages::show)
        .map(respond)
        .boxed()
}

fn search_messages(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages")
        .and(route(Route::Messages))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(search::list)
        .map(respond)
        .boxed()
}

fn statistics(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("stats")
        .and(route(Route::Stats))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(stats::show)
        .map(respond)
        .boxed()
}

fn medium(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "media" / Segment)
        .and(route(Route::Media))
        .and(get())
        .and(warp::method())
        .and(allowed_headers(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .then(media::show)
        .map(respond)
        .boxed()
}

fn retry(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "retry")
        .and(route(Route::Retry))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(messages::retry)
        .map(respond)
        .boxed()
}

fn cancel(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "cancel")
        .and(route(Route::Cancel))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(messages::cancel)
        .map(respond)
        .boxed()
}

fn events(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("events")
        .and(route(Route::Events))
        .and(get())
        .and(allowed_headers(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(ext::get::<Admission>())
        .and(raw_query())
        .then(events::read)
        .map(respond)
        .boxed()
}

/// Everything, which is for administrators.
fn export(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("export")
        .and(route(Route::Export))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(export::read)
        .map(respond)
        .boxed()
}

/// Raw events, which are for administrators.
fn list_stored_events(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "events")
        .and(route(Route::StoredEvents))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(stored_events::list)
        .map(respond)
        .boxed()
}

fn stored_event(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "events" / Segment)
        .and(route(Route::StoredEvent))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(client())
        .and(with(state))
        .then(stored_events::show)
        .map(respond)
        .boxed()
}

fn synchronize(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("sync")
        .and(route(Route::Sync))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(ext::get::<Admission>())
        .and(raw_query())
        .then(sync::sync)
        .map(respond)
        .boxed()
}

/// Forwarding, which is for administrators.
fn forwarding(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    list_forwards(state)
        .or(test_forward(state))
        .unify()
        .or(enable_forward(state))
        .unify()
        .or(replay_forward(state))
        .unify()
        .boxed()
}

fn list_forwards(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards")
        .and(route(Route::Forwards))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::list)
        .map(respond)
        .boxed()
}

fn test_forward(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards" / Segment / "test")
        .and(route(Route::ForwardTest))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::test)
        .map(respond)
        .boxed()
}

fn enable_forward(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards" / Segment / "enable")
        .and(route(Route::ForwardEnable))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::enable)
        .map(respond)
        .boxed()
}

fn replay_forward(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards" / Segment / "replay")
        .and(route(Route::ForwardReplay))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::replay)
        .map(respond)
        .boxed()
}

fn with(
    state: &Arc<ServerState>,
) -> impl Filter<Extract = (Arc<ServerState>,), Error = Infallible> + Clone + use<> {
    let state = Arc::clone(state);
    any().map(move || Arc::clone(&state))
}

/// Whose shares of budgets the request uses. To be called after access control.
fn client() -> impl Filter<Extract = (Arc<str>,), Error = Infallible> + Copy {
    ext::optional::<Arc<RequestContext>>().map(|context: Option<Arc<RequestContext>>| {
        context.map_or_else(|| Arc::from(""), |context| context.client())
    })
}

/// How the request arrives.
fn arrival() -> impl Filter<Extract = (Arrival,), Error = Rejection> + Copy {
    ext::get::<Arrival>()
}

/// Requires access with one of some scopes.
fn allowed(
    scopes: &'static [Scope],
    state: &Arc<ServerState>,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    allowed_headers(scopes, state).map(drop).untuple_one()
}

/// Requires access with one of some scopes, and extracts the headers, which are cloned only once.
fn allowed_headers(
    scopes: &'static [Scope],
    state: &Arc<ServerState>,
) -> impl Filter<Extract = (HeaderMap,), Error = Rejection> + Clone + use<> {
    with(state).and(asked()).and_then(move |state: Arc<ServerState>, asked: Asked| async move {
        let checked = state.access.check(&asked.request(scopes), Instant::now()).await;
        match checked {
            Ok(token) => {
                asked.note(token, true);
                Ok(asked.headers)
            }
            Err(denied) => Err(asked.refuse(denied).await),
        }
    })
}

/// Requires nothing, and extracts whether the caller has access with one of some scopes.
fn knows_caller(
    scopes: &'static [Scope],
    state: &Arc<ServerState>,
) -> impl Filter<Extract = (bool,), Error = Rejection> + Clone + use<> {
    with(state).and(asked()).and_then(move |state: Arc<ServerState>, asked: Asked| async move {
        let checked = state.access.check_open(&asked.request(scopes), Instant::now()).await;
        match checked {
            Ok((has_access, token)) => {
                asked.note(token, has_access);
                Ok(has_access)
            }
            Err(denied) => Err(asked.refuse(denied).await),
        }
    })
}

/// What is known of a request when its access is checked.
struct Asked {
    method: Method,
    caller: Option<Caller>,
    headers: HeaderMap,
    context: Option<Arc<RequestContext>>,
}

impl Asked {
    fn request(&self, scopes: &'static [Scope]) -> AccessRequest<'_> {
        let Self { method, caller, headers, .. } = self;
        AccessRequest { scopes, method, caller: caller.as_ref(), headers }
    }

    /// Records who called.
    fn note(&self, token: Option<Arc<str>>, has_access: bool) {
        let Some(context) = &self.context else { return };
        if has_access || token.is_some() {
            context.set_trusted();
        }
        if let Some(token) = token {
            context.set_token(token);
        }
    }

    async fn refuse(&self, denied: AccessDenied) -> Rejection {
        self.note(denied.token, false);
        if let Some(delay) = denied.delay {
            delay.wait().await;
        }
        custom(Refused(denied.error))
    }
}

fn asked() -> impl Filter<Extract = (Asked,), Error = Infallible> + Clone {
    warp::method()
        .and(ext::optional::<Caller>())
        .and(header::headers_cloned())
        .and(ext::optional::<Arc<RequestContext>>())
        .map(|method, caller, headers, context| Asked { method, caller, headers, context })
}

/// Records the route in the request's context.
fn route(route: Route) -> impl Filter<Extract = (), Error = Infallible> + Copy {
    ext::optional::<Arc<RequestContext>>()
        .map(move |context: Option<Arc<RequestContext>>| {
            if let Some(context) = context {
                context.set_route(route);
            }
        })
        .untuple_one()
}

/// `GET`, and `HEAD`, for which hyper omits the body.
fn get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), "GET, HEAD")
}

fn post() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::POST, "POST")
}

const GET_AND_PUT: &str = "GET, HEAD, PUT";

fn get_beside_put() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), GET_AND_PUT)
}

fn put_beside_get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::PUT, GET_AND_PUT)
}

const PUT_AND_DELETE: &str = "PUT, DELETE";

fn put_beside_delete() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::PUT, PUT_AND_DELETE)
}

fn delete_beside_put() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::DELETE, PUT_AND_DELETE)
}

const GET_AND_DELETE: &str = "GET, HEAD, DELETE";

fn get_beside_delete() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), GET_AND_DELETE)
}

fn delete() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::DELETE, GET_AND_DELETE)
}

fn only(
    accepts: fn(&Method) -> bool,
    allow: &'static str,
) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::method()
        .and_then(move |method: Method| async move {
            if accepts(&method) { Ok(()) } else { Err(custom(WrongMethod(allow))) }
        })
        .untuple_one()
}

/// The query string, undecoded; empty if the URL has no query.
fn raw_query() -> BoxedFilter<(String,)> {
    query::raw().or(any().map(String::new)).unify().boxed()
}
