//! The metrics that are recorded as things happen: name, help, labels, buckets.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    Result,
};

use super::labels::{
    AuthFailure, DatabaseErrorClass, FetchOutcome, Label, LookupOutcome, OfferOutcome, Repeat,
    SendOutcome, SignatureFailure, WebhookFailure,
};
use crate::domain::{EventOutcome, FeedKind, MediaState, Status, SyncSource};

/// Buckets for requests, in seconds.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Buckets for transactions, in seconds.
const COMMIT_SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Buckets for the number of jobs in a batch.
const BATCH_JOBS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The kinds of requests to Telnyx.
pub(super) const TELNYX_SEND: &str = "send";
pub(super) const TELNYX_LOOK_UP: &str = "look_up";
pub(super) const TELNYX_FETCH: &str = "sync";

pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) http: HttpMetrics,
    pub(super) webhooks: WebhookMetrics,
    pub(super) sending: SendMetrics,
    pub(super) writer: WriterMetrics,
    pub(super) database_errors: IntCounterVec,
    pub(super) forwarded: IntCounterVec,
    pub(super) sync: SyncMetrics,
    pub(super) media: IntCounterVec,
}

pub(super) struct HttpMetrics {
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) in_flight: IntGauge,
    pub(super) connections: IntGauge,
    pub(super) streams: IntGauge,
    pub(super) events: IntCounterVec,
    pub(super) unauthorized: IntCounterVec,
    pub(super) errors: IntCounterVec,
}

pub(super) struct WebhookMetrics {
    pub(super) ended: IntCounterVec,
    pub(super) refused: IntCounterVec,
    pub(super) reports: IntCounterVec,
}

/// Sends, and requests to Telnyx.
pub(super) struct SendMetrics {
    pub(super) sends: IntCounterVec,
    pub(super) settled: IntCounterVec,
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
}

pub(super) struct SyncMetrics {
    pub(super) passes: IntCounterVec,
    pub(super) found: IntCounterVec,
}

pub(super) struct WriterMetrics {
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
        let new = Registrar(&registry);
        Ok(Self {
            http: HttpMetrics::new(&new)?,
            webhooks: WebhookMetrics::new(&new)?,
            sending: SendMetrics::new(&new)?,
            writer: WriterMetrics::new(&new)?,
            database_errors: new.by_label::<DatabaseErrorClass>(
                "convo_database_errors_total",
                "Database errors, by class",
                "class",
            )?,
            forwarded: new.counters(
                "convo_forward_deliveries_total",
                "Attempts to forward an event, by name of the receiver and outcome",
                &["name", "outcome"],
            )?,
            sync: SyncMetrics::new(&new)?,
            media: new.words(
                "convo_media_fetches_total",
                "Attempts to fetch a media file, by its state afterwards; waiting means that it is repeated",
                "state",
                MediaState::ALL.map(MediaState::as_str),
            )?,
            registry,
        })
    }
}

impl HttpMetrics {
    fn new(new: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            requests: new.counters(
                "convo_http_requests_total",
                "HTTP requests, by route template, method and status class",
                &["route", "method", "status"],
            )?,
            duration: new.histograms(
                "convo_http_request_duration_seconds",
                "Time from receiving a request's head to sending the last byte of its response; not of /events and /sync, which wait",
                &["route", "method"],
                REQUEST_SECONDS,
            )?,
            in_flight: new.gauge("convo_http_requests_in_flight", "HTTP requests in progress")?,
            connections: new.gauge("convo_http_connections", "Open HTTP connections")?,
            streams: new.gauge(
                "convo_feed_streams",
                "Clients that follow the feed: event streams, and requests that wait for an event",
            )?,
            events: new.words(
                "convo_feed_events_total",
                "Events of the feed that were served, by kind; once for each client",
                "kind",
                FeedKind::ALL.map(FeedKind::as_str),
            )?,
            unauthorized: new.by_label::<AuthFailure>(
                "convo_http_unauthorized_total",
                "Requests without a valid token or signature, by reason",
                "reason",
            )?,
            errors: new.counters(
                "convo_errors_total",
                "Error responses, by error code",
                &["code"],
            )?,
        })
    }
}

