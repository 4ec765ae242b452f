//! Sums of messages that have everything in common that statistics are grouped by or filtered for, and what
//! an answer is put together from.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use super::{DeliveryTimes, ErrorCount, MessageCounts, Stats, StatsBy, StatsQuery, StatsRow};
use crate::domain::telnyx_codes::hint_for;
use crate::domain::{Cost, Direction, MessageError, Status, Timestamp};

/// A quarter of an hour, in microseconds. Clocks everywhere differ from UTC by full quarters.
pub(crate) const QUARTER_MICROS: i64 = 900_000_000;
const QUARTERS_PER_DAY: i64 = 96;

/// The quarter of an hour since the epoch that a time is in.
pub(crate) fn quarter_of(micros: i64) -> i64 {
    micros.div_euclid(QUARTER_MICROS)
}

/// What the messages of a sum have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SumKey {
    /// The [quarter](quarter_of) in which they are dated.
    pub(crate) quarter: i64,
    pub(crate) direction: Direction,
    pub(crate) status: Status,
    /// Of ours.
    pub(crate) number: String,
    /// As [`SumKey::error_key`] has it; empty for none.
    pub(crate) error: String,
    /// Empty if Telnyx named no cost.
    pub(crate) currency: String,
}

/// In place of the code of an error that has none.
const NO_CODE: &str = "-";
/// After the code of an error which says that the contact has opted out: the code alone does not.
const STOP: &str = " STOP";

impl SumKey {
    /// Tells errors apart that have different hints.
    pub(crate) fn error_key(error: &MessageError) -> String {
        match &error.code {
            Some(code) if error.speaks_of_stop() => format!("{code}{STOP}"),
            Some(code) => code.clone(),
            None => NO_CODE.to_owned(),
        }
    }
}

/// Sums of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) messages: u64,
    pub(crate) segments: u64,
    pub(crate) cost: Amount,
    /// How many were delivered within each of [`Sum::BOUNDS`], and how many later.
    pub(crate) times: [u64; 6],
    /// The title of their error.
    pub(crate) title: String,
}

impl Sum {
    /// The upper bounds of the buckets of delivery times, in microseconds.
    const BOUNDS: [i64; 5] = [5_000_000, 15_000_000, 60_000_000, 300_000_000, 3_600_000_000];

    /// Counts a message that was delivered after a time in microseconds.
    pub(crate) fn add_time(&mut self, micros: i64) {
        self.times[Self::BOUNDS.partition_point(|bound| *bound < micros)] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.segments += other.segments;
        self.cost.0 += other.cost.0;
        for (own, other) in self.times.iter_mut().zip(other.times) {
            *own += other;
        }
        if self.title < other.title {
            self.title.clone_from(&other.title);
        }
    }
}

/// An amount of money, in billionths: what a sum of decimal numbers needs to be exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount(i128);

impl Amount {
    const DIGITS: usize = 9;
    const UNIT: i128 = 1_000_000_000;
    /// No text costs more; such an amount is not counted.
    const MOST: i128 = 1_000_000;

    /// Reads a decimal number. Digits after the ninth decimal are cut off. `None` if it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole: i128 = whole.parse().ok().filter(|whole| *whole <= Self::MOST)?;
        let fraction = &fraction[..fraction.len().min(Self::DIGITS)];
        let fraction: i128 = format!("{fraction:0<width$}", width = Self::DIGITS).parse().ok()?;
        Some(Self(sign * (whole * Self::UNIT + fraction)))
    }

    /// Of whole units and billionths.
    pub(crate) fn from_parts(whole: i64, billionths: i64) -> Self {
        Self(i128::from(whole) * Self::UNIT + i128::from(billionths))
    }

    /// In billionths, as far as that fits.
    pub(crate) fn to_billionths(self) -> i64 {
        i64::try_from(self.0).unwrap_or_default()
    }

    /// A decimal number with two decimals, or as many as it takes.
    fn to_text(self) -> String {
        let (sign, nanos) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let unit = Self::UNIT.unsigned_abs();
        let fraction = format!("{:0width$}", nanos % unit, width = Self::DIGITS);
        let fraction = format!("{:0<2}", fraction.trim_end_matches('0'));
        format!("{sign}{}.{fraction}", nanos / unit)
    }
}

/// Messages of one group.
#[derive(Clone, Debug, Default)]
struct SumGroup {
    counts: MessageCounts,
    cost: BTreeMap<String, Amount>,
    times: [u64; 6],
}

impl SumGroup {
    fn add(&mut self, key: &SumKey, sum: &Sum) {
        let counts = &mut self.counts;
        if key.direction == Direction::Inbound {
            counts.inbound += sum.messages;
        } else {
            counts.outbound += sum.messages;
            let place = match key.status {
                Status::Delivered | Status::Read => &mut counts.delivered,
                Status::DeliveryUnconfirmed => &mut counts.unconfirmed,
                Status::Cancelled => &mut counts.cancelled,
                failed if failed.is_failure() => &mut counts.failed,
                _ => &mut counts.open,
            };
            *place += sum.messages;
        }
        counts.segments += sum.segments;
        if !key.currency.is_empty() {
            self.cost.entry(key.currency.clone()).or_default().0 += sum.cost.0;
        }
        for (own, other) in self.times.iter_mut().zip(sum.times) {
            *own += other;
        }
    }

