//! Writing a batch, as it was planned.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, Query, Value};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::plan::{Fate, Plan};
use super::{ImportBatch, ImportCount, ImportCounts, PackedEvent};
use crate::clock;
use crate::domain::export::{ExportedMessage, ExportedOptOut, ExportedReport, MergedMessage};
use crate::domain::{Direction, PhoneNumber, Status};
use crate::store::entity::message::direction;
use crate::store::entity::{
    TelnyxId, conversation, event, list_to_json, message, micros, opt_out, to_json,
};
use crate::store::model::OptOutChange;
use crate::store::opt_outs;
use crate::store::sql::{BulkInsert, Values, or_kept, qualified, run_all};
use crate::store::transaction::WriteTransaction;

pub(super) async fn write(
    db: &WriteTransaction,
    batch: &ImportBatch,
    plan: &Plan<'_>,
) -> Result<ImportCounts, DbErr> {
    let opt_outs = write_opt_outs(db, &batch.opt_outs).await?;
    let conversations = write_conversations(db, batch, plan).await?;
    let messages = write_messages(db, batch, plan).await?;
    raise(db, batch, plan).await?;
    let merged = write_merged(db, batch, plan).await?;
    let reports = batch.messages.iter().flat_map(|message| &message.reports).chain(&batch.reports);
    let reports = write_reports(db, reports.collect()).await?;
    let events = write_events(db, &batch.events).await?;
    Ok(ImportCounts { conversations, messages, reports, opt_outs, merged, events })
}

/// The latest by Telnyx's clock decides, as always. One without a time yields to what is there: there is
/// no arrival by which to order it.
async fn write_opt_outs(
    db: &WriteTransaction,
    rows: &[ExportedOptOut],
) -> Result<ImportCount, DbErr> {
    use opt_out::Column as C;
    if rows.is_empty() {
        return Ok(ImportCount::default());
    }
    let contacts = rows.iter().map(|row| row.contact_number.as_str());
    let known = opt_out::Entity::find().filter(C::ContactNumber.is_in(contacts)).all(db).await?;
    let known: BTreeMap<String, opt_out::Model> =
        known.into_iter().map(|row| (row.contact_number.clone(), row)).collect();
    let mut new = 0;
    for row in rows {
        let before = known.get(&row.contact_number);
        let stored = row.opted_out_at.map(micros);
        if before.is_some_and(|before| {
            row.decided_at.is_none()
                || before.decided_at == row.decided_at.map(micros) && before.opted_out_at == stored
        }) {
            continue;
        }
        let change = OptOutChange {
            opted_out: row.opted_out_at.is_some(),
            decided_at: row.decided_at,
            learned_at: row.opted_out_at.unwrap_or_else(clock::now),
            number: row.number.clone().map(PhoneNumber::from_stored),
            profile: row.profile.clone(),
        };
        new += u64::from(opt_outs::record(db, &row.contact_number, &change).await?);
    }
    Ok(ImportCount::of(rows.len(), new))
}

/// What the new messages of a batch add to a conversation.
struct AddedMessages {
    count: i64,
    last: i64,
    /// The route of the last message; `None` if several messages of other routes share its time.
    route: Option<String>,
}

fn additions<'a>(batch: &'a ImportBatch, plan: &Plan<'_>) -> BTreeMap<&'a str, AddedMessages> {
    let mut all: BTreeMap<&str, AddedMessages> = BTreeMap::new();
    for (message, fate) in batch.messages.iter().zip(&plan.fates) {
        if !matches!(fate, Fate::Insert(_)) {
            continue;
        }
        let own = match message.direction {
            Direction::Inbound => &message.to,
            Direction::Outbound => &message.from,
        };
        let (at, route) =
            (micros(message.created_at), Some(conversation::route(message.direction, own)));
        let added = all.entry(message.contact_number.as_str()).or_insert(AddedMessages {
            count: 0,
            last: at,
            route: route.clone(),
        });
        added.count += 1;
        if at > added.last {
            (added.last, added.route) = (at, route);
        } else if at == added.last && added.route != route {
            added.route = None;
        }
    }
    all
}

