//! What routes are made of: access, the state, and what is known of a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method};
use warp::filters::BoxedFilter;
use warp::reject::{Rejection, custom};
use warp::{Filter, any, ext, header, query};

use crate::metrics::Route;
use crate::server::access::{AccessDenied, AccessRequest, Caller, Scope};
use crate::server::body::Arrival;
use crate::server::context::RequestContext;
use crate::server::response::Refused;
use crate::server::state::ServerState;

pub(super) fn with(
    state: &Arc<ServerState>,
) -> impl Filter<Extract = (Arc<ServerState>,), Error = Infallible> + Clone + use<> {
    let state = Arc::clone(state);
    any().map(move || Arc::clone(&state))
}

/// Whose shares of budgets the request uses. To be called after access control.
pub(super) fn client() -> impl Filter<Extract = (Arc<str>,), Error = Infallible> + Copy {
    ext::optional::<Arc<RequestContext>>().map(|context: Option<Arc<RequestContext>>| {
        context.map_or_else(|| Arc::from(""), |context| context.client())
    })
}

/// How the request arrives.
pub(super) fn arrival() -> impl Filter<Extract = (Arrival,), Error = Rejection> + Copy {
    ext::get::<Arrival>()
}

/// Requires access with one of some scopes.
pub(super) fn allowed(
    scopes: &'static [Scope],
    state: &Arc<ServerState>,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    allowed_headers(scopes, state).map(drop).untuple_one()
}

/// Requires access with one of some scopes, and extracts the headers, which are cloned only once.
pub(super) fn allowed_headers(
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
pub(super) fn knows_caller(
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
pub(super) fn route(route: Route) -> impl Filter<Extract = (), Error = Infallible> + Copy {
    ext::optional::<Arc<RequestContext>>()
        .map(move |context: Option<Arc<RequestContext>>| {
            if let Some(context) = context {
                context.set_route(route);
            }
        })
        .untuple_one()
}

/// The query string, undecoded; empty if the URL has no query.
pub(super) fn raw_query() -> BoxedFilter<(String,)> {
    query::raw().or(any().map(String::new)).unify().boxed()
}
