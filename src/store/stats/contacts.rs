//! The contacts with the most messages. There are no sums by contact, of which there might be as many as
//! messages: the messages of the time asked for are counted. If it is all there are, the conversations
//! know their numbers.

use std::cmp::Reverse;
use std::collections::HashMap;

use sea_orm::sea_query::Value;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::query;
use super::read::{TimeParts, conditions};
use crate::domain::{Direction, MessageSearch, Selector};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::conversation::{Column, Entity};
use crate::store::entity::{message, micros};

/// The most messages that are counted for one answer: some seconds' work.
const MOST: u64 = 2_000_000;
/// How many messages are counted by one statement, about.
const STEP: u64 = 50_000;

impl Store {
    /// The keys of conversations and their contacts, those with the most messages that match a filter
    /// first.
    ///
    /// # Errors
    /// `invalid_request` if too many messages match; `database_unavailable`.
    pub(crate) async fn busiest_contacts(
        &self,
        filter: &MessageSearch,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, Error> {
        if *filter == MessageSearch::default() {
            return self.largest_conversations(limit).await.or_tell();
        }
        let blocks = self.blocks_with(filter).await.or_tell()?;
        let all: u64 = blocks.iter().map(|block| block.messages).sum();
        if all > MOST {
            let what = format!("more than {MOST} messages cannot be grouped by contact");
            return Err(Error::invalid(what)
                .hint("choose fewer: add a later --since, or an earlier --until"));
        }
        let mut counts: HashMap<i64, i64> = HashMap::new();
        for (start, end) in steps(&blocks) {
            self.count(filter, (start, end), &mut counts).await.or_tell()?;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(key, count)| (Reverse(*count), *key));
        counts.truncate(limit);
        self.numbers_of(counts.into_iter().map(|(key, _)| key).collect()).await.or_tell()
    }

    /// The key of the conversation with a contact, and its number.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn contact_of(
        &self,
        contact: &Selector,
    ) -> Result<Option<(i64, String)>, Error> {
        let key = self.conversation_key(contact).await?;
        Ok(self.numbers_of(key.into_iter().collect()).await.or_tell()?.pop())
    }

    async fn largest_conversations(&self, limit: usize) -> Result<Vec<(i64, String)>, DbErr> {
        Entity::find()
            .select_only()
            .columns([Column::Key, Column::ContactNumber])
            .filter(Column::MessageCount.gt(0))
            .order_by_desc(Column::MessageCount)
            .order_by_asc(Column::Key)
            .limit(limit as u64)
            .into_tuple()
            .all(&self.reader)
            .await
    }

    /// The blocks that may have messages which match, and how many.
    async fn blocks_with(&self, filter: &MessageSearch) -> Result<Vec<BlockCount>, DbErr> {
        let parts = TimeParts::new(filter);
        let (condition, values) = conditions(filter, &parts.around());
        // One statement: blocks may be divided at any time, but no message leaves its range of ids.
        let sql = format!(
            "SELECT s.block, s.messages, (SELECT n.start FROM stats_blocks AS n \
             WHERE n.start > s.block ORDER BY n.start LIMIT 1) FROM \
             (SELECT block, CAST(sum(messages) AS bigint) AS messages FROM stats_sums \
             WHERE {condition} GROUP BY block) AS s ORDER BY s.block"
        );
        let rows = query(&self.reader, sql, values).await?;
        let read = |row: &sea_orm::QueryResult| -> Result<BlockCount, DbErr> {
            let messages: i64 = row.try_get_by_index(1)?;
            Ok(BlockCount {
                start: row.try_get_by_index(0)?,
                messages: u64::try_from(messages).unwrap_or_default(),
                end: row.try_get_by_index(2)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Counts the messages in a range of ids that match, by their conversations.
    async fn count(
        &self,
        filter: &MessageSearch,
        (start, end): OpenIdRange,
        counts: &mut HashMap<i64, i64>,
    ) -> Result<(), DbErr> {
        let (condition, values) = matching(filter, start, end);
        let sql = format!(
            "SELECT m.conversation_key, count(*) FROM messages AS m WHERE {condition} \
             GROUP BY m.conversation_key"
        );
        for row in query(&self.reader, sql, values).await? {
            let (key, count): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            *counts.entry(key).or_default() += count;
        }
        Ok(())
    }

    /// The contacts of some conversations, in their order.
    async fn numbers_of(&self, keys: Vec<i64>) -> Result<Vec<(i64, String)>, DbErr> {
        let found: Vec<(i64, String)> = Entity::find()
            .select_only()
            .columns([Column::Key, Column::ContactNumber])
            .filter(Column::Key.is_in(keys.iter().copied()))
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut found: HashMap<i64, String> = found.into_iter().collect();
        Ok(keys.into_iter().filter_map(|key| Some((key, found.remove(&key)?))).collect())
    }
}

/// Ids from one on, and below another.
type OpenIdRange = (Uuid, Option<Uuid>);

/// How many messages of a block may match.
struct BlockCount {
    start: Uuid,
    messages: u64,
    end: Option<Uuid>,
}

/// Ranges of neighbouring blocks that are counted together.
fn steps(blocks: &[BlockCount]) -> Vec<OpenIdRange> {
    let mut steps: Vec<(OpenIdRange, u64)> = Vec::new();
    for block in blocks {
        match steps.last_mut() {
            Some(((_, end), count)) if *end == Some(block.start) && *count < STEP => {
                *end = block.end;
                *count += block.messages;
            }
            _ => steps.push(((block.start, block.end), block.messages)),
        }
    }
    steps.into_iter().map(|(range, _)| range).collect()
}

/// The condition on messages `m`, and its values.
fn matching(filter: &MessageSearch, start: Uuid, end: Option<Uuid>) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![start.into()];
    let mut text = "m.id >= $1".to_owned();
    let mut add = |before: &str, value: Value| {
        values.push(value);
        text.push_str(&format!(" AND {before} ${}", values.len()));
    };
    end.into_iter().for_each(|end| add("m.id <", end.into()));
    filter.since.into_iter().for_each(|since| add("m.created_at >=", micros(since).into()));
    filter.until.into_iter().for_each(|until| add("m.created_at <", micros(until).into()));
    if let Some(number) = &filter.number {
        let (to, from) =
            (message::direction(Direction::Inbound), message::direction(Direction::Outbound));
        let own = format!(
            "CASE m.direction WHEN {to} THEN m.to_number WHEN {from} THEN m.from_number END ="
        );
        add(&own, number.as_str().into());
    }
    if let Some(direction) = filter.direction {
        text.push_str(&format!(" AND m.direction = {}", message::direction(direction)));
    }
    if !filter.statuses.is_empty() {
        let ranks = filter.statuses.iter().map(|status| status.rank().to_string());
        // Not as a bare column: the ids are to be followed, not an index of statuses.
        text.push_str(&format!(
            " AND m.status_rank + 0 IN ({})",
            ranks.collect::<Vec<_>>().join(", ")
        ));
    }
    (text, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_blocks_are_counted_together_up_to_a_limit() {
        let id = Uuid::from_u128;
        let block = |start: u128, end: Option<u128>, messages: u64| BlockCount {
            start: id(start),
            messages,
            end: end.map(id),
        };
        let blocks = [
            block(0, Some(1), 4_000),
            block(1, Some(2), STEP),
            block(2, Some(3), 1),
            block(5, None, 1),
        ];
        let expected = [(id(0), Some(id(2))), (id(2), Some(id(3))), (id(5), None)];
        assert_eq!(steps(&blocks), expected);
    }
}