const CONVERSATION_COLUMNS: [&str; 8] = [
    "id",
    "contact_number",
    "message_count",
    "last_message_at",
    "created_at",
    "opted_out_at",
    "opted_out_number",
    "last_route",
];

/// Creates the conversations that are missing, and adds the new messages to the counters of all. One
/// without messages has the time of its line until it gets some.
async fn write_conversations(
    db: &WriteTransaction,
    batch: &ImportBatch,
    plan: &Plan<'_>,
) -> Result<ImportCount, DbErr> {
    let mut added = additions(batch, plan);
    for (contact, (_, wanted)) in &plan.new_conversations {
        let last = wanted.line.map_or(wanted.first, |line| line.created_at);
        added.entry(contact).or_insert(AddedMessages { count: 0, last: micros(last), route: None });
    }
    let rows = added.iter().map(|(contact, added)| -> [Value; 8] {
        let new = plan.new_conversations.get(contact);
        // Of a conversation that exists, only the counters are used.
        let (id, created_at) = new.map_or((Uuid::now_v7(), added.last), |(id, wanted)| {
            (*id, micros(wanted.line.map_or(wanted.first, |line| line.created_at)))
        });
        let contact = *contact;
        [
            id.into(),
            contact.into(),
            added.count.into(),
            added.last.into(),
            created_at.into(),
            contact.into(),
            contact.into(),
            added.route.clone().into(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let insert = BulkInsert::new("conversations AS c", &CONVERSATION_COLUMNS, rows)
        .computed("opted_out_at", "(SELECT opted_out_at FROM opt_outs WHERE contact_number = {})")
        .computed(
            "opted_out_number",
            "(SELECT opted_out_number FROM opt_outs WHERE contact_number = {})",
        )
        .on_conflict(
            "ON CONFLICT (contact_number) DO UPDATE SET \
             message_count = c.message_count + excluded.message_count, \
             last_message_at = CASE WHEN c.message_count = 0 \
             OR c.last_message_at < excluded.last_message_at \
             THEN excluded.last_message_at ELSE c.last_message_at END, \
             last_route = CASE WHEN c.message_count = 0 \
             OR c.last_message_at < excluded.last_message_at \
             THEN excluded.last_route WHEN c.last_message_at > excluded.last_message_at \
             OR c.last_route = excluded.last_route THEN c.last_route END",
        );
    run_all(db, vec![insert]).await?;
    move_beginnings(db, plan).await?;
    let is_counted = |line: bool| line || !batch.is_rehearsal;
    let new = plan.new_conversations.values().filter(|(_, new)| is_counted(new.line.is_some()));
    let known = plan.known_conversations.iter().filter(|(_, line)| line.is_some());
    Ok(ImportCount { new: new.count() as u64, known: known.count() as u64 })
}

/// A conversation that exists began when the earlier of the two did.
async fn move_beginnings(db: &WriteTransaction, plan: &Plan<'_>) -> Result<(), DbErr> {
    use conversation::Column as C;
    let rows: Vec<Vec<Value>> = plan
        .known_conversations
        .iter()
        .filter_map(|(contact, at)| Some(vec![(*contact).into(), micros((*at)?).into()]))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut update = Query::update();
    update
        .table(conversation::Entity)
        .value(C::CreatedAt, Values::column(2))
        .from(Values::table(rows))
        .and_where(qualified(C::ContactNumber).eq(Values::column(1)))
        .and_where(qualified(C::CreatedAt).gt(Values::column(2)));
    db.execute(&update).await.map(drop)
}

const MESSAGE_COLUMNS: [&str; 29] = [
    "id",
    "conversation_key",
    "telnyx_message_id",
    "direction",
    "from_number",
    "to_number",
    "recipients",
    "cc",
    "body",
    "subject",
    "media",
    "encoding",
    "segments",
    "cost_amount",
    "cost_currency",
    "status_rank",
    "error",
    "created_at",
    "send_at",
    "sent_at",
    "completed_at",
    "request_body",
    "base_url",
    "attempt_until",
    "repeats_left",
    "refusal",
    "in_reply_to",
    "autoresponse_type",
    "recovered",
];

fn values(id: Uuid, row: &ExportedMessage) -> [Value; MESSAGE_COLUMNS.len()] {
    // An import never leads to a text being sent: the other database may send it, too.
    let repeats_left = match row.status.is_open() {
        true => row.repeats_left.map(|left| Ord::min(left, 0)),
        false => row.repeats_left,
    };
    [
        id.into(),
        row.contact_number.as_str().into(),
        row.telnyx_message_id.as_deref().map(TelnyxId::new).into(),
        direction(row.direction).into(),
        row.from.as_str().into(),
        row.to.as_str().into(),
        list_to_json(&row.recipients).into(),
        list_to_json(&row.cc).into(),
        row.body.as_str().into(),
        row.subject.clone().into(),
        list_to_json(&row.media).into(),
        row.encoding.clone().into(),
        row.segments.and_then(|count| i32::try_from(count).ok()).into(),
        row.cost.as_ref().map(|cost| cost.amount.clone()).into(),
        row.cost.as_ref().map(|cost| cost.currency.clone()).into(),
        row.status.rank().into(),
        row.error.as_ref().and_then(to_json).into(),
        micros(row.created_at).into(),
        row.send_at.map(micros).into(),
        row.sent_at.map(micros).into(),
        row.completed_at.map(micros).into(),
        row.request.as_ref().map(|request| request.0.clone()).into(),
        row.base_url.clone().into(),
        row.attempt_until.map(micros).into(),
        repeats_left.into(),
        row.refusal.as_ref().and_then(to_json).into(),
        row.in_reply_to.into(),
        row.autoresponse_type.clone().into(),
        row.recovered.then_some(1_i16).into(),
    ]
}

async fn write_messages(
    db: &WriteTransaction,
    batch: &ImportBatch,
    plan: &Plan<'_>,
) -> Result<ImportCount, DbErr> {
    let rows = batch.messages.iter().zip(&plan.fates).filter_map(|(row, fate)| match fate {
        Fate::Insert(id) => Some(values(*id, row)),
        Fate::Known { .. } => None,
    });
    let rows: Vec<_> = rows.collect();
    let new = rows.len() as u64;
    let insert = BulkInsert::new("messages", &MESSAGE_COLUMNS, rows)
        .computed("conversation_key", "(SELECT key FROM conversations WHERE contact_number = {})");
    run_all(db, vec![insert]).await?;
    Ok(ImportCount::of(batch.messages.len(), new))
}

/// Raises the status of outbound messages that are there: the file may know more of them.
async fn raise(db: &WriteTransaction, batch: &ImportBatch, plan: &Plan<'_>) -> Result<(), DbErr> {
    use message::Column as C;
    let row = |(row, fate): (&ExportedMessage, &Fate)| match fate {
        Fate::Known { id, may_rise: true }
            if row.direction == Direction::Outbound && row.status != Status::Received =>
        {
            let cost = row.cost.as_ref().map(|cost| (cost.amount.clone(), cost.currency.clone()));
            let (amount, currency) = cost.unzip();
            Some(vec![
                (*id).into(),
                row.status.rank().into(),
                row.error.as_ref().and_then(to_json).into(),
                row.telnyx_message_id.as_deref().map(TelnyxId::new).into(),
                amount.into(),
                currency.into(),
                row.sent_at.map(micros).into(),
                row.completed_at.map(micros).into(),
            ])
        }
        _ => None,
    };
    let rows: Vec<Vec<Value>> = batch.messages.iter().zip(&plan.fates).filter_map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut update = Query::update();
    update
        .table(message::Entity)
        .value(C::StatusRank, Values::column(2))
        .value(C::Error, Values::column(3))
        .value(
            C::TelnyxMessageId,
            Func::coalesce([qualified(C::TelnyxMessageId), Values::column(4)]),
        );
    let kept = [C::CostAmount, C::CostCurrency, C::SentAt, C::CompletedAt];
    for (place, column) in kept.into_iter().enumerate() {
        update.value(column, or_kept(Values::column(place + 5), column));
    }
    update
        .from(Values::table(rows))
        .and_where(qualified(C::Id).eq(Values::column(1)))
        .and_where(qualified(C::Direction).eq(direction(Direction::Outbound)))
        // Not as a bare column: SQLite would go through the index of statuses for every row.
        .and_where(Expr::cust("+messages.status_rank").lt(Values::column(2)));
    db.execute(&update).await.map(drop)
}

/// Also keeps the ids that messages have in the file and not here, so that they are found by them.
async fn write_merged(
    db: &WriteTransaction,
    batch: &ImportBatch,
    plan: &Plan<'_>,
) -> Result<ImportCount, DbErr> {
    let survivor = |row: &MergedMessage| plan.merged.get(&row.survivor_id).copied();
    let lines = batch.merged.iter().map(|row| (row.id, survivor(row).unwrap_or(row.survivor_id)));
    let new = insert_merged(db, lines.collect()).await?;
    let other_id = |(message, fate): (&ExportedMessage, &Fate)| match fate {
        Fate::Known { id, .. } if *id != message.id && !plan.taken.contains(&message.id) => {
            Some((message.id, *id))
        }
        _ => None,
    };
    let others = batch.messages.iter().zip(&plan.fates).filter_map(other_id);
    insert_merged(db, others.collect()).await?;
    Ok(ImportCount::of(batch.merged.len(), new))
}

async fn insert_merged(db: &WriteTransaction, rows: BTreeMap<Uuid, Uuid>) -> Result<u64, DbErr> {
    let rows =
        rows.into_iter().map(|(id, survivor)| -> [Value; 2] { [id.into(), survivor.into()] });
    let rows: Vec<_> = rows.collect();
    let insert = BulkInsert::new("merged_messages", &["id", "survivor_id"], rows)
        .on_conflict("ON CONFLICT (id) DO NOTHING");
    run_all(db, vec![insert]).await
}

const REPORT_COLUMNS: [&str; 9] = [
    "telnyx_message_id",
    "event_id",
    "recipient",
    "status",
    "status_rank",
    "error",
    "facts",
    "occurred_at",
    "waiting_since",
];

async fn write_reports(
    db: &WriteTransaction,
    reports: Vec<&ExportedReport>,
) -> Result<ImportCount, DbErr> {
    let all = reports.len();
    let mut new = 0;
    // A message may have any number of reports.
    for reports in reports.chunks(1_000) {
        let rows = reports.iter().map(|row| -> [Value; 9] {
            [
                TelnyxId::new(&row.telnyx_message_id).into(),
                TelnyxId::new(&row.event_id).into(),
                row.recipient.as_str().into(),
                row.status.as_str().into(),
                Status::from_report(&row.status).map(Status::rank).into(),
                row.error.as_ref().and_then(to_json).into(),
                row.facts.as_ref().and_then(to_json).into(),
                micros(row.occurred_at).into(),
                row.waiting_since.map(micros).into(),
            ]
        });
        let insert = BulkInsert::new("delivery_reports", &REPORT_COLUMNS, rows)
            .on_conflict("ON CONFLICT (telnyx_message_id, event_id, recipient) DO NOTHING");
        new += run_all(db, vec![insert]).await?;
    }
    Ok(ImportCount::of(all, new))
}

const EVENT_COLUMNS: [&str; 6] =
    ["id", "event_type", "occurred_at", "received_at", "dictionary", "body"];

async fn write_events(db: &WriteTransaction, events: &[PackedEvent]) -> Result<ImportCount, DbErr> {
    let rows = events.iter().map(|row| -> [Value; 6] {
        let unusual = Some(row.event_type.clone()).filter(|kind| kind != event::USUAL_TYPE);
        [
            TelnyxId::new(&row.id).into(),
            unusual.into(),
            row.occurred_at.map_or(0, micros).into(),
            micros(row.received_at).into(),
            row.body.dictionary.into(),
            row.body.bytes.clone().into(),
        ]
    });
    let insert = BulkInsert::new("events", &EVENT_COLUMNS, rows)
        .on_conflict("ON CONFLICT (occurred_at, id) DO NOTHING");
    let new = run_all(db, vec![insert]).await?;
    Ok(ImportCount::of(events.len(), new))
}
