//! Sample conversations and messages for the tests of this module.

use uuid::Uuid;

use super::{Format, Glyphs, Style, TargetOptions, Zone};
use crate::domain::{
    Conversation, Direction, LastMessage, Message, MessageError, PhoneNumber, Status, StatusReport,
    Timestamp,
};

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

pub(crate) fn number(text: &str) -> PhoneNumber {
    PhoneNumber::from_stored(text.to_owned())
}

fn id(last: u128) -> Uuid {
    Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_0000 + last)
}

/// A style in UTC whose present is 14:33 on 18 June 2026.
pub(crate) fn style(format: Format, width: usize, color: bool) -> Style {
    let now = time("2026-06-18T14:33:00Z");
    let (glyphs, zone) = (Glyphs::RICH, Zone::UTC);
    let target = TargetOptions::default();
    Style { format, brief: false, width, color, glyphs, now, zone, target }
}

pub(crate) fn conversation(body: &str) -> Conversation {
    let at = time("2026-06-18T14:30:00Z");
    Conversation {
        id: id(0xe6f7_0819),
        contact_number: number("+12125551234"),
        contact_name: None,
        message_count: 4,
        last_message_at: at,
        created_at: time("2026-06-18T14:00:00Z"),
        opted_out_at: None,
        opted_out_number: None,
        unread_count: 0,
        arrived: 0,
        last_message: Some(LastMessage {
            id: id(1),
            direction: Direction::Inbound,
            body: body.to_owned(),
            subject: None,
            cc: Vec::new(),
            media_count: 0,
            status: Status::Received,
            created_at: at,
            send_at: None,
        }),
    }
}

/// A conversation whose last message is outbound.
pub(crate) fn answered(contact: &str, body: &str, status: Status) -> Conversation {
    let mut thread = conversation(body);
    thread.contact_number = number(contact);
    if let Some(last) = &mut thread.last_message {
        last.direction = Direction::Outbound;
        last.status = status;
    }
    thread
}

pub(crate) fn inbound(body: &str) -> Message {
    Message {
        id: id(1),
        conversation_id: id(0xe6f7_0819),
        direction: Direction::Inbound,
        from: number("+12125551234"),
        to: number("+15551234567"),
        body: body.to_owned(),
        status: Status::Received,
        created_at: time("2026-06-18T14:29:00Z"),
        telnyx_message_id: None,
        cc: Vec::new(),
        subject: None,
        media: Vec::new(),
        encoding: None,
        segments: None,
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

pub(crate) fn outbound(body: &str, status: Status) -> Message {
    Message {
        id: id(2),
        direction: Direction::Outbound,
        from: number("+15551234567"),
        to: number("+12125551234"),
        status,
        created_at: time("2026-06-18T14:31:00Z"),
        segments: Some(1),
        ..inbound(body)
    }
}

pub(crate) fn failed(body: &str) -> Message {
    let error = MessageError {
        code: Some("40002".into()),
        title: "Blocked".into(),
        detail: Some("as spam".into()),
    };
    Message { error: Some(error), ..outbound(body, Status::DeliveryFailed) }
}

/// The message with two reports: sent, then its status.
pub(crate) fn with_history(message: Message) -> Message {
    let report = |status: &str, at: &str, error| StatusReport {
        status: status.to_owned(),
        recipient: Some("+12125551234".to_owned()),
        error,
        occurred_at: time(at),
        event_id: format!("event-{status}"),
    };
    let history = vec![
        report("sent", "2026-06-18T14:31:01Z", None),
        report(message.status.as_str(), "2026-06-18T14:31:02Z", message.error.clone()),
    ];
    Message { history: Some(history), ..message }
}
