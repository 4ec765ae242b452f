//! Whether the server works: `/health` for liveness, `/health/ready` for readiness.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use warp::reply::Response;

use super::response;
use super::state::ServerState;
use crate::error::Error;
use crate::threading::Check;

const READY: &str = "ready";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Timeout of each readiness check; they run concurrently.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the server is ready to serve.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Readiness {
    status: &'static str,
    /// The readiness checks and their results. Only for callers with access.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<Check>>,
    /// The version of the server. Only for callers with access.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
}

impl Readiness {
    /// Ready means that every check passes.
    pub(super) fn new(checks: Vec<Check>) -> Self {
        let is_ready = checks.iter().all(|check| check.ok);
        Self {
            status: if is_ready { READY } else { "not ready" },
            checks: Some(checks),
            version: Some(VERSION),
        }
    }

    /// What strangers may know.
    fn without_details(self) -> Self {
        Self { checks: None, version: None, ..self }
    }

    fn http_status(&self) -> StatusCode {
        if self.status == READY { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }
}

/// `GET /health`
pub(super) fn live() -> Response {
    response::json_bytes(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// `GET /health/ready`
pub(super) async fn ready(has_access: bool, state: Arc<ServerState>) -> Result<Response, Error> {
    let readiness = Readiness::new(state.readiness.get(|| check(&state)).await);
    let readiness = if has_access { readiness } else { readiness.without_details() };
    response::json(readiness.http_status(), &readiness)
}

async fn check(state: &ServerState) -> Vec<Check> {
    let mut checks = match state.opened() {
        Some(conversations) => conversations.ready(READY_TIMEOUT).await,
        None => vec![Check::new("database", false, "the server is waiting for its database")],
    };
    let has_key = !state.verifier.is_empty();
    checks.push(Check::new("public_key", has_key, "TELNYX_PUBLIC_KEY is not set"));
    let stays = !state.closing.load(Ordering::Relaxed);
    checks.push(Check::new("running", stays, "the server is shutting down"));
    checks
}

/// The last result. Anyone may ask, so the database is asked by one at a time, and those who waited
/// share what the next one finds.
#[derive(Debug, Default)]
pub(super) struct LastChecks(Mutex<Option<(Instant, Vec<Check>)>>);

impl LastChecks {
    /// A result of `check` that was begun after this call.
    async fn get(&self, check: impl AsyncFnOnce() -> Vec<Check>) -> Vec<Check> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((begun, checks)) = &*last
            && *begun >= asked
        {
            return checks.clone();
        }
        let begun = Instant::now();
        let checks = check().await;
        *last = Some((begun, checks.clone()));
        checks
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Each of the checks lasts until all callers wait.
    #[tokio::test]
    async fn many_callers_at_once_cost_two_checks() {
        let last = LastChecks::default();
        let runs = AtomicUsize::new(0);
        let check = async || {
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            vec![Check::new("database", true, "")]
        };
        let all = futures_util::future::join_all((0..50).map(|_| last.get(check))).await;
        assert!(all.iter().all(|checks| checks.len() == 1));
        assert_eq!(runs.load(Ordering::SeqCst), 2, "the first one's, and one for all who waited");
        last.get(check).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3, "an old result is not used");
    }
}
