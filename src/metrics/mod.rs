//! What is counted, where it happens, and how it is told to Prometheus.
//!
//! The counters belong to the process, as its log does: whoever sees something happen says so by
//! one call, and a command that nobody asks for its metrics has counted a few numbers in vain.
//! Labels come from small fixed sets, never from what somebody sent. `docs/observing.md` lists all.

mod families;
mod live;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::domain::Status;
use crate::error::Code;
use families::Families;

pub use live::{Connections, Live, Open, text};

static FAMILIES: LazyLock<Families> =
    LazyLock::new(|| Families::new().expect("every name, label and bucket is good and used once"));
/// When the last webhook was accepted, in microseconds since the Unix epoch; 0 for never.
static LAST_WEBHOOK: AtomicI64 = AtomicI64::new(0);

/// Why a writer did something once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Another process held SQLite's write lock, so the transaction began later.
    Lock,
    /// Two servers waited for each other.
    Contention,
    /// A row spoilt its batch, whose jobs were then written one by one.
    Data,
}

/// Counts something as one of those under way for as long as it lives.
#[derive(Debug)]
pub struct UnderWay(&'static prometheus::IntGauge);

impl UnderWay {
    /// An open connection.
    #[must_use]
    pub fn connection() -> Self {
        Self::of(&FAMILIES.http.connections)
    }

    /// A request that is being answered.
    #[must_use]
    pub fn request() -> Self {
        Self::of(&FAMILIES.http.in_flight)
    }

    fn of(gauge: &'static prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request has ended: the template of its route, its method, the class of its status, and how
/// long it took.
pub fn request(route: &'static str, method: &'static str, class: &'static str, took: Duration) {
    FAMILIES.http.requests.with_label_values(&[route, method, class]).inc();
    FAMILIES.http.duration.with_label_values(&[route, method]).observe(took.as_secs_f64());
}

/// A request was answered with an error.
pub fn error(code: Code) {
    FAMILIES.http.errors.with_label_values(&[code.as_str()]).inc();
}

/// A caller was refused for want of a good token or signature.
pub fn unauthorized(reason: &'static str) {
    FAMILIES.http.unauthorized.with_label_values(&[reason]).inc();
}

/// A webhook has ended, one way or the other.
pub fn webhook(outcome: &'static str) {
    FAMILIES.webhooks.ended.with_label_values(&[outcome]).inc();
}

/// A webhook was believed and is stored.
pub fn webhook_accepted(outcome: &'static str) {
    LAST_WEBHOOK.fetch_max(clock::now().as_micros(), Ordering::Relaxed);
    webhook(outcome);
}

/// A webhook was not believed.
pub fn webhook_refused(reason: &'static str) {
    webhook("refused");
    unauthorized("signature");
    FAMILIES.webhooks.refused.with_label_values(&[reason]).inc();
}

/// A new report named a status; `None` for a word that moves nothing.
pub fn status_report(status: Option<Status>) {
    FAMILIES.webhooks.reports.with_label_values(&[status.map_or("other", Status::as_str)]).inc();
}

/// A send has ended: `accepted`, `unknown`, `repeated`, or with an error.
pub fn send(outcome: Result<&'static str, Code>) {
    let outcome = outcome.map_or_else(Code::as_str, str::to_owned);
    FAMILIES.sending.sends.with_label_values(&[outcome]).inc();
}

/// Settling moved a message to a status.
pub fn settled(status: Status) {
    FAMILIES.sending.settled.with_label_values(&[status.as_str()]).inc();
}

/// A request to Telnyx has ended.
pub fn telnyx(request: &'static str, outcome: &'static str, took: Duration) {
    FAMILIES.sending.requests.with_label_values(&[request, outcome]).inc();
    FAMILIES.sending.duration.with_label_values(&[request]).observe(took.as_secs_f64());
}

/// A batch of so many jobs was committed.
pub fn batch(jobs: usize, took: Duration, commit_took: Duration) {
    FAMILIES.writer.batch.observe(jobs as f64);
    FAMILIES.writer.duration.observe(took.as_secs_f64());
    FAMILIES.writer.commit.observe(commit_took.as_secs_f64());
}

/// The writer did something once more.
pub fn repeat(reason: Repeat) {
    let reason = match reason {
        Repeat::Lock => "lock",
        Repeat::Contention => "contention",
        Repeat::Data => "data",
    };
    FAMILIES.writer.repeats.with_label_values(&[reason]).inc();
}

/// A job found no place in the writer's queue.
pub fn turned_away() {
    FAMILIES.writer.turned_away.inc();
}

/// The writer threw a connection away that is not to be trusted.
pub fn reconnect() {
    FAMILIES.writer.reconnects.inc();
}

/// The database failed.
pub fn database_error(class: &'static str) {
    FAMILIES.database_errors.with_label_values(&[class]).inc();
}
