//! Receiving webhook events, and converting Telnyx's payloads into messages and delivery reports.

use bytes::Bytes;
use uuid::Uuid;

use super::{Conversations, VerifiedBy};
use crate::clock;
use crate::domain::{
    Direction, EventOutcome, Message, MessageError, PhoneNumber, Status, Timestamp,
};
use crate::error::Error;
use crate::store::model::{
    Change, NewEvent, NewMessage, NewRecipientStatus, NewReport, OptOutChange,
};
use crate::store::{Facts, RawEvent};
use crate::telnyx::event::{Address, Content, Event, Payload};

impl Conversations {
    /// Stores an authenticated webhook body. Returns after the durable commit.
    ///
    /// # Errors
    /// `invalid_request` if the body is not a Telnyx event; `database_unavailable` if it cannot be
    /// committed.
    pub async fn receive(&self, raw: Bytes) -> Result<EventOutcome, Error> {
        self.receive_event(parse(&raw)?, &raw).await
    }

    /// As [`receive`](Self::receive), noting now and then which key the signature was of.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_signed(
        &self,
        raw: Bytes,
        by: VerifiedBy<'_>,
    ) -> Result<EventOutcome, Error> {
        let event = parse(&raw)?;
        self.note_verified(&event.event_type, by);
        self.receive_event(event, &raw).await
    }

    async fn receive_event(&self, event: Event, raw: &Bytes) -> Result<EventOutcome, Error> {
        self.store_event(new_event(event, raw, clock::now(), EventOrigin::Webhook)).await
    }

    /// Stores an event that a sync has fetched, as if it had come as a webhook, but marks what it brings.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub(super) async fn recover(&self, event: Event, raw: &[u8]) -> Result<EventOutcome, Error> {
        self.store_event(new_event(event, raw, clock::now(), EventOrigin::Sync)).await
    }

    async fn store_event(&self, mut event: NewEvent) -> Result<EventOutcome, Error> {
        if self.is_forgotten(&event).await? {
            // Nor is it kept as it came: it has the text.
            return Ok(EventOutcome::Ignored);
        }
        self.leave_out_old(&mut event);
        self.store.writer()?.event(event).await
    }

    /// Leaves out a message that would be removed again, unless it says that its sender opts out or in.
    fn leave_out_old(&self, event: &mut NewEvent) {
        let Some(oldest) = self.oldest_message() else { return };
        match &mut event.change {
            Change::Message(message, None) if message.created_at < oldest => {
                event.change = Change::Nothing;
            }
            Change::Report(report) => {
                let sent_at = report.facts.sent_at;
                let is_recent =
                    |message: &NewMessage| sent_at.unwrap_or(message.created_at) >= oldest;
                report.foreign = report.foreign.take().filter(is_recent);
            }
            _ => {}
        }
    }
}

fn parse(raw: &[u8]) -> Result<Event, Error> {
    Event::parse(raw).map_err(|error| {
        Error::invalid(error.to_string()).hint("this route accepts Telnyx's messaging webhooks")
    })
}

/// How an event came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventOrigin {
    Webhook,
    /// It was fetched: what it tells may be old.
    Sync,
}

impl EventOrigin {
    /// That of a stored event.
    fn of_stored(event_id: &str) -> Self {
        if event_id.starts_with(FETCHED_PREFIX) { Self::Sync } else { Self::Webhook }
    }
}

/// How the ids of events begin that were made from a message that was looked up.
const FETCHED_PREFIX: &str = "get:";
/// The longest id of an event that is made here.
const LONGEST_ID: usize = 255;

/// The id of the event that stands for a message as it was looked up: the same as long as its status is.
pub(super) fn fetched_id(payload: &Payload) -> String {
    let words: Vec<_> = payload.to.iter().filter_map(|to| to.status.as_deref()).collect();
    let mut id = format!("{FETCHED_PREFIX}{}:{}", payload.id, words.join(","));
    id.truncate(id.floor_char_boundary(LONGEST_ID));
    id
}

/// When that was which a stored event tells: the message's time; of a report, that of its sending.
pub(super) fn told_time(body: &[u8], received_at: Timestamp) -> Timestamp {
    let Ok(event) = Event::parse(body) else { return received_at };
    match new_event(event, body, received_at, EventOrigin::Webhook).change {
        Change::Message(message, _) => message.created_at,
        Change::Report(report) => report.facts.sent_at.unwrap_or(report.occurred_at),
        Change::Nothing => received_at,
    }
}

