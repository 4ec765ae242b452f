//! The families that are only known at the moment they are asked for, and the text of all.

use std::sync::atomic::Ordering;

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, Result, TextEncoder};

use super::{FAMILIES, LAST_WEBHOOK};
use crate::domain::Status;
use crate::error::Error;
use crate::logging;

/// How a server stands right now.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Jobs that wait for the writer, and how many may.
    pub queue: (usize, usize),
    /// The connections that the server reads with.
    pub connections: Connections,
    /// Messages whose outcome is open, by their status; `None` when the database did not say.
    pub open: Option<Vec<Open>>,
}

/// The connections of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open and free.
    pub idle: usize,
    /// Open and busy.
    pub in_use: usize,
    /// How many there may be.
    pub limit: usize,
}

/// The messages that stand at an open status.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Open {
    /// The status.
    pub status: Status,
    /// How many they are.
    pub count: i64,
    /// How long ago the oldest of them was stored, in seconds; 0 for none.
    pub oldest_seconds: f64,
}

/// Everything in Prometheus' text format.
///
/// # Errors
/// `internal` when it cannot be written, which the log explains.
pub fn text(live: &Live) -> std::result::Result<String, Error> {
    write(live).map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        Error::internal()
    })
}

fn write(live: &Live) -> Result<String> {
    let now = Registry::new();
    process(&now)?;
    writer(&now, live.queue)?;
    pool(&now, live.connections)?;
    if let Some(open) = &live.open {
        unsettled(&now, open)?;
    }
    let mut families = FAMILIES.registry.gather();
    families.extend(now.gather());
    families.retain(is_known);
    families.sort_by(|a, b| a.name().cmp(b.name()));
    TextEncoder::new().encode_to_string(&families)
}

/// Not the start of a process that may not see when its machine started, as under systemd.
fn is_known(family: &MetricFamily) -> bool {
    let never = |metric: &Metric| metric.get_gauge().get_value() <= 0.0;
    family.name() != "process_start_time_seconds" || !family.get_metric().iter().any(never)
}

fn process(now: &Registry) -> Result<()> {
    let build = labelled(now, "convo_build_info", "Always 1; tells the version", "version")?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let dropped = IntCounter::new(
        "convo_log_lines_dropped_total",
        "Lines of the log that were lost because nobody read them in time",
    )?;
    dropped.inc_by(logging::dropped_lines());
    register(now, dropped)?;
    let last = LAST_WEBHOOK.load(Ordering::Relaxed);
    if last > 0 {
        let gauge = Gauge::new(
            "convo_webhook_last_accepted_timestamp_seconds",
            "When the last webhook was believed and stored, in Unix time; absent before the first",
        )?;
        gauge.set(last as f64 / 1e6);
        register(now, gauge)?;
    }
    Ok(())
}

fn writer(now: &Registry, (jobs, capacity): (usize, usize)) -> Result<()> {
    for (name, help, value) in [
        ("convo_writer_queue_jobs", "Jobs that wait for the writer", jobs),
        ("convo_writer_queue_limit", "Jobs that may wait for the writer", capacity),
    ] {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(signed(value));
        register(now, gauge)?;
    }
    Ok(())
}

fn pool(now: &Registry, connections: Connections) -> Result<()> {
    let name = "convo_database_connections";
    let by_state = labelled(now, name, "Connections to read with, by state", "state")?;
    by_state.with_label_values(&["idle"]).set(signed(connections.idle));
    by_state.with_label_values(&["in_use"]).set(signed(connections.in_use));
    let name = "convo_database_connections_limit";
    let limit = IntGauge::new(name, "Connections to read with that there may be")?;
    limit.set(signed(connections.limit));
    register(now, limit)
}

fn unsettled(now: &Registry, open: &[Open]) -> Result<()> {
    let name = "convo_unsettled_messages";
    let help = "Messages whose outcome is open, by status; absent while the database is away";
    let counts = labelled(now, name, help, "status")?;
    let name = "convo_unsettled_oldest_age_seconds";
    let help = "Age of the oldest message whose outcome is open, by status; absent like its count";
    let ages = prometheus::GaugeVec::new(Opts::new(name, help), &["status"])?;
    for Open { status, count, oldest_seconds } in open {
        counts.with_label_values(&[status.as_str()]).set(*count);
        ages.with_label_values(&[status.as_str()]).set(*oldest_seconds);
    }
    register(now, ages)
}

fn labelled(now: &Registry, name: &str, help: &str, label: &str) -> Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    register(now, gauges.clone())?;
    Ok(gauges)
}

fn register(now: &Registry, made: impl Collector + 'static) -> Result<()> {
    now.register(Box::new(made))
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
