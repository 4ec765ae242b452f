//! The examples in the document. They are values of the types, so that they always fit the schemas.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::export::{EXPORT_VERSION, ExportEnd, ExportHeader};
use crate::domain::naming::{NamedContact, NamesRequest, Naming, NamingOutcome};
use crate::domain::stats::{DeliveryTimes, ErrorCount, MessageCounts, StatsRow};
use crate::domain::telnyx_codes::hint_for;
use crate::domain::{
    BatchCheck, BatchId, BatchInfo, BatchRecord, BatchRow, BatchRowQuery, BatchRowState, BatchRows,
    Contact, Conversation, Cost, Direction, Encoding, ExportLine, FeedCursor, FeedEvent, FeedKind,
    FeedPage, Fingerprint, ForgetReceipt, ForgottenMark, ForgottenMarks, Forward, ForwardReplay,
    ForwardState, ForwardTest, LastMessage, Message, PhoneNumber, SearchHit, SegmentCost, SendPlan,
    SendRequest, SettledMessage, SourceReport, Stats, StatsBy, Status, StatusReport, StoredEvent,
    SyncNews, SyncReport, SyncSource, SyncState, Thread, Timestamp,
};
use crate::error::{Code, Error, ErrorBody};
use crate::server::health::Readiness;
use crate::threading::Check;

const OURS: &str = "+12025550100";
const CONTACT: &str = "+12125551234";
pub(super) const NAME: &str = "Ada Lovelace";
const TEXT: &str = "Your table for four is booked at eight.";
/// 23 November 2026, 09:14 UTC.
const SENT: i64 = 1_795_425_240_000_000;

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::from_stored(text.to_owned())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(SENT).plus_seconds(seconds)
}

fn thread_id() -> Uuid {
    Uuid::from_u128(0x01a2_0696_4495_7675_a67d_2b4f_dd7a_09e8)
}

fn message_id() -> Uuid {
    Uuid::from_u128(0x01a2_0696_9c1e_7d50_8f3a_6b0d_51c2_77aa)
}

pub(super) fn contact() -> Contact {
    Contact {
        contact_number: number(CONTACT),
        contact_name: Some(NAME.to_owned()),
        named_at: Some(at(0)),
    }
}

pub(super) fn nameless_contact() -> Contact {
    Contact { contact_name: None, named_at: None, ..contact() }
}

pub(super) fn names_request() -> NamesRequest {
    let (contact_number, contact_name) = (CONTACT.to_owned(), NAME.to_owned());
    NamesRequest { contacts: vec![NamedContact { contact_number, contact_name }], replace: false }
}

pub(super) fn naming() -> Naming {
    Naming {
        contact_number: number(CONTACT),
        contact_name: NAME.to_owned(),
        outcome: NamingOutcome::Added,
        previous_name: None,
    }
}

pub(super) fn conversation() -> Conversation {
    Conversation {
        id: thread_id(),
        contact_number: number(CONTACT),
        contact_name: Some(NAME.to_owned()),
        message_count: 2,
        last_message_at: at(0),
        created_at: at(-120),
        opted_out_at: None,
        opted_out_number: None,
        unread_count: 1,
        arrived: 1,
        last_message: Some(LastMessage {
            id: message_id(),
            direction: Direction::Outbound,
            body: TEXT.to_owned(),
            subject: None,
            cc: Vec::new(),
            media_count: 0,
            status: Status::Delivered,
            created_at: at(0),
            send_at: None,
        }),
    }
}

pub(super) fn thread() -> Thread {
    Thread { conversation: conversation(), messages: vec![inbound(), delivered()] }
}

fn inbound() -> Message {
    Message {
        id: Uuid::from_u128(0x01a2_0694_c7a0_7b11_9d42_0f5e_8c3b_1d66),
        direction: Direction::Inbound,
        from: number(CONTACT),
        to: number(OURS),
        body: "Hi, is anyone there?".to_owned(),
        status: Status::Received,
        created_at: at(-120),
        telnyx_message_id: Some("84cca175-9755-4859-b67f-4730d7f58aa3".to_owned()),
        cost: None,
        ..message()
    }
}

