//! Every family that is counted as it happens: its name, its help, its labels.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    Result,
};

use crate::domain::Status;

/// Seconds of a request.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Seconds of a transaction.
const COMMIT_SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Jobs in a batch.
const BATCH_JOBS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) http: Http,
    pub(super) webhooks: Webhooks,
    pub(super) sending: Sending,
    pub(super) writer: Writer,
    pub(super) database_errors: IntCounterVec,
}

/// Requests to this server.
pub(super) struct Http {
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) in_flight: IntGauge,
    pub(super) connections: IntGauge,
    pub(super) unauthorized: IntCounterVec,
    pub(super) errors: IntCounterVec,
}

/// What Telnyx tells.
pub(super) struct Webhooks {
    pub(super) ended: IntCounterVec,
    pub(super) refused: IntCounterVec,
    pub(super) reports: IntCounterVec,
}

/// What Telnyx is told and asked.
pub(super) struct Sending {
    pub(super) sends: IntCounterVec,
    pub(super) settled: IntCounterVec,
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
}

/// The task that writes.
pub(super) struct Writer {
    pub(super) batch: Histogram,
    pub(super) duration: Histogram,
    pub(super) commit: Histogram,
    pub(super) repeats: IntCounterVec,
    pub(super) turned_away: IntCounter,
    pub(super) reconnects: IntCounter,
}

impl Families {
    pub(super) fn new() -> Result<Self> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let new = Maker(&registry);
        Ok(Self {
            http: Http::new(&new)?,
            webhooks: Webhooks::new(&new)?,
            sending: Sending::new(&new)?,
            writer: Writer::new(&new)?,
            database_errors: new.words(
                "convo_database_errors_total",
                "Failures of the database, by class",
                "class",
                ["contention", "data", "unavailable", "held"],
            )?,
            registry,
        })
    }
}

impl Http {
    fn new(new: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            requests: new.counters(
                "convo_http_requests_total",
                "HTTP requests, by the template of their route, method and class of status",
                &["route", "method", "status"],
            )?,
            duration: new.histograms(
                "convo_http_request_duration_seconds",
                "Time from a request's head to the last byte of its answer",
                &["route", "method"],
                REQUEST_SECONDS,
            )?,
            in_flight: new
                .gauge("convo_http_requests_in_flight", "HTTP requests being answered")?,
            connections: new.gauge("convo_http_connections", "Open HTTP connections")?,
            unauthorized: new.words(
                "convo_http_unauthorized_total",
                "Requests refused for want of a good token or signature, by reason",
                "reason",
                ["no_token", "wrong_token", "signature"],
            )?,
            errors: new.counters(
                "convo_errors_total",
                "Requests answered with an error, by the code of the answer",
                &["code"],
            )?,
        })
    }
}

impl Webhooks {
    fn new(new: &Maker<'_>) -> Result<Self> {
        let accepted = ["stored", "updated", "duplicate", "ignored"];
        let others = ["refused", "unreadable", "invalid", "unavailable"];
        Ok(Self {
            ended: new.words(
                "convo_webhooks_total",
                "Webhooks, by what became of them",
                "outcome",
                accepted.into_iter().chain(others),
            )?,
            refused: new.words(
                "convo_webhooks_refused_total",
                "Webhooks that were not believed, by reason",
                "reason",
                ["no_key", "missing_header", "bad_timestamp", "bad_signature", "stale"],
            )?,
            reports: new.words(
                "convo_status_reports_total",
                "New delivery reports, by the status they name, for each recipient",
                "status",
                reported().chain(["other"]),
            )?,
        })
    }
}

impl Sending {
    fn new(new: &Maker<'_>) -> Result<Self> {
        let made = Self {
            sends: new.words(
                "convo_sends_total",
                "Sends, by outcome: accepted, unknown, repeated under its key, or an error's code",
                "outcome",
                ["accepted", "unknown", "repeated"],
            )?,
            settled: new.words(
                "convo_settled_messages_total",
                "Messages whose status was moved by settling, by the new status",
                "status",
                [Status::Unknown.as_str()].into_iter().chain(reported()),
            )?,
            requests: new.counters(
                "convo_telnyx_requests_total",
                "Requests to Telnyx, by kind and outcome",
                &["request", "outcome"],
            )?,
            duration: new.histograms(
                "convo_telnyx_request_duration_seconds",
                "Time until Telnyx's answer was read or given up, by kind of request",
                &["request"],
                REQUEST_SECONDS,
            )?,
        };
        // Each is there from the start, as with `words`.
        let sends = ["accepted", "refused", "rate_limited", "unreachable", "ambiguous"];
        for (request, outcomes) in [("send", &sends[..]), ("look_up", &["told", "nothing"])] {
            made.duration.get_metric_with_label_values(&[request])?;
            for outcome in outcomes {
                made.requests.get_metric_with_label_values(&[request, outcome])?;
            }
        }
        Ok(made)
    }
}

impl Writer {
    fn new(new: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            batch: new.histogram(
                "convo_writer_batch_jobs",
                "Jobs committed together",
                BATCH_JOBS,
            )?,
            duration: new.histogram(
                "convo_writer_batch_duration_seconds",
                "Time of a transaction of the writer, waiting for its lock and commit included",
                COMMIT_SECONDS,
            )?,
            commit: new.histogram(
                "convo_writer_commit_duration_seconds",
                "Time of the commit alone",
                COMMIT_SECONDS,
            )?,
            repeats: new.words(
                "convo_writer_repeats_total",
                "What the writer did once more, by reason",
                "reason",
                ["lock", "contention", "data"],
            )?,
            turned_away: new.counter(
                "convo_writer_turned_away_total",
                "Jobs that found the writer's queue full",
            )?,
            reconnects: new
                .counter("convo_writer_reconnects_total", "Connections that the writer replaced")?,
        })
    }
}

/// The statuses that a report may name.
fn reported() -> impl Iterator<Item = &'static str> {
    let words = Status::ALL.iter().map(|status| status.as_str());
    words.filter(|word| Status::from_report(word).is_some())
}

/// Makes families and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, made: C) -> Result<C> {
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Counters by one label, each of whose words is there from the start: a rate over what has
    /// not happened yet is then zero and not nothing.
    fn words<'a>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<IntCounterVec> {
        let counters = self.counters(name, help, &[label])?;
        for word in words {
            counters.get_metric_with_label_values(&[word])?;
        }
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels)?)
    }
}
