//! What is known of rows before they are sent: a fixed number of queries for many of them.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::double_since;
use crate::domain::{BatchId, Direction, PhoneNumber, SegmentCost, Status, Timestamp};
use crate::error::Error;
use crate::store::db_error::OrTell;
use crate::store::entity::{batch_row, message, opt_out};
use crate::store::model::NewBatchRow;
use crate::store::{Store, forget};

/// How many of the newest messages tell what a segment costs.
const PRICED: u64 = 2_000;

/// The direction of a message, its segments, what it cost and in which currency.
type PricedMessage = (i16, Option<i32>, Option<String>, Option<String>);

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredRow {
    New,
    /// It was sent as this message.
    Sent(Uuid, Option<Status>),
    /// This message of another row has told the contact the same within the last 24 hours.
    Double(Uuid),
    OptedOut,
}

impl Store {
    /// What is known of some rows of a batch, in their order.
    ///
    /// # Errors
    /// `database_unavailable`, like the other method here.
    pub(crate) async fn check_rows(
        &self,
        batch: &BatchId,
        rows: &[(PhoneNumber, NewBatchRow)],
        now: Timestamp,
    ) -> Result<Vec<StoredRow>, Error> {
        check(&self.reader, batch, rows, now).await.or_tell()
    }

    /// What a segment of the newest outbound messages cost on average, in the currency of most of them.
    pub(crate) async fn segment_cost(&self) -> Result<Option<SegmentCost>, Error> {
        use message::Column as C;
        let newest: Vec<PricedMessage> = message::Entity::find()
            .select_only()
            .columns([C::Direction, C::Segments, C::CostAmount, C::CostCurrency])
            .order_by_desc(C::Id)
            .limit(PRICED)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let outbound = message::direction(Direction::Outbound);
        let priced = newest.into_iter().filter(|(direction, ..)| *direction == outbound);
        Ok(average(priced.filter_map(|(_, segments, amount, currency)| {
            let amount = amount?.parse::<f64>().ok().filter(|amount| amount.is_finite())?;
            Some((segments.filter(|count| *count > 0)?, amount, currency?))
        })))
    }
}

fn average(priced: impl Iterator<Item = (i32, f64, String)>) -> Option<SegmentCost> {
    let mut sums: HashMap<String, (i64, f64)> = HashMap::new();
    for (segments, amount, currency) in priced {
        let (count, sum) = sums.entry(currency).or_default();
        *count += i64::from(segments);
        *sum += amount;
    }
    let (currency, (count, sum)) = sums.into_iter().max_by_key(|(_, (count, _))| *count)?;
    // A count of at most some thousands is exact.
    let amount = sum / f64::from(i32::try_from(count).unwrap_or(i32::MAX));
    Some(SegmentCost { amount: format!("{amount:.6}"), currency })
}

async fn check(
    db: &impl ConnectionTrait,
    batch: &BatchId,
    rows: &[(PhoneNumber, NewBatchRow)],
    now: Timestamp,
) -> Result<Vec<StoredRow>, DbErr> {
    let sent = sent(db, batch, rows).await?;
    let doubles = doubles(db, rows, now).await?;
    let statuses = statuses(db, sent.values()).await?;
    let opted_out = opted_out(db, rows).await?;
    let checked = rows.iter().map(|(to, row)| {
        if let Some(id) = sent.get(row.place.row.as_bytes().as_slice()) {
            return StoredRow::Sent(*id, statuses.get(id).copied());
        }
        match doubles.get(row.content.as_bytes().as_slice()) {
            Some(id) => StoredRow::Double(*id),
            None if opted_out.contains(to.as_str()) => StoredRow::OptedOut,
            None => StoredRow::New,
        }
    });
    Ok(checked.collect())
}

async fn sent(
    db: &impl ConnectionTrait,
    batch: &BatchId,
    rows: &[(PhoneNumber, NewBatchRow)],
) -> Result<HashMap<Vec<u8>, Uuid>, DbErr> {
    use batch_row::Column as C;
    let keys = rows.iter().map(|(_, row)| row.place.row.as_bytes().to_vec());
    let found: Vec<(Vec<u8>, Uuid)> = batch_row::Entity::find()
        .select_only()
        .columns([C::Row, C::MessageId])
        .filter(C::BatchId.eq(batch.as_str()))
        .filter(C::Row.is_in(keys))
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

async fn doubles(
    db: &impl ConnectionTrait,
    rows: &[(PhoneNumber, NewBatchRow)],
    now: Timestamp,
) -> Result<HashMap<Vec<u8>, Uuid>, DbErr> {
    use batch_row::Column as C;
    let contents = rows.iter().map(|(_, row)| row.content.as_bytes().to_vec());
    let found: Vec<(Vec<u8>, Uuid)> = batch_row::Entity::find()
        .select_only()
        .columns([C::Content, C::MessageId])
        .filter(C::Content.is_in(contents))
        .filter(C::CreatedAt.gt(double_since(now)))
        .order_by_asc(C::CreatedAt)
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

async fn statuses<'a>(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &'a Uuid>,
) -> Result<HashMap<Uuid, Status>, DbErr> {
    use message::Column as C;
    let found: Vec<(Uuid, i16)> = message::Entity::find()
        .select_only()
        .columns([C::Id, C::StatusRank])
        .filter(C::Id.is_in(ids.copied()))
        .into_tuple()
        .all(db)
        .await?;
    found.into_iter().map(|(id, rank)| Ok((id, message::status(rank)?))).collect()
}

/// The contacts among those of some rows that have opted out. What was decided since a contact was forgotten
/// counts, and else what was known before.
async fn opted_out(
    db: &impl ConnectionTrait,
    rows: &[(PhoneNumber, NewBatchRow)],
) -> Result<HashSet<String>, DbErr> {
    use opt_out::Column as C;
    let contacts: HashSet<&str> = rows.iter().map(|(to, _)| to.as_str()).collect();
    let decided: HashMap<String, Option<i64>> = opt_out::Entity::find()
        .select_only()
        .columns([C::ContactNumber, C::OptedOutAt])
        .filter(C::ContactNumber.is_in(contacts.iter().copied()))
        .into_tuple::<(String, Option<i64>)>()
        .all(db)
        .await?
        .into_iter()
        .collect();
    let mut all: HashSet<String> =
        decided.iter().filter(|(_, at)| at.is_some()).map(|(contact, _)| contact.clone()).collect();
    if forget::has_marks(db).await? {
        for contact in contacts.into_iter().filter(|contact| !decided.contains_key(*contact)) {
            let mark = forget::find(db, contact).await?;
            if mark.is_some_and(|mark| mark.opted_out_at.is_some()) {
                all.insert(contact.to_owned());
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_that_of_segments_in_the_usual_currency() {
        let cost = |segments, amount, currency: &str| (segments, amount, currency.to_owned());
        let priced = [cost(1, 0.004, "USD"), cost(3, 0.012, "USD"), cost(1, 9.0, "EUR")];
        let average = average(priced.into_iter()).expect("an average");
        assert_eq!((average.amount.as_str(), average.currency.as_str()), ("0.004000", "USD"));
        assert_eq!(super::average(std::iter::empty()), None);
    }
}