/// Just accepted by Telnyx.
pub(super) fn message() -> Message {
    Message {
        id: message_id(),
        conversation_id: thread_id(),
        direction: Direction::Outbound,
        from: number(OURS),
        to: number(CONTACT),
        body: TEXT.to_owned(),
        status: Status::Queued,
        created_at: at(0),
        telnyx_message_id: Some("ac012cbf-5e09-46af-a69a-7c0e2d90993c".to_owned()),
        cc: Vec::new(),
        subject: None,
        media: Vec::new(),
        encoding: Some(Encoding::Gsm7.to_string()),
        segments: Some(1),
        cost: None,
        error: None,
        send_at: None,
        sent_at: None,
        completed_at: None,
        in_reply_to: None,
        autoresponse_type: None,
        recovered: false,
        history: None,
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of_key("17")
}

pub(super) fn batch_rows() -> BatchRows {
    let row = fingerprint();
    let row = BatchRowQuery { row, to: CONTACT.to_owned(), message: TEXT.to_owned() };
    BatchRows { rows: vec![row] }
}

pub(super) fn batch_record() -> BatchRecord {
    BatchRecord { content: Fingerprint::of_key("file"), rows: 1, finished: true }
}

pub(super) fn batch() -> BatchInfo {
    let BatchRecord { content, rows, .. } = batch_record();
    let id = BatchId::of_content(content);
    BatchInfo { id, content, rows, created_at: at(-60), finished_at: Some(at(0)) }
}

pub(super) fn batch_check() -> BatchCheck {
    let cost = SegmentCost { amount: "0.005100".to_owned(), currency: "USD".to_owned() };
    let row = BatchRow {
        state: BatchRowState::Sent,
        message_id: Some(message_id()),
        status: Some(Status::Delivered),
        from: None,
    };
    BatchCheck {
        batch: Some(batch()),
        numbers: vec![number(OURS)],
        cost: Some(cost),
        rows: vec![row],
    }
}

pub(super) fn search_hit() -> SearchHit {
    SearchHit::new(delivered(), number(CONTACT), std::slice::from_ref(&(5..10)))
}

pub(super) fn stats() -> Stats {
    let cost = Cost { amount: "0.0102".to_owned(), currency: "USD".to_owned() };
    let counts = MessageCounts {
        inbound: 1,
        outbound: 3,
        delivered: 2,
        failed: 1,
        delivery_rate: Some(0.6666),
        segments: 4,
        cost: vec![cost],
        delivery_times: DeliveryTimes { within_5s: 2, ..DeliveryTimes::default() },
        ..MessageCounts::default()
    };
    Stats {
        since: None,
        until: None,
        complete: true,
        total: counts.clone(),
        errors: vec![ErrorCount {
            code: Some("40002".to_owned()),
            title: "Blocked as spam".to_owned(),
            hint: hint_for("40002").map(str::to_owned),
            messages: 1,
        }],
        by: StatsBy::Day,
        rows: vec![StatsRow { key: "2026-06-18".to_owned(), counts }],
        more: false,
    }
}

fn delivered() -> Message {
    let cost = Cost { amount: "0.0051".to_owned(), currency: "USD".to_owned() };
    Message {
        status: Status::Delivered,
        cost: Some(cost),
        sent_at: Some(at(1)),
        completed_at: Some(at(3)),
        ..message()
    }
}

/// When Telnyx's response was lost.
pub(super) fn unknown() -> Message {
    Message {
        status: Status::Unknown,
        telnyx_message_id: None,
        encoding: None,
        segments: None,
        ..message()
    }
}

/// A scheduled message that was cancelled.
pub(super) fn cancelled() -> Message {
    Message { status: Status::Cancelled, ..message() }
}

pub(super) fn message_with_history() -> Message {
    let report = |status: Status, seconds, event_id: &str| StatusReport {
        status: status.to_string(),
        recipient: Some(CONTACT.to_owned()),
        error: None,
        occurred_at: at(seconds),
        event_id: event_id.to_owned(),
    };
    let history = vec![
        report(Status::Sent, 1, "b301ed3f-1490-491f-995f-6e64e69674d4"),
        report(Status::Delivered, 3, "4ee8c3a6-4995-4309-a3c6-38e3db9ea4be"),
    ];
    Message { history: Some(history), ..delivered() }
}

pub(super) fn send_request() -> SendRequest {
    SendRequest { message: Some(TEXT.to_owned()), ..SendRequest::default() }
}

pub(super) fn plan() -> SendPlan {
    SendPlan {
        from: number(OURS),
        to: number(CONTACT),
        conversation_id: Some(thread_id()),
        encoding: Encoding::Gsm7,
        segments: 1,
        units: 39,
        opted_out_at: None,
    }
}

/// A message comes in, and one is delivered.
pub(super) fn feed_page() -> FeedPage {
    let event = |position, nonce, kind, message: Message| FeedEvent {
        cursor: FeedCursor { position, nonce },
        kind,
        at: message.completed_at.unwrap_or(message.created_at),
        conversation_id: Some(message.conversation_id),
        contact_number: Some(message.contact().clone()),
        contact_name: Some(NAME.to_owned()),
        status: (kind == FeedKind::Status).then_some(message.status),
        message: Some(message),
        replaces: None,
        opted_out: None,
        recovered: false,
    };
    let events = vec![
        event(4_710, 0x5e1d_02c7, FeedKind::Message, inbound()),
        event(4_711, 0x9b40_fa1e, FeedKind::Status, delivered()),
    ];
    FeedPage { events, next: FeedCursor { position: 4_711, nonce: 0x9b40_fa1e } }
}

pub(super) fn event_stream() -> String {
    let event = |event: &FeedEvent| {
        let (cursor, kind) = (event.cursor, event.kind);
        format!("id: {cursor}\nevent: {kind}\ndata: {}\n\n", json!(event))
    };
    let events: String = feed_page().events.iter().map(event).collect();
    format!("retry: 1000\nid: 4709-d1ab77f0\n\n{events}")
}

pub(super) fn export() -> String {
    let header = ExportLine::ConvoExport(ExportHeader { version: EXPORT_VERSION, sandbox: false });
    let end = ExportLine::End(ExportEnd { lines: 1 });
    format!("{}\n{}\n", json!(header), json!(end))
}

pub(super) fn event() -> Value {
    json!({ "data": {
        "event_type": "message.received",
        "id": "b301ed3f-1490-491f-995f-6e64e69674d4",
        "occurred_at": at(-120),
        "record_type": "event",
        "payload": {
            "id": "84cca175-9755-4859-b67f-4730d7f58aa3",
            "direction": "inbound",
            "type": "SMS",
            "from": { "phone_number": CONTACT },
            "to": [{ "phone_number": OURS }],
            "text": "Hi, is anyone there?",
            "received_at": at(-120),
        },
    } })
}

pub(super) fn ready() -> Readiness {
    Readiness::new(vec![Check::new("database", true, "")])
}

pub(super) fn not_ready() -> Readiness {
    Readiness::new(vec![Check::new("database", false, "the database does not respond")])
}

pub(super) fn stored_event() -> StoredEvent {
    StoredEvent {
        id: "b301ed3f-1490-491f-995f-6e64e69674d4".to_owned(),
        event_type: "message.received".to_owned(),
        occurred_at: Some(at(-120)),
        received_at: at(-119),
        contact_number: Some(CONTACT.to_owned()),
        telnyx_message_id: Some("84cca175-9755-4859-b67f-4730d7f58aa3".to_owned()),
    }
}

pub(super) fn forward() -> Forward {
    Forward {
        name: "default".to_owned(),
        url: Some("https://example.com/events".to_owned()),
        state: ForwardState::Active,
        events_behind: 0,
        seconds_behind: 0,
        last_success_at: Some(at(0)),
        failing_since: None,
        attempts: 0,
        next_attempt_at: None,
        last_error: None,
        last_error_at: None,
        restarted_at: None,
        given_up: Vec::new(),
        replaying: 0,
    }
}

pub(super) fn forward_test() -> ForwardTest {
    ForwardTest {
        webhook_id: "test_4f0c9a7e2b6d4c1f8e3a5b7d9c0e1f2a".to_owned(),
        delivered: true,
        status: Some(200),
        error: None,
    }
}

pub(super) fn forward_replay() -> ForwardReplay {
    ForwardReplay { name: "default".to_owned(), events: 12 }
}

pub(super) fn forget_receipt() -> ForgetReceipt {
    ForgetReceipt {
        contact_number: message().contact().clone(),
        conversation_id: Some(message().conversation_id),
        dry_run: false,
        forgotten_at: at(0),
        messages: 12,
        webhooks: 31,
        feed_entries: 40,
        opted_out: true,
        named: true,
    }
}

pub(super) fn forgotten() -> ForgottenMarks {
    let mark = ForgottenMark {
        mark: "8f14e45fceea167a5a36dedd4bea25438f14e45fceea167a5a36dedd4bea2543".to_owned(),
        forgotten_at: at(0),
        opted_out_at: Some(at(-86_400)),
    };
    ForgottenMarks { key: Some("00112233445566778899aabbccddeeff".repeat(2)), marks: vec![mark] }
}

/// The last line of a sync.
pub(super) fn sync() -> Value {
    let found = SourceReport {
        state: SyncState::Complete,
        since: Some(at(-4_200)),
        until: Some(at(0)),
        listed: 12,
        found: 1,
        ..SourceReport::new(SyncSource::Deliveries)
    };
    let settled = vec![SettledMessage { id: message_id(), status: Status::Unknown }];
    let sources = vec![found];
    let report = SyncReport { complete: true, dry_run: false, settled, sources };
    json!(format!("{}\n", json!(SyncNews::Report(report))))
}

pub(super) fn error() -> ErrorBody {
    Error::new(Code::InvalidNumber, "'2125551234' has no country code")
        .hint("write it with its country code, for example +12125551234")
        .body()
}
