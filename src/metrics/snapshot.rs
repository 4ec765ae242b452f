//! Gauges that are read at the moment of a scrape, and the text of all metrics.

use std::sync::atomic::Ordering;

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, Result, TextEncoder,
};

use super::{FAMILIES, LAST_WEBHOOK};
use crate::domain::{Status, SyncSource};
use crate::error::Error;
use crate::logging;

/// The state of a server at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The length of the writer's queue, and its capacity.
    pub queue: (usize, usize),
    /// The connections for reading.
    pub connections: PoolStats,
    /// `None` when the database did not answer in time.
    pub unsettled: Option<Vec<UnsettledStats>>,
    /// How far forwarding to each name is behind; empty when the database did not answer in time.
    pub forwards: Vec<ForwardStats>,
    /// When each source was last read completely; empty when the database did not answer in time.
    pub synced: Vec<SyncStats>,
    /// How many media are waiting to be fetched; `None` when the database did not answer in time.
    pub waiting_media: Option<i64>,
}

/// When a source was last read completely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyncStats {
    /// Which one.
    pub source: SyncSource,
    /// How long ago, in seconds.
    pub age_seconds: f64,
}

/// How far forwarding to a name is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardStats {
    /// Of the receiver.
    pub name: String,
    /// How many entries of the feed.
    pub events: u64,
    /// The age of the oldest of them.
    pub seconds: u64,
}

/// The connections of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Open and unused.
    pub idle: usize,
    /// Open and in use.
    pub in_use: usize,
    /// The size of the pool.
    pub limit: usize,
}

/// The messages of one unsettled status.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnsettledStats {
    /// `pending` or `unknown`.
    pub status: Status,
    /// How many messages have it.
    pub count: i64,
    /// The age of the oldest of them since it was stored, in seconds; 0 if nothing is unsettled.
    pub oldest_seconds: f64,
}

/// All metrics in Prometheus' text format.
///
/// # Errors
/// `internal` when they cannot be encoded; the log has the reason.
pub(crate) fn text(snapshot: &Snapshot) -> std::result::Result<String, Error> {
    encode(snapshot).map_err(|error| {
        tracing::error!(%error, "the metrics could not be encoded");
        Error::internal()
    })
}

fn encode(snapshot: &Snapshot) -> Result<String> {
    let registry = Registry::new();
    process(&registry)?;
    writer(&registry, snapshot.queue)?;
    pool(&registry, snapshot.connections)?;
    if let Some(unsettled) = &snapshot.unsettled {
        messages(&registry, unsettled)?;
    }
    forwards(&registry, &snapshot.forwards)?;
    synced(&registry, &snapshot.synced)?;
    if let Some(waiting) = snapshot.waiting_media {
        let help =
            "Media files that are waiting to be fetched; absent while the database is unavailable";
        let gauge = IntGauge::new("convo_media_waiting", help)?;
        gauge.set(waiting);
        register(&registry, gauge)?;
    }
    let mut families = FAMILIES.registry.gather();
    families.extend(registry.gather());
    families.retain(is_known);
    families.sort_by(|a, b| a.name().cmp(b.name()));
    TextEncoder::new().encode_to_string(&families)
}

/// The start time is 0 when the process may not read the machine's boot time, as under systemd.
fn is_known(family: &MetricFamily) -> bool {
    let is_zero = |metric: &Metric| metric.get_gauge().get_value() <= 0.0;
    family.name() != "process_start_time_seconds" || !family.get_metric().iter().any(is_zero)
}

fn process(registry: &Registry) -> Result<()> {
    let build = labelled(registry, "convo_build_info", "Always 1; the version", "version")?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let dropped = IntCounter::new(
        "convo_log_lines_dropped_total",
        "Log lines dropped because their reader was too slow",
    )?;
    dropped.inc_by(logging::dropped_lines());
    register(registry, dropped)?;
    let last = LAST_WEBHOOK.load(Ordering::Relaxed);
    if last > 0 {
        let gauge = Gauge::new(
            "convo_webhook_last_accepted_timestamp_seconds",
            "Unix time of the last accepted webhook; absent before the first",
        )?;
        gauge.set(last as f64 / 1e6);
        register(registry, gauge)?;
    }
    Ok(())
}

fn writer(registry: &Registry, (jobs, capacity): (usize, usize)) -> Result<()> {
    for (name, help, value) in [
        ("convo_writer_queue_jobs", "Jobs in the writer's queue", jobs),
        ("convo_writer_queue_limit", "Capacity of the writer's queue", capacity),
    ] {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(signed(value));
        register(registry, gauge)?;
    }
    Ok(())
}

fn forwards(registry: &Registry, forwards: &[ForwardStats]) -> Result<()> {
    let help = "Entries of the feed that are not forwarded yet, by name of the receiver";
    let events = labelled(registry, "convo_forward_lag_events", help, "name")?;
    let help = "Age of the oldest of them in seconds; 0 if there are none";
    let seconds = labelled(registry, "convo_forward_lag_seconds", help, "name")?;
    for stats in forwards {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        events.with_label_values(&[&stats.name]).set(signed(stats.events));
        seconds.with_label_values(&[&stats.name]).set(signed(stats.seconds));
    }
    Ok(())
}

fn synced(registry: &Registry, synced: &[SyncStats]) -> Result<()> {
    let name = "convo_sync_age_seconds";
    let help =
        "Time since a source was last read completely at Telnyx; absent before the first time";
    let ages = GaugeVec::new(Opts::new(name, help), &["source"])?;
    for SyncStats { source, age_seconds } in synced {
        ages.with_label_values(&[source.as_str()]).set(*age_seconds);
    }
    register(registry, ages)
}

fn pool(registry: &Registry, connections: PoolStats) -> Result<()> {
    let name = "convo_database_connections";
    let by_state = labelled(registry, name, "Database connections for reading, by state", "state")?;
    by_state.with_label_values(&["idle"]).set(signed(connections.idle));
    by_state.with_label_values(&["in_use"]).set(signed(connections.in_use));
    let name = "convo_database_connections_limit";
    let limit = IntGauge::new(name, "Maximum number of database connections for reading")?;
    limit.set(signed(connections.limit));
    register(registry, limit)
}

fn messages(registry: &Registry, unsettled: &[UnsettledStats]) -> Result<()> {
    let name = "convo_unsettled_messages";
    let help =
        "Messages without a known outcome, by status; absent while the database is unavailable";
    let counts = labelled(registry, name, help, "status")?;
    let name = "convo_unsettled_oldest_age_seconds";
    let help =
        "Age of the oldest message without a known outcome, by status; absent when the count is";
    let ages = GaugeVec::new(Opts::new(name, help), &["status"])?;
    for UnsettledStats { status, count, oldest_seconds } in unsettled {
        counts.with_label_values(&[status.as_str()]).set(*count);
        ages.with_label_values(&[status.as_str()]).set(*oldest_seconds);
    }
    register(registry, ages)
}

fn labelled(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    register(registry, gauges.clone())?;
    Ok(gauges)
}

fn register(registry: &Registry, metric: impl Collector + 'static) -> Result<()> {
    registry.register(Box::new(metric))
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