    fn messages(&self) -> u64 {
        self.counts.inbound + self.counts.outbound
    }

    fn finish(self) -> MessageCounts {
        let counts = self.counts;
        let decided = counts.delivered + counts.unconfirmed + counts.failed;
        // Rounded down: 1 means all.
        let rate = (counts.delivered * 10_000).checked_div(decided);
        let cost =
            |(currency, amount): (String, Amount)| Cost { amount: amount.to_text(), currency };
        MessageCounts {
            delivery_rate: rate.map(|rate| rate as f64 / 10_000.0),
            cost: self.cost.into_iter().map(cost).collect(),
            delivery_times: DeliveryTimes::from(self.times),
            ..counts
        }
    }
}

/// Puts an answer together from sums.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    query: &'a StatsQuery,
    total: SumGroup,
    groups: BTreeMap<(i64, String), SumGroup>,
    errors: BTreeMap<String, (String, u64)>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(query: &'a StatsQuery) -> Self {
        let (total, groups, errors) = (SumGroup::default(), BTreeMap::new(), BTreeMap::new());
        Self { query, total, groups, errors }
    }

    /// Counts messages that match the filter.
    pub(crate) fn add(&mut self, key: &SumKey, sum: &Sum) {
        self.total.add(key, sum);
        if !key.error.is_empty() {
            let (title, count) = self.errors.entry(key.error.clone()).or_default();
            if *title < sum.title {
                title.clone_from(&sum.title);
            }
            *count += sum.messages;
        }
        if let Some(group) = self.group_of(key) {
            self.groups.entry(group).or_default().add(key, sum);
        }
    }

    /// Counts messages with a contact, for its group alone.
    pub(crate) fn add_contact(&mut self, contact: &str, key: &SumKey, sum: &Sum) {
        self.groups.entry((0, contact.to_owned())).or_default().add(key, sum);
    }

    /// The order and the name of the group that a sum belongs to.
    fn group_of(&self, key: &SumKey) -> Option<(i64, String)> {
        match self.query.by {
            StatsBy::Day => {
                let day = self.day_of(key.quarter);
                Some((day, date(day)))
            }
            StatsBy::Contact => None,
            StatsBy::Number => Some((0, key.number.clone())),
            StatsBy::Status => Some((i64::from(key.status.rank()), key.status.as_str().to_owned())),
            StatsBy::Error if key.error.is_empty() => None,
            StatsBy::Error => Some((0, bare(&key.error).to_owned())),
        }
    }

    /// The day of a quarter of an hour, counted from the epoch.
    fn day_of(&self, quarter: i64) -> i64 {
        let start = Timestamp::from_micros(quarter.saturating_mul(QUARTER_MICROS));
        let offset = i64::from(self.query.offsets.at(start)).div_euclid(900);
        (quarter + offset).div_euclid(QUARTERS_PER_DAY)
    }

    /// The answer. `has_more` tells that groups were left out already.
    pub(crate) fn finish(self, complete: bool, has_more: bool) -> Stats {
        let most = self.query.most_rows();
        let is_ordered = matches!(self.query.by, StatsBy::Day | StatsBy::Status);
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        if !is_ordered {
            groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.messages()));
        }
        let more = has_more || groups.len() > most;
        if self.query.by == StatsBy::Day {
            groups.drain(..groups.len().saturating_sub(most));
        }
        groups.truncate(most);
        let row =
            |((_, key), group): ((i64, String), SumGroup)| StatsRow { key, counts: group.finish() };
        Stats {
            since: self.query.filter.since,
            until: self.query.filter.until,
            complete,
            total: self.total.finish(),
            errors: errors(self.errors),
            by: self.query.by,
            rows: groups.into_iter().map(row).collect(),
            more,
        }
    }
}

fn errors(found: BTreeMap<String, (String, u64)>) -> Vec<ErrorCount> {
    let count = |(key, (title, messages)): (String, (String, u64))| {
        let code = Some(bare(&key)).filter(|code| *code != NO_CODE);
        let stop = MessageError { code: code.map(Into::into), title: "STOP".into(), detail: None };
        let hint = if key.ends_with(STOP) { stop.hint() } else { code.and_then(hint_for) };
        ErrorCount { code: code.map(Into::into), title, hint: hint.map(Into::into), messages }
    };
    let mut errors: Vec<_> = found.into_iter().map(count).collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.messages));
    errors.truncate(usize::try_from(super::MAX_ROWS).unwrap_or(usize::MAX));
    errors
}

/// The code of an error key.
fn bare(key: &str) -> &str {
    key.strip_suffix(STOP).unwrap_or(key)
}

/// A day counted from the epoch: `2026-11-30`.
fn date(day: i64) -> String {
    let epoch = NaiveDate::default();
    let days = Days::new(day.unsigned_abs());
    let date = if day < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) };
    date.unwrap_or(epoch).to_string()
}

#[cfg(test)]
mod tests;
