//! Metrics for Prometheus, recorded where things happen.
//!
//! They belong to the process, as its log does: recording is one function call, and in a command
//! whose metrics nobody scrapes it costs next to nothing. `docs/observing.md` lists them all.

mod families;
mod labels;
mod snapshot;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::domain::{EventOutcome, FeedEvent, MediaState, Status, SyncSource};
use crate::error::Code;
use families::{Families, TELNYX_FETCH, TELNYX_LOOK_UP, TELNYX_SEND};

pub(crate) use labels::{
    AuthFailure, DatabaseErrorClass, DeliveryOutcome, FetchOutcome, Label, LookupOutcome,
    MethodLabel, OfferOutcome, Repeat, Route, SendOutcome, SignatureFailure, StatusClass,
    WebhookFailure,
};
pub(crate) use snapshot::text;
pub use snapshot::{ForwardStats, PoolStats, Snapshot, SyncStats, UnsettledStats};

static FAMILIES: LazyLock<Families> =
    LazyLock::new(|| Families::new().expect("valid names, labels and buckets, each used once"));
/// When the last webhook was accepted, in microseconds since the Unix epoch; 0 for never.
static LAST_WEBHOOK: AtomicI64 = AtomicI64::new(0);

/// Keeps a gauge one higher for as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight(&'static prometheus::IntGauge);

impl InFlight {
    pub(crate) fn connection() -> Self {
        Self::new(&FAMILIES.http.connections)
    }

    pub(crate) fn request() -> Self {
        Self::new(&FAMILIES.http.in_flight)
    }

    pub(crate) fn stream() -> Self {
        Self::new(&FAMILIES.http.streams)
    }

    fn new(gauge: &'static prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request has ended. `took` is from its head to the last byte of its response; how long a client
/// follows the feed says nothing about the server.
pub(crate) fn request(route: Route, method: MethodLabel, status: StatusClass, took: Duration) {
    let waits = matches!(route, Route::Events | Route::Sync);
    let (route, method) = (route.as_str(), method.as_str());
    FAMILIES.http.requests.with_label_values(&[route, method, status.as_str()]).inc();
    if !waits {
        FAMILIES.http.duration.with_label_values(&[route, method]).observe(took.as_secs_f64());
    }
}

/// Events of the feed were served to a client.
pub(crate) fn events(events: &[FeedEvent]) {
    for event in events {
        FAMILIES.http.events.with_label_values(&[event.kind.as_str()]).inc();
    }
}

/// A request was answered with an error.
pub(crate) fn error(code: Code) {
    FAMILIES.http.errors.with_label_values(&[code.as_str()]).inc();
}

/// A caller was not authenticated.
pub(crate) fn unauthorized(reason: AuthFailure) {
    FAMILIES.http.unauthorized.with_label_values(&[reason.as_str()]).inc();
}

/// A signed webhook is stored.
pub(crate) fn webhook_accepted(outcome: EventOutcome) {
    LAST_WEBHOOK.fetch_max(clock::now().as_micros(), Ordering::Relaxed);
    FAMILIES.webhooks.ended.with_label_values(&[outcome.as_str()]).inc();
}

/// A webhook was not accepted. One whose signature does not verify goes through
/// [`signature_refused`].
pub(crate) fn webhook_failed(failure: WebhookFailure) {
    FAMILIES.webhooks.ended.with_label_values(&[failure.as_str()]).inc();
}

/// The signature of a webhook did not verify.
pub(crate) fn signature_refused(reason: SignatureFailure) {
    webhook_failed(WebhookFailure::Refused);
    unauthorized(AuthFailure::Signature);
    FAMILIES.webhooks.refused.with_label_values(&[reason.as_str()]).inc();
}

/// A new delivery report named a status; `None` for a word that changes nothing.
pub(crate) fn status_report(status: Option<Status>) {
    FAMILIES.webhooks.reports.with_label_values(&[status.map_or("other", Status::as_str)]).inc();
}

/// A send has ended.
pub(crate) fn send(outcome: Result<SendOutcome, Code>) {
    let outcome = outcome.map_or_else(Code::as_str, SendOutcome::as_str);
    FAMILIES.sending.sends.with_label_values(&[outcome]).inc();
}

/// Settling changed the status of a message.
pub(crate) fn settled(status: Status) {
    FAMILIES.sending.settled.with_label_values(&[status.as_str()]).inc();
}

/// A request to Telnyx to send a message has ended.
pub(crate) fn telnyx_send(outcome: OfferOutcome, took: Duration) {
    telnyx(TELNYX_SEND, outcome, took);
}

/// Looking up a message at Telnyx has ended.
pub(crate) fn telnyx_look_up(outcome: LookupOutcome, took: Duration) {
    telnyx(TELNYX_LOOK_UP, outcome, took);
}

/// A request of a sync to Telnyx has ended.
pub(crate) fn telnyx_fetch(outcome: FetchOutcome, took: Duration) {
    telnyx(TELNYX_FETCH, outcome, took);
}

/// A sync has read a source; `found` is how many things it brought that were not known.
pub(crate) fn synced(source: SyncSource, ended_well: bool, found: u64) {
    let outcome = if ended_well { "complete" } else { "incomplete" };
    FAMILIES.sync.passes.with_label_values(&[source.as_str(), outcome]).inc();
    FAMILIES.sync.found.with_label_values(&[source.as_str()]).inc_by(found);
}

fn telnyx(request: &'static str, outcome: impl Label, took: Duration) {
    let outcome = outcome.as_str();
    FAMILIES.sending.requests.with_label_values(&[request, outcome]).inc();
    FAMILIES.sending.duration.with_label_values(&[request]).observe(took.as_secs_f64());
}

/// An attempt to forward an event has ended. The name is one of the settings.
pub(crate) fn forwarded(name: &str, outcome: DeliveryOutcome) {
    FAMILIES.forwarded.with_label_values(&[name, outcome.as_str()]).inc();
}

/// An attempt to fetch a medium has ended; with [`MediaState::Waiting`] it is repeated.
pub(crate) fn medium_fetched(state: MediaState) {
    FAMILIES.media.with_label_values(&[state.as_str()]).inc();
}

/// The writer committed a batch.
pub(crate) fn batch(jobs: usize, took: Duration, commit_took: Duration) {
    FAMILIES.writer.batch.observe(jobs as f64);
    FAMILIES.writer.duration.observe(took.as_secs_f64());
    FAMILIES.writer.commit.observe(commit_took.as_secs_f64());
}

/// The writer repeated something.
pub(crate) fn repeat(reason: Repeat) {
    FAMILIES.writer.repeats.with_label_values(&[reason.as_str()]).inc();
}

/// The writer's queue was full.
pub(crate) fn turned_away() {
    FAMILIES.writer.turned_away.inc();
}

/// The writer replaced its connection.
pub(crate) fn reconnect() {
    FAMILIES.writer.reconnects.inc();
}

/// A database operation failed for good, after any retries.
pub(crate) fn database_error(class: DatabaseErrorClass) {
    FAMILIES.database_errors.with_label_values(&[class.as_str()]).inc();
}
