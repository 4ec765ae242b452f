//! Reading what statistics are put together from.

use std::ops::Range;

use sea_orm::sea_query::Value;
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::query;
use super::rows::{COLUMNS, CountedMessage, Sums};
use crate::domain::stats::{Amount, Collector, QUARTER_MICROS, StatsBy, Sum, SumKey, quarter_of};
use crate::domain::{Direction, MessageSearch, StatsQuery, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{message, micros};

/// How many messages are read at once.
const PAGE: usize = 4_096;

/// The times that a query asks for.
pub(super) struct TimeParts {
    /// The quarters of an hour that are wholly in it.
    quarters: Range<i64>,
    /// What is left at the beginning and the end, in microseconds: less than a quarter of an hour each.
    edges: Vec<Range<i64>>,
}

impl TimeParts {
    pub(super) fn new(filter: &MessageSearch) -> Self {
        let since = filter.since.map_or(i64::MIN, micros);
        let until = filter.until.map_or(i64::MAX, micros);
        let first = filter.since.map_or(i64::MIN, |_| quarter_of(since.saturating_sub(1)) + 1);
        let end = filter.until.map_or(i64::MAX, |_| quarter_of(until));
        if since >= until {
            return Self { quarters: 0..0, edges: Vec::new() };
        }
        if first > end {
            return Self { quarters: 0..0, edges: std::iter::once(since..until).collect() };
        }
        let start_of = |quarter: i64| quarter.saturating_mul(QUARTER_MICROS);
        let edges = [
            filter.since.map(|_| since..start_of(first)),
            filter.until.map(|_| start_of(end)..until),
        ];
        let edges = edges.into_iter().flatten().filter(|edge| !edge.is_empty()).collect();
        Self { quarters: first..end, edges }
    }

    /// All quarters of an hour that are at least partly in it.
    pub(super) fn around(&self) -> Range<i64> {
        let all =
            self.edges.iter().map(|edge| quarter_of(edge.start)..quarter_of(edge.end - 1) + 1);
        let all = all.chain(Some(self.quarters.clone()).filter(|quarters| !quarters.is_empty()));
        all.reduce(|one, other| one.start.min(other.start)..one.end.max(other.end)).unwrap_or(0..0)
    }
}

impl Store {
    /// Adds the messages that a query is about to its answer; with `by=contact` without a contact, all but
    /// the groups.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn collect_stats(
        &self,
        query: &StatsQuery,
        collector: &mut Collector<'_>,
    ) -> Result<(), Error> {
        let parts = TimeParts::new(&query.filter);
        for quarters in stretches(query, &parts.quarters) {
            self.collect_quarters(query, quarters, collector).await.or_tell()?;
        }
        for edge in parts.edges {
            self.collect_edge(&query.filter, edge, collector).await.or_tell()?;
        }
        Ok(())
    }

    /// Adds kept sums of whole quarters of an hour, between which the clocks were not changed.
    async fn collect_quarters(
        &self,
        query: &StatsQuery,
        quarters: Range<i64>,
        collector: &mut Collector<'_>,
    ) -> Result<(), DbErr> {
        let (group, number) = match query.by {
            StatsBy::Day => {
                let start = Timestamp::from_micros(quarters.start.saturating_mul(QUARTER_MICROS));
                let offset = i64::from(query.offsets.at(start)).div_euclid(900);
                (format!(", (quarter + {offset}) / 96"), "''")
            }
            StatsBy::Number => (", number".to_owned(), "number"),
            _ => (String::new(), "''"),
        };
        let (condition, values) = conditions(&query.filter, &quarters);
        // An amount of money is added in two parts: a sum of billionths might not fit.
        let sql = format!(
            "SELECT min(quarter), direction, status_rank, {number}, error, max(error_title), \
             currency, {}, {}, {}, {}, {}, {}, {}, {}, {}, {} FROM stats_totals WHERE {condition} \
             GROUP BY direction, status_rank, error, currency{group}",
            sum("messages"),
            sum("segments"),
            sum("cost / 1000000000"),
            sum("cost % 1000000000"),
            sum("within_5s"),
            sum("within_15s"),
            sum("within_1m"),
            sum("within_5m"),
            sum("within_1h"),
            sum("later"),
        );
        for row in self::query(&self.reader, sql, values).await? {
            let (key, sum) = read_sum(&row)?;
            collector.add(&key, &sum);
        }
        Ok(())
    }

    /// Adds the messages of a part of a quarter of an hour.
    async fn collect_edge(
        &self,
        filter: &MessageSearch,
        edge: Range<i64>,
        collector: &mut Collector<'_>,
    ) -> Result<(), DbErr> {
        let mut sums = Sums::new();
        let quarter = quarter_of(edge.start);
        for range in self.id_ranges("quarter = $1", vec![quarter.into()]).await? {
            self.sum_ids(range, &edge, &mut sums).await?;
        }
        add_matching(filter, &sums, |key, sum| collector.add(key, sum));
        Ok(())
    }

    /// Sums the messages with ids from one on and below another that are dated in a time.
    async fn sum_ids(
        &self,
        (start, end): (Uuid, Option<Uuid>),
        time: &Range<i64>,
        sums: &mut Sums,
    ) -> Result<(), DbErr> {
        let mut next = Some(start);
        while let Some(start) = next.take() {
            let mut values: Vec<Value> = vec![start.into()];
            values.extend(end.map(Value::from));
            let before = if end.is_some() { "AND m.id < $2 " } else { "" };
            let sql = format!(
                "SELECT {COLUMNS} FROM messages AS m WHERE m.id >= $1 {before}\
                 ORDER BY m.id LIMIT {}",
                PAGE + 1
            );
            for (place, row) in self::query(&self.reader, sql, values).await?.iter().enumerate() {
                let message = CountedMessage::read(row)?;
                if place == PAGE {
                    next = Some(message.id);
                } else if time.contains(&message.created_at) {
                    message.add_to(sums);
                }
            }
        }
        Ok(())
    }

    /// The ranges of ids of the blocks that have sums which meet a condition: the start of each, and its
    /// end, if it is not the last. What is next to each other is one range.
    async fn id_ranges(
        &self,
        condition: &str,
        values: Vec<Value>,
    ) -> Result<Vec<(Uuid, Option<Uuid>)>, DbErr> {
        // One statement: blocks may be divided at any time, but no message leaves its range of ids.
        let sql = format!(
            "SELECT b.start, (SELECT n.start FROM stats_blocks AS n WHERE n.start > b.start \
             ORDER BY n.start LIMIT 1) FROM stats_blocks AS b WHERE b.start IN \
             (SELECT block FROM stats_sums WHERE {condition}) ORDER BY b.start"
        );
        let mut ranges: Vec<(Uuid, Option<Uuid>)> = Vec::new();
        for row in self::query(&self.reader, sql, values).await? {
            let (start, end): (Uuid, Option<Uuid>) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            match ranges.last_mut() {
                Some((_, last)) if *last == Some(start) => *last = end,
                _ => ranges.push((start, end)),
            }
        }
        Ok(ranges)
    }

    /// Gives the sums of the messages of a conversation that match a filter to `add`, some at a time.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn sum_conversation(
        &self,
        conversation: i64,
        filter: &MessageSearch,
        mut add: impl FnMut(&SumKey, &Sum),
    ) -> Result<(), Error> {
        let mut after = (filter.since.map_or(i64::MIN, micros), Uuid::nil());
        let until = filter.until.map_or(i64::MAX, micros);
        loop {
            let sql = format!(
                "SELECT {COLUMNS} FROM messages AS m WHERE m.conversation_key = $1 \
                 AND (m.created_at, m.id) > ($2, $3) AND m.created_at < $4 \
                 ORDER BY m.created_at, m.id LIMIT {PAGE}"
            );
            let values = [conversation.into(), after.0.into(), after.1.into(), until.into()];
            let rows = self::query(&self.reader, sql, values).await.or_tell()?;
            let mut sums = Sums::new();
            for row in &rows {
                let message = CountedMessage::read(row).or_tell()?;
                after = (message.created_at, message.id);
                message.add_to(&mut sums);
            }
            add_matching(filter, &sums, &mut add);
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }
}

