//! Views for people in a database shell: ids, times and statuses in a form that they can read. convo
//! itself does not use them.

use sea_orm_migration::sea_orm::DatabaseBackend;

pub(super) const NAMES: [&str; 2] = ["convo_messages", "convo_conversations"];

/// The statuses by their ranks.
const STATUSES: [(i16, &str); 14] = [
    (0, "pending"),
    (10, "unknown"),
    (20, "scheduled"),
    (30, "queued"),
    (40, "sending"),
    (50, "sent"),
    (60, "delivery_unconfirmed"),
    (70, "expired"),
    (80, "cancelled"),
    (90, "sending_failed"),
    (100, "delivery_failed"),
    (110, "delivered"),
    (120, "read"),
    (130, "received"),
];

/// The statements that create the views.
pub(super) fn views(backend: DatabaseBackend) -> [String; 2] {
    [messages(backend), conversations(backend)]
}

fn messages(backend: DatabaseBackend) -> String {
    let statuses = STATUSES.map(|(rank, status)| format!(" WHEN {rank} THEN '{status}'"));
    format!(
        "CREATE VIEW convo_messages AS SELECT {id} AS id, {conversation} AS conversation_id, \
         {telnyx_id} AS telnyx_message_id, c.contact_number, \
         CASE m.direction WHEN 0 THEN 'inbound' ELSE 'outbound' END AS direction, \
         m.from_number, m.to_number, m.recipients, m.cc, m.body, m.subject, m.media, m.encoding, \
         m.segments, m.cost_amount, m.cost_currency, CASE m.status_rank{statuses} END AS status, \
         m.error, {created_at} AS created_at, {send_at} AS send_at, {sent_at} AS sent_at, \
         {completed_at} AS completed_at \
         FROM messages AS m JOIN conversations AS c ON c.key = m.conversation_key",
        id = uuid("m.id", backend),
        conversation = uuid("c.id", backend),
        telnyx_id = telnyx_id("m.telnyx_message_id", backend),
        statuses = statuses.concat(),
        created_at = time("m.created_at", backend),
        send_at = time("m.send_at", backend),
        sent_at = time("m.sent_at", backend),
        completed_at = time("m.completed_at", backend),
    )
}

fn conversations(backend: DatabaseBackend) -> String {
    format!(
        "CREATE VIEW convo_conversations AS SELECT {id} AS id, contact_number, message_count, \
         {last_message_at} AS last_message_at, {created_at} AS created_at, \
         {opted_out_at} AS opted_out_at, opted_out_number FROM conversations",
        id = uuid("id", backend),
        last_message_at = time("last_message_at", backend),
        created_at = time("created_at", backend),
        opted_out_at = time("opted_out_at", backend),
    )
}

/// A UUID with hyphens, in lower case.
fn uuid(column: &str, backend: DatabaseBackend) -> String {
    match backend {
        DatabaseBackend::Sqlite => {
            let part =
                |start: u8, length: u8| format!("substr(lower(hex({column})), {start}, {length})");
            [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)].join(" || '-' || ")
        }
        _ => column.to_owned(),
    }
}

/// An id of Telnyx's: a UUID, or the text behind its prefix.
fn telnyx_id(column: &str, backend: DatabaseBackend) -> String {
    match backend {
        DatabaseBackend::Sqlite => format!(
            "CASE length({column}) WHEN 16 THEN {} ELSE CAST(substr({column}, 18) AS text) END",
            uuid(column, backend)
        ),
        _ => format!(
            "CASE octet_length({column}) WHEN 16 THEN encode({column}, 'hex')::uuid::text \
             ELSE convert_from(substr({column}, 18), 'UTF8') END"
        ),
    }
}

/// A time in UTC, such as `2026-11-29 12:30:00.123`; on PostgreSQL in the session's time zone.
fn time(column: &str, backend: DatabaseBackend) -> String {
    match backend {
        DatabaseBackend::Sqlite => {
            format!("strftime('%Y-%m-%d %H:%M:%f', {column} / 1000000.0, 'unixepoch')")
        }
        _ => format!("to_timestamp({column} / 1000000.0)"),
    }
}
