//! Numeric settings, each within its valid range.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Config;
use crate::error::{Code, Error};
use crate::server::{Limits, Stop};
use crate::store::LONGEST_EVENT;
use crate::threading::Policy;

/// How long a start waits for its database by default.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A day, the longest of these times: Telnyx remembers an idempotency key for as long.
const DAY: f64 = 86_400.0;

/// The longest age, in seconds: a thousand years.
const MAX_AGE: u64 = 1_000 * 365 * 24 * 3_600;

/// How often a server may sync with Telnyx.
const SYNC_INTERVALS: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3_600);

pub(super) fn policy(config: &Config) -> Result<Policy, Error> {
    let usual = Policy::default();
    Ok(Policy {
        // Callers are promised an answer within 30 seconds.
        timeout: seconds(config, "CONVO_SEND_TIMEOUT", 1.0..=30.0, usual.timeout)?,
        tag: switch("CONVO_TAG", config.text("CONVO_TAG")?.as_deref())?,
        settle_window: seconds(config, "CONVO_SETTLE_WINDOW", 0.0..=DAY, usual.settle_window)?,
        reply_limit: count(config, "CONVO_REPLY_LIMIT", 0..=1_000, usual.reply_limit)?,
        send_limit: limit(config, "CONVO_SEND_LIMIT", 0..=100_000, usual.send_limit)?,
        keep_feed: age(config, "CONVO_KEEP_FEED", usual.keep_feed)?,
        keep_webhooks: age(config, "CONVO_KEEP_WEBHOOKS", usual.keep_webhooks)?,
        keep_messages: age(config, "CONVO_KEEP_MESSAGES", usual.keep_messages)?,
        sync: interval(config, "CONVO_SYNC", usual.sync)?,
    })
}

pub(super) fn limits(config: &Config) -> Result<Limits, Error> {
    let usual = Limits::default();
    Ok(Limits {
        connections: count(config, "CONVO_MAX_CONNECTIONS", 1..=100_000, usual.connections)?,
        streams: count(config, "CONVO_MAX_STREAMS", 1..=100_000, usual.streams)?,
        queue: count(config, "CONVO_QUEUE", 1..=10_000, usual.queue)?,
        sends: count(config, "CONVO_MAX_SENDS", 1..=10_000, usual.sends)?,
        body: size(config, "CONVO_MAX_BODY", 16..=LONGEST_EVENT / 1024, usual.body)?,
        request_time: seconds(config, "CONVO_REQUEST_TIMEOUT", 1.0..=300.0, usual.request_time)?,
        keep_alive: seconds(config, "CONVO_KEEP_ALIVE", 1.0..=3_600.0, usual.keep_alive)?,
        // Telnyx gives up after 2 s.
        webhook_time: seconds(config, "CONVO_WEBHOOK_TIMEOUT", 0.1..=1.9, usual.webhook_time)?,
    })
}

pub(super) fn stop(config: &Config) -> Result<Stop, Error> {
    let usual = Stop::default();
    let deadline = seconds(config, "CONVO_SHUTDOWN_TIMEOUT", 1.0..=600.0, usual.deadline)?;
    let drain = usual.drain.min(deadline / 3);
    let drain = seconds(config, "CONVO_DRAIN", 0.0..=600.0, drain)?;
    if drain >= deadline {
        return Err(Error::new(
            Code::NotConfigured,
            "CONVO_DRAIN must be shorter than CONVO_SHUTDOWN_TIMEOUT, which includes it",
        )
        .hint("increase CONVO_SHUTDOWN_TIMEOUT, or decrease CONVO_DRAIN"));
    }
    Ok(Stop { drain, deadline })
}

pub(super) fn start_timeout(config: &Config) -> Result<Duration, Error> {
    seconds(config, "CONVO_START_TIMEOUT", 0.0..=DAY, START_TIMEOUT)
}

fn seconds(
    config: &Config,
    name: &str,
    range: RangeInclusive<f64>,
    usual: Duration,
) -> Result<Duration, Error> {
    let Some(value) = config.text(name)? else { return Ok(usual) };
    let parsed = value.trim_end_matches('s').parse().ok().filter(|value| range.contains(value));
    parsed.and_then(|value| Duration::try_from_secs_f64(value).ok()).ok_or_else(|| {
        let (from, to, usual) = (range.start(), range.end(), usual.as_secs_f64());
        Error::new(Code::NotConfigured, format!("{name} is not a valid number of seconds"))
            .hint(format!("use {from} to {to} seconds; the default is {usual}"))
    })
}