/// The quarters of an hour, divided where the clocks were changed if they are grouped by day.
fn stretches(query: &StatsQuery, quarters: &Range<i64>) -> Vec<Range<i64>> {
    let changes = query.offsets.changes().filter(|_| query.by == StatsBy::Day);
    let changes = changes.map(|time| quarter_of(time.as_micros()));
    let inner = changes.filter(|change| quarters.start < *change && *change < quarters.end);
    let mut bounds: Vec<i64> = inner.collect();
    bounds.push(quarters.end);
    let mut start = quarters.start;
    let ranges = bounds.into_iter().map(|end| std::mem::replace(&mut start, end)..end);
    ranges.filter(|range| !range.is_empty()).collect()
}

/// The condition on kept sums, and its values.
pub(super) fn conditions(filter: &MessageSearch, quarters: &Range<i64>) -> (String, Vec<Value>) {
    let mut text = "quarter >= $1 AND quarter < $2".to_owned();
    let mut values: Vec<Value> = vec![quarters.start.into(), quarters.end.into()];
    if let Some(direction) = filter.direction {
        text.push_str(&format!(" AND direction = {}", message::direction(direction)));
    }
    if !filter.statuses.is_empty() {
        let ranks = filter.statuses.iter().map(|status| status.rank().to_string());
        text.push_str(&format!(" AND status_rank IN ({})", ranks.collect::<Vec<_>>().join(", ")));
    }
    if let Some(number) = &filter.number {
        values.push(number.as_str().into());
        text.push_str(&format!(" AND number = ${}", values.len()));
    }
    (text, values)
}

