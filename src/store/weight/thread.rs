//! A page of a conversation's messages, read with few values a row: the driver takes as long for a NULL as
//! for a number, and most messages have neither files nor errors nor further recipients.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic,
    QueryFilter, QueryResult, QuerySelect, Select,
};

use super::{LIGHT, PAGE_BYTES, fitting, is_heavy};
use crate::store::entity::message::{Column, Entity, MessageRow};

/// What every message has, or most have. The body is empty if it is long.
const COMMON: [Column; 13] = [
    Column::Id,
    Column::TelnyxMessageId,
    Column::Direction,
    Column::FromNumber,
    Column::ToNumber,
    Column::Encoding,
    Column::Segments,
    Column::CostAmount,
    Column::CostCurrency,
    Column::StatusRank,
    Column::CreatedAt,
    Column::SentAt,
    Column::CompletedAt,
];
/// What few have: one value, a JSON array, or NULL. Of a heavy row, it is the number of its bytes.
const RARE: [Column; 6] =
    [Column::Recipients, Column::Cc, Column::Subject, Column::Media, Column::Error, Column::SendAt];

/// The messages that a query finds, in its order, as many as fit on a page; and whether that is all.
pub(in crate::store) async fn page(
    db: &impl ConnectionTrait,
    query: Select<Entity>,
    limit: u64,
) -> Result<(Vec<MessageRow>, bool), DbErr> {
    // One row more than asked for shows whether there is a next page.
    let query = query.limit(limit.saturating_add(1)).select_only().columns(COMMON);
    let query = query.expr_as(light_body(), "body");
    let query = query.expr_as(rare(db.get_database_backend()), "rare");
    let mut found = query.into_model::<Weighed>().all(db).await?;
    let all = found.len();
    let fitting = fitting(found.iter().map(|row| row.weight), PAGE_BYTES);
    found.truncate(fitting.min(usize::try_from(limit).unwrap_or(usize::MAX)));
    let is_all = found.len() == all;
    let heavy = found.iter().filter(|row| is_heavy(row.weight)).map(|row| row.message.id);
    let heavy: Vec<_> = heavy.collect();
    let mut whole = HashMap::new();
    if !heavy.is_empty() {
        let rows = Entity::find().filter(Column::Id.is_in(heavy.iter().copied()));
        let rows = rows.select_only().columns(MessageRow::COLUMNS).into_model::<MessageRow>();
        whole.extend(rows.all(db).await?.into_iter().map(|row| (row.id, row)));
    }
    let complete = |row: Weighed| match is_heavy(row.weight) {
        // It may have been deleted meanwhile.
        true => whole.remove(&row.message.id),
        false => Some(row.message),
    };
    Ok((found.into_iter().filter_map(complete).collect(), is_all))
}

fn light_body() -> SimpleExpr {
    Expr::cust(format!(
        "CASE WHEN octet_length(messages.body) <= {LIGHT} THEN messages.body ELSE '' END"
    ))
}

fn rare(backend: DatabaseBackend) -> SimpleExpr {
    let name = |column: Column| format!("messages.{}", column.as_str());
    let names = RARE.map(name);
    let missing = names.each_ref().map(|name| format!("{name} IS NULL")).join(" AND ");
    let array = match backend {
        DatabaseBackend::Sqlite => "json_array",
        _ => "json_build_array",
    };
    let lengths = names.each_ref().map(|name| {
        // The time it is scheduled for is a number.
        let text = format!("CAST({name} AS text)");
        format!("coalesce(octet_length({text}), 0)")
    });
    let weight = format!("octet_length(messages.body) + {}", lengths.join(" + "));
    let array = format!("{array}({})", names.join(", "));
    Expr::cust(format!(
        "CASE WHEN {missing} THEN CASE WHEN octet_length(messages.body) > {LIGHT} \
         THEN CAST(octet_length(messages.body) AS text) END \
         WHEN {weight} > {LIGHT} THEN CAST({weight} AS text) ELSE CAST({array} AS text) END"
    ))
}

/// A message without its long columns if it is heavy.
struct Weighed {
    message: MessageRow,
    weight: u64,
}

/// The columns of [`RARE`].
type Rare =
    (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>);

impl FromQueryResult for Weighed {
    fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
        let body: String = row.try_get_by_index(COMMON.len())?;
        let rare: Option<String> = row.try_get_by_index(COMMON.len() + 1)?;
        let mut weight = body.len() as u64;
        let mut values = Rare::default();
        match rare.as_deref().map(|rare| (rare, rare.parse::<u64>())) {
            Some((_, Ok(heavy))) => weight = heavy,
            Some((array, Err(_))) => {
                weight += array.len() as u64;
                values =
                    serde_json::from_str(array).map_err(|error| DbErr::Json(error.to_string()))?;
            }
            None => {}
        }
        let (recipients, cc, subject, media, error, send_at) = values;
        let message = MessageRow {
            id: row.try_get_by_index(0)?,
            telnyx_message_id: row.try_get_by_index(1)?,
            direction: row.try_get_by_index(2)?,
            from_number: row.try_get_by_index(3)?,
            to_number: row.try_get_by_index(4)?,
            recipients,
            cc,
            body,
            subject,
            media,
            encoding: row.try_get_by_index(5)?,
            segments: row.try_get_by_index(6)?,
            cost_amount: row.try_get_by_index(7)?,
            cost_currency: row.try_get_by_index(8)?,
            status_rank: row.try_get_by_index(9)?,
            error,
            created_at: row.try_get_by_index(10)?,
            send_at,
            sent_at: row.try_get_by_index(11)?,
            completed_at: row.try_get_by_index(12)?,
        };
        Ok(Self { message, weight })
    }
}