/// How long something is kept; `None` for ever. A unit is required: a number of what?
pub(super) fn age(
    config: &Config,
    name: &str,
    usual: Option<Duration>,
) -> Result<Option<Duration>, Error> {
    let Some(value) = config.text(name)? else { return Ok(usual) };
    if value == "forever" {
        return Ok(None);
    }
    with_unit(&value).map(Some).ok_or_else(|| {
        Error::invalid(format!("{name} is not a valid age"))
            .hint("write it with its unit, for example 12h, 90d or 2y, or forever")
    })
}

/// How often something is done; `None` for never.
fn interval(
    config: &Config,
    name: &str,
    usual: Option<Duration>,
) -> Result<Option<Duration>, Error> {
    let Some(value) = config.text(name)? else { return Ok(usual) };
    match value.as_str() {
        "off" => return Ok(None),
        "on" => return Ok(usual),
        _ => {}
    }
    let interval = with_unit(&value).filter(|time| SYNC_INTERVALS.contains(time));
    interval.map(Some).ok_or_else(|| {
        Error::new(Code::NotConfigured, format!("{name} is not a valid interval"))
            .hint("use a time from 1m to 1d with its unit, such as 10m, or off")
    })
}

/// A number with a unit.
fn with_unit(value: &str) -> Option<Duration> {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &value[number.len()..] {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(24 * 3_600),
        "w" => Some(7 * 24 * 3_600),
        "y" => Some(365 * 24 * 3_600),
        _ => None,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = number.parse().ok().filter(|number| is_number && *number > 0);
    let age = number.zip(seconds).and_then(|(number, unit)| number.checked_mul(unit));
    age.filter(|age| *age <= MAX_AGE).map(Duration::from_secs)
}

fn count(
    config: &Config,
    name: &str,
    range: RangeInclusive<usize>,
    usual: usize,
) -> Result<usize, Error> {
    let Some(value) = config.text(name)? else { return Ok(usual) };
    value.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        Error::new(Code::NotConfigured, format!("{name} is not a valid number"))
            .hint(format!("use {from} to {to}; the default is {usual}"))
    })
}

/// A number that can be switched off; `None` for any number.
fn limit(
    config: &Config,
    name: &str,
    range: RangeInclusive<usize>,
    usual: Option<usize>,
) -> Result<Option<usize>, Error> {
    match config.text(name)?.as_deref() {
        Some("off") => Ok(None),
        _ => count(config, name, range, usual.unwrap_or_default()).map(Some),
    }
}

/// A size with its unit, within a range in KiB.
pub(super) fn size(
    config: &Config,
    name: &str,
    range: RangeInclusive<usize>,
    usual: usize,
) -> Result<usize, Error> {
    let Some(value) = config.text(name)? else { return Ok(usual) };
    let (number, kib) = match (value.strip_suffix("KiB"), value.strip_suffix("MiB")) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 1024),
        _ => ("", 1),
    };
    let number: Option<usize> = number.trim().parse().ok();
    let size = number.and_then(|number| number.checked_mul(kib));
    size.filter(|size| range.contains(size)).map(|size| size * 1024).ok_or_else(|| {
        let (from, to, usual) = (range.start(), range.end(), usual / 1024);
        Error::new(Code::NotConfigured, format!("{name} is not a valid size"))
            .hint(format!("use {from}KiB to {to}KiB, for example 2MiB; the default is {usual}KiB"))
    })
}

fn switch(name: &str, value: Option<&str>) -> Result<bool, Error> {
    match value {
        None | Some("on" | "true" | "1" | "yes") => Ok(true),
        Some("off" | "false" | "0" | "no") => Ok(false),
        Some(_) => Err(Error::new(Code::NotConfigured, format!("{name} is neither on nor off"))
            .hint("set it to on or off")),
    }
}

/// An address to listen on: a host name or an IP address, and a port.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    let bare_ipv6 = |host: &str| host.contains(':') && !host.starts_with('[');
    match parts {
        Some((host, port))
            if !host.is_empty() && !bare_ipv6(host) && port.parse::<u16>().is_ok() =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write it as HOST:PORT, for example 127.0.0.1:5000 or [::1]:5000".to_owned()),
    }
}
