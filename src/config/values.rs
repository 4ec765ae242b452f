//! Settings that are numbers, each within what makes sense.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Source;
use crate::error::{Code, Error};
use crate::server::{Limits, Stop};
use crate::threading::Policy;

/// How long a start waits for its database by default.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A day: nothing here waits longer, and Telnyx knows a repeat for as long.
const DAY: f64 = 86_400.0;

pub(super) fn policy(source: &Source) -> Result<Policy, Error> {
    let usual = Policy::default();
    Ok(Policy {
        // The contract promises its callers 30 seconds.
        timeout: seconds(source, "CONVO_SEND_TIMEOUT", 1.0..=30.0, usual.timeout)?,
        tag: switch("CONVO_TAG", source.text("CONVO_TAG")?.as_deref())?,
        settle_window: seconds(source, "CONVO_SETTLE_WINDOW", 0.0..=DAY, usual.settle_window)?,
    })
}

pub(super) fn limits(source: &Source) -> Result<Limits, Error> {
    let usual = Limits::default();
    Ok(Limits {
        connections: count(source, "CONVO_MAX_CONNECTIONS", 1..=100_000, usual.connections)?,
        queue: count(source, "CONVO_QUEUE", 1..=10_000, usual.queue)?,
        sends: count(source, "CONVO_MAX_SENDS", 1..=10_000, usual.sends)?,
        body: size(source, "CONVO_MAX_BODY", 16..=16 * 1024, usual.body)?,
        request_time: seconds(source, "CONVO_REQUEST_TIMEOUT", 1.0..=300.0, usual.request_time)?,
        keep_alive: seconds(source, "CONVO_KEEP_ALIVE", 1.0..=3_600.0, usual.keep_alive)?,
        // Telnyx gives up after 2 s.
        webhook_time: seconds(source, "CONVO_WEBHOOK_TIMEOUT", 0.1..=1.9, usual.webhook_time)?,
    })
}

pub(super) fn stop(source: &Source) -> Result<Stop, Error> {
    let usual = Stop::default();
    let deadline = seconds(source, "CONVO_SHUTDOWN_TIMEOUT", 1.0..=600.0, usual.deadline)?;
    let drain = usual.drain.min(deadline / 3);
    let drain = seconds(source, "CONVO_DRAIN", 0.0..=600.0, drain)?;
    if drain >= deadline {
        return Err(Error::new(
            Code::NotConfigured,
            "CONVO_DRAIN leaves no time of CONVO_SHUTDOWN_TIMEOUT, which it is a part of",
        )
        .hint("give the stop more time, or drain for less"));
    }
    Ok(Stop { drain, deadline })
}

pub(super) fn start_timeout(source: &Source) -> Result<Duration, Error> {
    seconds(source, "CONVO_START_TIMEOUT", 0.0..=DAY, START_TIMEOUT)
}

fn seconds(
    source: &Source,
    name: &str,
    range: RangeInclusive<f64>,
    usual: Duration,
) -> Result<Duration, Error> {
    let Some(value) = source.text(name)? else { return Ok(usual) };
    let parsed = value.trim_end_matches('s').parse().ok().filter(|value| range.contains(value));
    parsed.and_then(|value| Duration::try_from_secs_f64(value).ok()).ok_or_else(|| {
        let (from, to, usual) = (range.start(), range.end(), usual.as_secs_f64());
        Error::new(Code::NotConfigured, format!("{name} is not a number of seconds"))
            .hint(format!("give {from} to {to} seconds; the default is {usual}"))
    })
}

fn count(
    source: &Source,
    name: &str,
    range: RangeInclusive<usize>,
    usual: usize,
) -> Result<usize, Error> {
    let Some(value) = source.text(name)? else { return Ok(usual) };
    value.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        Error::new(Code::NotConfigured, format!("{name} is not a number that makes sense"))
            .hint(format!("give {from} to {to}; the default is {usual}"))
    })
}

/// A size with its unit, within a range in KiB.
fn size(
    source: &Source,
    name: &str,
    range: RangeInclusive<usize>,
    usual: usize,
) -> Result<usize, Error> {
    let Some(value) = source.text(name)? else { return Ok(usual) };
    let (number, kib) = match (value.strip_suffix("KiB"), value.strip_suffix("MiB")) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 1024),
        _ => ("", 1),
    };
    let number: Option<usize> = number.trim().parse().ok();
    let size = number.and_then(|number| number.checked_mul(kib));
    size.filter(|size| range.contains(size)).map(|size| size * 1024).ok_or_else(|| {
        let (from, to, usual) = (range.start(), range.end(), usual / 1024);
        Error::new(Code::NotConfigured, format!("{name} is not a size that makes sense"))
            .hint(format!("give {from}KiB to {to}KiB, for example 2MiB; the default is {usual}KiB"))
    })
}

fn switch(name: &str, value: Option<&str>) -> Result<bool, Error> {
    match value {
        None | Some("on" | "true" | "1" | "yes") => Ok(true),
        Some("off" | "false" | "0" | "no") => Ok(false),
        Some(_) => Err(Error::new(Code::NotConfigured, format!("{name} is neither on nor off"))
            .hint("say on or off")),
    }
}
