//! A page of a conversation's messages, read with few values a row: the driver takes as long for a NULL as
//! for a number, and most messages have neither files nor errors nor further recipients.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic,
    QueryFilter, QueryResult, QuerySelect, Select,
};
use uuid::Uuid;

use super::{Fitting, LIGHT, fitting, is_heavy};
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
const RARE: [Column; 9] = [
    Column::Recipients,
    Column::Cc,
    Column::Subject,
    Column::Media,
    Column::Error,
    Column::SendAt,
    Column::InReplyTo,
    Column::AutoresponseType,
    Column::Recovered,
];

/// The messages that a query finds, in its order, as many as fit on a page; and whether that is all.
pub(in crate::store) async fn page(
    db: &impl ConnectionTrait,
    query: Select<Entity>,
    limit: u64,
) -> Result<(Vec<MessageRow>, bool), DbErr> {
    let query = query.select_only().columns(COMMON);
    let query = query.expr_as(light_body(), "body");
    let query = query.expr_as(rare(db.get_database_backend()), "rare");
    let Fitting { rows: found, is_all } =
        fitting(db, query, limit, |row: &Weighed| row.weight).await?;
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
    let lengths = names.each_ref().map(|name| {
        // Not all of them are texts.
        format!("coalesce(octet_length(CAST({name} AS text)), 0)")
    });
    let weight = format!("octet_length(messages.body) + {}", lengths.join(" + "));
    let array = match backend {
        // Its JSON has no bytes, which ids are.
        DatabaseBackend::Sqlite => {
            let id = name(Column::InReplyTo);
            let values =
                names.map(|name| if name == id { format!("nullif(hex({id}), '')") } else { name });
            format!("json_array({})", values.join(", "))
        }
        _ => format!("json_build_array({})", names.join(", ")),
    };
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
type Rare = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<Uuid>,
    Option<String>,
    Option<i16>,
);

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
        let (
            recipients,
            cc,
            subject,
            media,
            error,
            send_at,
            in_reply_to,
            autoresponse_type,
            recovered,
        ) = values;
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
            in_reply_to,
            autoresponse_type,
            recovered,
        };
        Ok(Self { message, weight })
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{IntoActiveModel, QueryOrder};

    use super::*;
    use crate::store::entity::message::Model as MessageModel;
    use crate::store::tests::new_postgres_database;
    use crate::store::{Location, Mode, Purpose, Store};

    /// A message that has everything.
    fn full(id: u128, body: &str) -> MessageModel {
        let some = |text: &str| Some(text.to_owned());
        MessageModel {
            id: Uuid::from_u128(id),
            conversation_key: 1,
            telnyx_message_id: None,
            direction: 1,
            from_number: "from".to_owned(),
            to_number: "to".to_owned(),
            recipients: some(r#"["to", "\"second\""]"#),
            cc: some(r#"["cc"]"#),
            body: body.to_owned(),
            subject: some("sub\"ject\n\u{1}\u{2028}😀"),
            media: some("[]"),
            encoding: some("encoding"),
            segments: Some(1),
            cost_amount: some("amount"),
            cost_currency: some("currency"),
            status_rank: 110,
            error: some(r#"{"title":"x"}"#),
            created_at: 1,
            send_at: Some(1_764_000_000_000_001),
            sent_at: Some(3),
            completed_at: Some(4),
            request_body: None,
            base_url: None,
            attempt_until: None,
            repeats_left: None,
            refusal: None,
            in_reply_to: Some(Uuid::from_u128(8)),
            autoresponse_type: some("STOP"),
            recovered: Some(1),
            arrival: None,
        }
    }

    /// Short and long ones, with and without what few have.
    fn messages() -> Vec<MessageModel> {
        let bare = |id, body: &str| MessageModel {
            recipients: None,
            cc: None,
            subject: None,
            media: None,
            error: None,
            send_at: None,
            in_reply_to: None,
            autoresponse_type: None,
            recovered: None,
            ..full(id, body)
        };
        let long = "x".repeat(6_000);
        let reply = MessageModel { in_reply_to: Some(Uuid::from_u128(1)), ..bare(5, "reply") };
        let heavy = MessageModel { subject: Some(long.clone()), ..full(6, "heavy") };
        vec![full(1, "body"), bare(2, ""), full(3, &long), bare(4, &long), reply, heavy]
    }

    async fn every_value_is_read(location: &Location) {
        let store = Store::open(location, Mode::Real, Purpose::Serve).await.expect("a store");
        let rows = messages();
        for row in &rows {
            let row = row.clone().into_active_model();
            Entity::insert(row).exec_without_returning(&store.reader).await.expect("inserted");
        }
        let query = Entity::find().order_by_asc(Column::Id);
        let (found, is_all) = page(&store.reader, query, 9).await.expect("read");
        assert!(is_all);
        let domain = |row: MessageRow| row.into_domain(Uuid::nil()).expect("a message");
        let found: Vec<_> = found.into_iter().map(domain).collect();
        let expected: Vec<_> = rows.into_iter().map(|row| domain(row.into())).collect();
        assert_eq!(found, expected);
        store.close().await;
    }

    #[tokio::test]
    async fn every_value_is_read_on_sqlite() {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::parse("sqlite:c.db", dir.path()).expect("a location");
        every_value_is_read(&location).await;
    }

    #[tokio::test]
    async fn every_value_is_read_on_postgresql() {
        let url = new_postgres_database().await;
        let location = Location::parse(&url, ".".as_ref()).expect("a location");
        every_value_is_read(&location).await;
    }
}