impl WebhookMetrics {
    fn new(new: &Registrar<'_>) -> Result<Self> {
        let accepted = EventOutcome::ALL.map(EventOutcome::as_str);
        let failures = WebhookFailure::ALL.iter().map(|failure| failure.as_str());
        Ok(Self {
            ended: new.words(
                "convo_webhooks_total",
                "Webhooks, by outcome",
                "outcome",
                accepted.into_iter().chain(failures),
            )?,
            refused: new.by_label::<SignatureFailure>(
                "convo_webhooks_refused_total",
                "Webhooks without a valid signature, by reason",
                "reason",
            )?,
            reports: new.words(
                "convo_status_reports_total",
                "New delivery reports, by reported status; one for each recipient",
                "status",
                reported().chain(["other"]),
            )?,
        })
    }
}

impl SendMetrics {
    fn new(new: &Registrar<'_>) -> Result<Self> {
        let metrics = Self {
            sends: new.by_label::<SendOutcome>(
                "convo_sends_total",
                "Sends, by outcome: accepted, unknown, repeated under an idempotency key, or an error code",
                "outcome",
            )?,
            settled: new.words(
                "convo_settled_messages_total",
                "Messages whose status was changed by settling, by new status",
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
                "Time until Telnyx's response was read or the request failed, by kind of request",
                &["request"],
                REQUEST_SECONDS,
            )?,
        };
        metrics.initialize::<OfferOutcome>(TELNYX_SEND)?;
        metrics.initialize::<LookupOutcome>(TELNYX_LOOK_UP)?;
        metrics.initialize::<FetchOutcome>(TELNYX_FETCH)?;
        Ok(metrics)
    }

    /// Initializes the series of a kind of request, see [`Registrar::words`].
    fn initialize<L: Label>(&self, request: &str) -> Result<()> {
        self.duration.get_metric_with_label_values(&[request])?;
        for outcome in L::ALL {
            self.requests.get_metric_with_label_values(&[request, outcome.as_str()])?;
        }
        Ok(())
    }
}

impl SyncMetrics {
    fn new(new: &Registrar<'_>) -> Result<Self> {
        let metrics = Self {
            passes: new.counters(
                "convo_sync_passes_total",
                "How often a source was read at Telnyx, by source and outcome: complete or incomplete",
                &["source", "outcome"],
            )?,
            found: new.counters(
                "convo_sync_found_total",
                "What a sync has brought that was not known, by source",
                &["source"],
            )?,
        };
        for source in SyncSource::ALL.map(SyncSource::as_str) {
            metrics.found.get_metric_with_label_values(&[source])?;
            for outcome in ["complete", "incomplete"] {
                metrics.passes.get_metric_with_label_values(&[source, outcome])?;
            }
        }
        Ok(metrics)
    }
}

impl WriterMetrics {
    fn new(new: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            batch: new.histogram(
                "convo_writer_batch_jobs",
                "Jobs committed together",
                BATCH_JOBS,
            )?,
            duration: new.histogram(
                "convo_writer_batch_duration_seconds",
                "Duration of a writer transaction, including waiting for the lock and the commit",
                COMMIT_SECONDS,
            )?,
            commit: new.histogram(
                "convo_writer_commit_duration_seconds",
                "Duration of the commit, with all that is sent together with it",
                COMMIT_SECONDS,
            )?,
            repeats: new.by_label::<Repeat>(
                "convo_writer_retries_total",
                "Retries by the writer, by reason",
                "reason",
            )?,
            turned_away: new.counter(
                "convo_writer_rejected_total",
                "Jobs rejected because the writer's queue was full",
            )?,
            reconnects: new
                .counter("convo_writer_reconnects_total", "Connections replaced by the writer")?,
        })
    }
}

/// The statuses that a delivery report can have.
fn reported() -> impl Iterator<Item = &'static str> {
    let words = Status::ALL.iter().map(|status| status.as_str());
    words.filter(|word| Status::from_report(word).is_some())
}

/// Creates metrics and registers them.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Counters by one label, see [`words`](Self::words).
    fn by_label<L: Label>(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec> {
        self.words(name, help, label, L::ALL.iter().map(|value| value.as_str()))
    }

    /// Counters by one label. Every value is initialized, so that the rate of an event that has
    /// not happened yet is zero instead of missing.
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