/// The report in a stored event.
pub(super) fn report_from_event(
    event_id: &str,
    body: &[u8],
    received_at: Timestamp,
) -> Option<NewReport> {
    let event = Event::parse(body).ok()?;
    let Content::Report(payload) = event.content else { return None };
    let origin = EventOrigin::of_stored(event_id);
    Some(report(payload, event_id, &event.event_type, event.occurred_at, received_at, origin))
}

/// A message that was looked up at Telnyx, as a report. `None` if it has no status.
pub(super) fn report_from_lookup(payload: Payload, now: Timestamp) -> Option<NewReport> {
    payload.to.iter().find(|to| to.status.is_some())?;
    let (event_id, ended_at) = (fetched_id(&payload), payload.completed_at);
    let report = report(payload, &event_id, "", ended_at, now, EventOrigin::Webhook);
    Some(NewReport { foreign: None, occurred_at: now, ..report })
}

/// What Telnyx's consent to cancel a message says, as a report. `None` without Telnyx's id of it.
pub(super) fn cancellation_report(message: &Message, now: Timestamp) -> Option<NewReport> {
    let telnyx_message_id = message.telnyx_message_id.clone()?;
    let word = || Status::Cancelled.as_str().to_owned();
    let recipients =
        std::iter::once(message.to.as_str()).chain(message.cc.iter().map(String::as_str));
    Some(NewReport {
        event_id: format!("delete:{telnyx_message_id}"),
        telnyx_message_id,
        is_group: false,
        tag: None,
        recipients: recipients
            .map(|number| NewRecipientStatus { number: number.to_owned(), word: word() })
            .collect(),
        opt_out: None,
        error: None,
        facts: Facts::default(),
        occurred_at: now,
        foreign: None,
        recovered: false,
    })
}

/// The answer to a send, as a report, if it contains a failure or errors.
pub(super) fn report_from_answer(payload: &Payload, now: Timestamp) -> Option<NewReport> {
    let statuses = payload.to.iter().filter_map(|to| Status::from_report(to.status.as_deref()?));
    if payload.errors.is_empty() && !statuses.into_iter().any(Status::is_failure) {
        return None;
    }
    let words: Vec<_> = payload.to.iter().filter_map(|to| to.status.as_deref()).collect();
    let event_id = format!("answer:{}:{}", payload.id, words.join(","));
    let at = payload.completed_at.or(payload.received_at);
    let report = report(payload.clone(), &event_id, "", at, now, EventOrigin::Webhook);
    Some(NewReport { foreign: None, ..report })
}

fn new_event(event: Event, body: &[u8], now: Timestamp, origin: EventOrigin) -> NewEvent {
    // Without an id, a redelivery cannot be recognised; events of such types change nothing.
    let id = event.id.unwrap_or_else(|| format!("convo:{}", Uuid::now_v7()));
    let change = match event.content {
        Content::Inbound(payload) => inbound(payload, event.occurred_at, now, origin),
        Content::Report(payload) => {
            let report = report(payload, &id, &event.event_type, event.occurred_at, now, origin);
            Change::Report(Box::new(report))
        }
        Content::Other => Change::Nothing,
    };
    let (event_type, occurred_at) = (event.event_type, event.occurred_at);
    NewEvent {
        id,
        event_type,
        occurred_at,
        received_at: now,
        body: RawEvent::compress(body),
        change,
    }
}

fn inbound(
    payload: Payload,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
    origin: EventOrigin,
) -> Change {
    // A clock that is ahead must not order a message after later ones.
    let at = payload.received_at.or(occurred_at).unwrap_or(now).min(now);
    let opt_out = opt_out(&payload, occurred_at, now);
    match message(payload, Direction::Inbound, Status::Received, at) {
        Some(message) => {
            let recovered = origin == EventOrigin::Sync;
            Change::Message(Box::new(NewMessage { recovered, ..message }), opt_out)
        }
        None => Change::Nothing,
    }
}