fn sum(expression: &str) -> String {
    format!("CAST(sum({expression}) AS bigint)")
}

/// Reads what the messages of a row have in common: from its first columns, between them the error's title.
pub(super) fn read_key(row: &QueryResult) -> Result<SumKey, DbErr> {
    let direction = match row.try_get_by_index::<i16>(1)? {
        0 => Direction::Inbound,
        _ => Direction::Outbound,
    };
    Ok(SumKey {
        quarter: row.try_get_by_index(0)?,
        direction,
        status: message::status(row.try_get_by_index(2)?)?,
        number: row.try_get_by_index(3)?,
        error: row.try_get_by_index(4)?,
        currency: row.try_get_by_index(6)?,
    })
}

fn read_sum(row: &QueryResult) -> Result<(SumKey, Sum), DbErr> {
    let count = |place: usize| -> Result<u64, DbErr> {
        Ok(u64::try_from(row.try_get_by_index::<i64>(place)?).unwrap_or_default())
    };
    let (whole, billionths): (i64, i64) = (row.try_get_by_index(9)?, row.try_get_by_index(10)?);
    let sum = Sum {
        messages: count(7)?,
        segments: count(8)?,
        cost: Amount::from_parts(whole, billionths),
        times: [count(11)?, count(12)?, count(13)?, count(14)?, count(15)?, count(16)?],
        title: row.try_get_by_index(5)?,
    };
    Ok((read_key(row)?, sum))
}

fn add_matching(filter: &MessageSearch, sums: &Sums, mut add: impl FnMut(&SumKey, &Sum)) {
    let matches = |key: &SumKey| {
        filter.direction.is_none_or(|direction| key.direction == direction)
            && (filter.statuses.is_empty() || filter.statuses.contains(&key.status))
            && filter.number.as_ref().is_none_or(|number| key.number == number.as_str())
    };
    sums.iter().filter(|(key, _)| matches(key)).for_each(|(key, sum)| add(key, sum));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_whole_quarters_and_what_is_left_at_both_ends() {
        let parts = |since: Option<i64>, until: Option<i64>| {
            let time = |quarters: i64| Timestamp::from_micros(quarters * QUARTER_MICROS / 10);
            let (since, until) = (since.map(time), until.map(time));
            let parts = TimeParts::new(&MessageSearch { since, until, ..MessageSearch::default() });
            let tenths = parts
                .edges
                .iter()
                .map(|edge| (edge.start * 10 / QUARTER_MICROS, edge.end * 10 / QUARTER_MICROS));
            (parts.quarters.clone(), tenths.collect::<Vec<_>>())
        };
        assert_eq!(parts(None, None), (i64::MIN..i64::MAX, vec![]));
        assert_eq!(parts(Some(10), Some(30)), (1..3, vec![]));
        assert_eq!(parts(Some(11), Some(32)), (2..3, vec![(11, 20), (30, 32)]));
        assert_eq!(parts(Some(11), Some(19)), (0..0, vec![(11, 19)]));
        assert_eq!(parts(Some(11), Some(21)), (2..2, vec![(11, 20), (20, 21)]));
        assert_eq!(parts(Some(20), Some(20)), (0..0, vec![]));
        assert_eq!(parts(Some(5), None), (1..i64::MAX, vec![(5, 10)]));
        assert_eq!(parts(None, Some(5)), (i64::MIN..0, vec![(0, 5)]));
    }
}
