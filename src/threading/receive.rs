//! Taking in what Telnyx reports.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::Threads;
use crate::clock;
use crate::domain::{Direction, PhoneNumber, Status, Timestamp};
use crate::error::Error;
use crate::store::Facts;
use crate::store::row::{
    Change, NewEvent, NewMessage, NewRecipientStatus, NewReport, OptOutChange,
};
use crate::store::writer::Written;
use crate::telnyx::event::{Address, Content, Event, Payload};

/// What became of a webhook event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Received {
    /// A message that was not known before.
    Stored,
    /// A report about a message.
    Updated,
    /// Seen before: nothing changed.
    Duplicate,
    /// Nothing convo acts on; kept as it came.
    Ignored,
}

impl Threads {
    /// Takes in one signed webhook body. Returns once its data is committed durably.
    ///
    /// # Errors
    /// `invalid_request` when the body is no Telnyx event, `database_unavailable` when it could
    /// not be committed.
    pub async fn receive(&self, raw: Bytes) -> Result<Received, Error> {
        let event = Event::parse(&raw).map_err(|error| {
            Error::invalid(error.to_string()).hint("this route takes Telnyx's messaging webhooks")
        })?;
        let written = self.store.writer()?.event(new_event(event, raw, clock::now())).await?;
        Ok(match written {
            Written::Message => Received::Stored,
            Written::Report => Received::Updated,
            Written::Duplicate => Received::Duplicate,
            Written::Event => Received::Ignored,
        })
    }
}

/// The report that a stored event told.
pub(super) fn report_of(event_id: &str, body: &[u8], received_at: Timestamp) -> Option<NewReport> {
    let event = Event::parse(body).ok()?;
    let Content::Report(payload) = event.content else { return None };
    Some(report(payload, event_id, &event.event_type, event.occurred_at, received_at))
}

/// What Telnyx told on being asked about a message, as a report. `None` when it names no status.
pub(super) fn report_told(payload: Payload, now: Timestamp) -> Option<NewReport> {
    let words: Vec<_> = payload.to.iter().filter_map(|to| to.status.as_deref()).collect();
    if words.is_empty() {
        return None;
    }
    let event_id = format!("get:{}:{}", payload.id, words.join(","));
    Some(NewReport { foreign: None, ..report(payload, &event_id, "", Some(now), now) })
}

fn new_event(event: Event, body: Bytes, now: Timestamp) -> NewEvent {
    // Without an id nothing tells a repetition from a second event; such kinds change nothing.
    let id = event.id.unwrap_or_else(|| format!("convo:{}", Uuid::now_v7()));
    let change = match event.content {
        Content::Inbound(payload) => inbound(payload, event.occurred_at, now),
        Content::Report(payload) => {
            let report = report(payload, &id, &event.event_type, event.occurred_at, now);
            Change::Report(Box::new(report))
        }
        Content::Other => Change::Nothing,
    };
    let (event_type, occurred_at) = (event.event_type, event.occurred_at);
    NewEvent { id, event_type, occurred_at, received_at: now, body, change }
}

fn inbound(payload: Payload, occurred_at: Option<Timestamp>, now: Timestamp) -> Change {
    // A clock that runs ahead must not put a message after those that are still to come.
    let at = payload.received_at.or(occurred_at).unwrap_or(now).min(now);
    let opt_out = opt_out(&payload, at);
    match message(payload, Direction::Inbound, Status::Received, at) {
        Some(message) => Change::Message(Box::new(message), opt_out),
        None => Change::Nothing,
    }
}

/// A message as Telnyx describes it. `None` when it does not say who sent it.
fn message(
    payload: Payload,
    direction: Direction,
    status: Status,
    at: Timestamp,
) -> Option<NewMessage> {
    let from = payload.from.clone()?;
    let facts = facts(&payload);
    let mut to = numbers(payload.to);
    if to.is_empty() {
        to.push(PhoneNumber::from_stored(String::new()));
    }
    Some(NewMessage {
        id: Uuid::now_v7(),
        telnyx_message_id: Some(payload.id),
        direction,
        from,
        to,
        cc: numbers(payload.cc).iter().map(ToString::to_string).collect(),
        body: payload.text,
        subject: payload.subject,
        media: payload.media,
        facts,
        status,
        created_at: at,
        send_at: None,
        offer: None,
    })
}

fn numbers(addresses: Vec<Address>) -> Vec<PhoneNumber> {
    addresses.into_iter().map(|address| address.number).collect()
}

pub(super) fn facts(payload: &Payload) -> Facts {
    Facts {
        cost: payload.cost.clone(),
        encoding: payload.encoding.clone(),
        segments: payload.segments,
        sent_at: payload.sent_at,
        completed_at: payload.completed_at,
    }
}

/// Telnyx handles STOP and its kin by itself and says so; the text itself decides nothing.
fn opt_out(payload: &Payload, at: Timestamp) -> Option<OptOutChange> {
    let opted_out = match payload.autoresponse.as_deref()? {
        "STOP" => true,
        "START" => false,
        _ => return None,
    };
    Some(OptOutChange {
        opted_out,
        at,
        number: payload.to.first().map(|address| address.number.clone()),
        profile: payload.profile.clone(),
    })
}

/// Whether a word says more than another.
fn further(word: &str, than: &str) -> bool {
    Status::from_report(word) > Status::from_report(than)
}

fn report(
    payload: Payload,
    event_id: &str,
    event_type: &str,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
) -> NewReport {
    let mut recipients: Vec<NewRecipientStatus> = Vec::new();
    for address in &payload.to {
        let Some(word) = address.status.clone() else { continue };
        let number = address.number.as_str().to_owned();
        match recipients.iter_mut().find(|known| known.number == number) {
            // Named twice: the further one counts, as it does in two reports.
            Some(known) if further(&word, &known.word) => known.word = word,
            Some(_) => {}
            None => recipients.push(NewRecipientStatus { number, word }),
        }
    }
    if recipients.is_empty() {
        // The kind of the event is then all that is known: `sent`, `read`, or a word that moves
        // nothing.
        let word = event_type.trim_start_matches("message.").to_owned();
        recipients.push(NewRecipientStatus { number: String::new(), word });
    }
    NewReport {
        event_id: event_id.to_owned(),
        telnyx_message_id: payload.id.clone(),
        tag: payload.tag,
        recipients,
        error: payload.errors.first().cloned(),
        facts: facts(&payload),
        occurred_at: occurred_at.unwrap_or(now),
        foreign: if payload.to.is_empty() {
            None
        } else {
            // Telnyx knows it, so it is in its queue at least; its reports say the rest.
            message(payload, Direction::Outbound, Status::Queued, now)
        },
    }
}