/// The message in a payload. `None` if it names no sender.
fn message(
    payload: Payload,
    direction: Direction,
    status: Status,
    at: Timestamp,
) -> Option<NewMessage> {
    let from = payload.from.clone()?;
    let facts = facts(&payload);
    let mut to = numbers(payload.to);
    let mut cc = numbers(payload.cc);
    if direction == Direction::Outbound {
        cc.retain(|number| *number != from && !to.contains(number));
        if payload.group_id.is_some() {
            // Each of them has reports of its own.
            to.append(&mut cc);
        }
    }
    if to.is_empty() {
        to.push(PhoneNumber::from_stored(String::new()));
    }
    Some(NewMessage {
        id: Uuid::now_v7(),
        telnyx_message_id: Some(payload.id),
        direction,
        from,
        to,
        cc: cc.iter().map(ToString::to_string).collect(),
        body: payload.text,
        subject: payload.subject,
        media: payload.media,
        facts,
        status,
        created_at: at,
        send_at: None,
        offer: None,
        in_reply_to: None,
        autoresponse_type: payload.autoresponse,
        recovered: false,
    })
}

fn numbers(addresses: Vec<Address>) -> Vec<PhoneNumber> {
    addresses.into_iter().map(|address| address.number).collect()
}

pub(super) fn facts(payload: &Payload) -> Facts {
    Facts {
        from: payload.from.clone(),
        cost: payload.cost.clone(),
        encoding: payload.encoding.clone(),
        segments: payload.segments,
        sent_at: payload.sent_at,
        completed_at: payload.completed_at,
    }
}

/// The opt-out or opt-in that Telnyx recognised in an inbound message. The text itself does not matter.
fn opt_out(
    payload: &Payload,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<OptOutChange> {
    let opted_out = match payload.autoresponse.as_deref()? {
        "STOP" => true,
        "START" => false,
        _ => return None,
    };
    Some(OptOutChange {
        opted_out,
        decided_at: payload.received_at.or(occurred_at),
        learned_at: now,
        number: payload.to.first().map(|address| address.number.clone()),
        profile: payload.profile.clone(),
    })
}

/// Whether a status word ranks above another.
fn ranks_above(word: &str, than: &str) -> bool {
    Status::from_report(word) > Status::from_report(than)
}

fn report(
    mut payload: Payload,
    event_id: &str,
    event_type: &str,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
    origin: EventOrigin,
) -> NewReport {
    let group_id = payload.group_id.clone().filter(|_| payload.tag.is_none());
    let is_group = group_id.is_some();
    payload.id = group_id.unwrap_or(payload.id);
    let mut recipients: Vec<NewRecipientStatus> = Vec::new();
    let others = payload.cc.iter().filter(|address| Some(&address.number) != payload.from.as_ref());
    for address in payload.to.iter().chain(others) {
        let Some(word) = address.status.clone() else { continue };
        let number = address.number.as_str().to_owned();
        match recipients.iter_mut().find(|known| known.number == number) {
            // The higher of two statuses of a recipient counts, as it does in two reports.
            Some(known) if ranks_above(&word, &known.word) => known.word = word,
            Some(_) => {}
            None => recipients.push(NewRecipientStatus { number, word }),
        }
    }
    if recipients.is_empty() {
        // Only the type of the event is known: `sent`, `read`, or a word that changes no status.
        let word = event_type.trim_start_matches("message.").to_owned();
        recipients.push(NewRecipientStatus { number: String::new(), word });
    }
    NewReport {
        event_id: event_id.to_owned(),
        telnyx_message_id: payload.id.clone(),
        is_group,
        tag: payload.tag,
        recipients,
        opt_out: payload.errors.iter().any(MessageError::speaks_of_stop).then(|| OptOutChange {
            opted_out: true,
            decided_at: occurred_at,
            learned_at: now,
            number: payload.from.clone(),
            profile: payload.profile.clone(),
        }),
        error: payload.errors.first().cloned(),
        facts: facts(&payload),
        occurred_at: occurred_at.unwrap_or(now),
        foreign: if payload.to.iter().all(|to| to.number.as_str().is_empty()) {
            None
        } else {
            foreign(payload, occurred_at, now, origin)
        },
        recovered: origin == EventOrigin::Sync,
    }
}

/// The message of another program. Telnyx has it, so it is at least queued; the reports tell the rest. It
/// is stored when its first report comes; one that is fetched later is dated as Telnyx dates it.
fn foreign(
    payload: Payload,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
    origin: EventOrigin,
) -> Option<NewMessage> {
    let recovered = origin == EventOrigin::Sync;
    let dated = payload.received_at.or(payload.sent_at).or(occurred_at).filter(|_| recovered);
    let at = dated.unwrap_or(now).min(now);
    let message = message(payload, Direction::Outbound, Status::Queued, at)?;
    Some(NewMessage { recovered, ..message })
}
