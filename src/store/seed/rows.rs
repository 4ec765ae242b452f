//! The example program's rows as lines of an export.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::export::{ExportedConversation, ExportedMessage};
use crate::domain::phone::NumberError;
use crate::domain::text::storable;
use crate::domain::{Direction, ExportLine, PhoneNumber, Status, Timestamp};

/// The longest id of Telnyx's that is kept, in bytes.
const LONGEST_ID: usize = 1_000;

/// A conversation; `None` if it has no contact.
pub(super) fn conversation(values: Vec<Option<String>>) -> Option<ExportLine> {
    let [id, contact, last_message_at, created_at] = values.try_into().ok()?;
    let created_at = time(created_at.as_deref()).or(time(last_message_at.as_deref()));
    let created_at = created_at.unwrap_or(Timestamp::from_micros(0));
    Some(ExportLine::Conversation(ExportedConversation {
        id: uuid("conversation", &id?),
        contact_number: number(contact.as_deref())?.to_string(),
        message_count: 0,
        last_message_at: time(last_message_at.as_deref()).unwrap_or(created_at),
        created_at,
    }))
}

/// A message; `None` if it has no direction or no contact.
pub(super) fn message(values: Vec<Option<String>>) -> Option<ExportLine> {
    let [id, of, contact, direction, from, to, body, status, created_at, telnyx_id] =
        values.try_into().ok()?;
    let direction = Direction::parse(direction?.trim())?;
    let contact = number(contact.as_deref());
    let (from, to) = (number(from.as_deref()), number(to.as_deref()));
    let unknown = || PhoneNumber::from_stored("unknown".to_owned());
    let (from, to) = match direction {
        Direction::Inbound => (from.or_else(|| contact.clone())?, to.unwrap_or_else(unknown)),
        Direction::Outbound => (from.unwrap_or_else(unknown), to.or_else(|| contact.clone())?),
    };
    let other = if direction == Direction::Inbound { &from } else { &to };
    let telnyx_message_id = telnyx_id.map(|id| storable(id.trim()).into_owned());
    let telnyx_message_id = telnyx_message_id.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
    // One that belongs to another contact than its conversation does gets that contact's.
    let conversation_id = match of.filter(|_| contact.as_ref() == Some(other)) {
        Some(of) => uuid("conversation", &of),
        None => uuid("contact", other.as_str()),
    };
    Some(ExportLine::Message(Box::new(ExportedMessage {
        id: uuid("message", &id?),
        conversation_id,
        contact_number: other.to_string(),
        direction,
        status: known_status(direction, status.as_deref(), telnyx_message_id.is_some()),
        from: from.to_string(),
        to: to.to_string(),
        body: storable(&body.unwrap_or_default()).into_owned(),
        created_at: time(created_at.as_deref()).unwrap_or(Timestamp::from_micros(0)),
        telnyx_message_id,
        recipients: Vec::new(),
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
        request: None,
        base_url: None,
        attempt_until: None,
        repeats_left: None,
        refusal: None,
        reports: Vec::new(),
    })))
}

/// The id, if it is a UUID in any form; else one of version 8, the first 16 bytes of the SHA-256 of its
/// kind, a colon and the id: the same whenever it is imported.
fn uuid(kind: &str, id: &str) -> Uuid {
    Uuid::try_parse(id.trim()).unwrap_or_else(|_| {
        let hash = Sha256::digest(format!("{kind}:{id}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    })
}

/// A number as convo writes it. Without a plus, it is the number that it most likely means.
fn number(text: Option<&str>) -> Option<PhoneNumber> {
    let text = text?;
    if let Err(NumberError::NoCountryCode { proposal: Some(proposal), .. }) =
        PhoneNumber::parse(text)
    {
        return PhoneNumber::parse(&proposal).ok();
    }
    PhoneNumber::from_wire(text)
}

/// The status that a row has, if convo has it, too. Of another word only this is certain: with an id of
/// Telnyx's, the message was accepted, and without one nobody knows what became of it.
fn known_status(direction: Direction, word: Option<&str>, is_accepted: bool) -> Status {
    let word = word.unwrap_or_default().trim().to_ascii_lowercase();
    match (direction, Status::parse(&word)) {
        (Direction::Inbound, _) => Status::Received,
        (Direction::Outbound, Some(status)) if status != Status::Received => status,
        (Direction::Outbound, _) if is_accepted => Status::Queued,
        (Direction::Outbound, _) => Status::Unknown,
    }
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    // PostgreSQL shows a time with a zone, of which there should be none, as `…+00`.
    Timestamp::parse(text?.trim_end_matches("+00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: [Option<&str>; 10]) -> Option<ExportedMessage> {
        match message(values.iter().map(|value| value.map(str::to_owned)).collect())? {
            ExportLine::Message(message) => Some(*message),
            _ => None,
        }
    }

    const ID: &str = "8f1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d";

    fn row() -> [Option<&'static str>; 10] {
        [
            Some(ID),
            Some("b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819"),
            Some("+12125551234"),
            Some("outbound"),
            Some("+15551234567"),
            Some("+12125551234"),
            Some("Hello"),
            Some("queued"),
            Some("2026-06-18 14:30:00.000001"),
            Some("msg-1"),
        ]
    }

    #[test]
    fn ids_numbers_and_times_are_kept() {
        let message = read(row()).expect("a message");
        assert_eq!(message.id.to_string(), ID);
        assert_eq!(message.created_at.to_string(), "2026-06-18T14:30:00.000001Z");
        assert_eq!((message.from.as_str(), message.to.as_str()), ("+15551234567", "+12125551234"));
        let mut bare = row();
        (bare[2], bare[5]) = (Some("12125551234"), Some("(212) 555-1234"));
        let bare = read(bare).expect("a message");
        assert_eq!(
            (bare.to.as_str(), bare.contact_number.as_str()),
            ("+12125551234", "+12125551234")
        );
        assert_eq!(bare.conversation_id, message.conversation_id);
    }

    #[test]
    fn what_is_no_uuid_gets_the_same_one_every_time() {
        let mut odd = row();
        odd[0] = Some("42");
        let [one, two] = [odd, odd].map(|row| read(row).expect("a message").id);
        assert_eq!(one, two);
        assert_eq!(one.get_version_num(), 8);
        assert_ne!(uuid("message", "42"), uuid("conversation", "42"));
    }

    #[test]
    fn a_status_says_no_more_than_is_known() {
        let with = |direction, status, telnyx_id| {
            let mut row = row();
            (row[3], row[7], row[9]) = (Some(direction), status, telnyx_id);
            read(row).expect("a message").status
        };
        assert_eq!(with("outbound", Some("delivered"), None), Status::Delivered);
        assert_eq!(with("outbound", Some("wrong"), Some("id")), Status::Queued);
        assert_eq!(with("outbound", None, Some(" ")), Status::Unknown);
        assert_eq!(with("outbound", Some("received"), None), Status::Unknown);
        assert_eq!(with("inbound", Some("delivered"), None), Status::Received);
        let mut neither = row();
        neither[3] = Some("sideways");
        assert!(read(neither).is_none());
    }
}
