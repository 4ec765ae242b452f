//! Storing webhook events as they came, with what they change, a batch at a time.

use std::collections::HashSet;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr};

use super::db_error::left_out;
use super::duplicate_check::Duplicates;
use super::entity::event::USUAL_TYPE;
use super::entity::{TelnyxId, micros};
use super::feed::FeedChange;
use super::job::Task;
use super::messages::MessageValues;
use super::model::{Change, NewEvent, NewMessage, NewReport};
use super::sql::{self, BulkInsert};
use super::transaction::WriteTransaction;
use super::{messages, opt_outs, reports};
use crate::clock;
use crate::domain::{Direction, EventOutcome};

/// An event in the writer's batch.
pub(super) type EventTask = Task<PreparedEvent, EventOutcome>;

/// An event, and the values to store for it. They are made where the event arrives: while the writer is
/// at work, all others wait.
#[derive(Debug)]
pub(super) struct PreparedEvent {
    pub(super) event: NewEvent,
    /// Used up by the first attempt to write it.
    values: Option<EventValues>,
}

#[derive(Debug)]
struct EventValues {
    event: [Value; 6],
    message: Option<Box<MessageValues>>,
}

impl PreparedEvent {
    pub(super) fn new(event: NewEvent) -> Self {
        let values = Some(EventValues::of(&event));
        Self { event, values }
    }
}

impl EventValues {
    fn of(event: &NewEvent) -> Self {
        let message = message(event).map(|message| Box::new(messages::values(message)));
        Self { event: values(event), message }
    }
}

/// Stores the events of a batch with a fixed number of statements, and sets the outcome of each.
///
/// # Errors
/// One that [tells of a duplicate](super::db_error::is_duplicate) if there is one, unless duplicates are
/// known.
pub(super) async fn write(
    db: &WriteTransaction,
    tasks: &mut [&mut EventTask],
    duplicates: Duplicates,
) -> Result<(), DbErr> {
    if tasks.is_empty() {
        return Ok(());
    }
    // Two servers that insert in key order cannot deadlock.
    tasks.sort_by(|a, b| key(&a.input.event).cmp(&key(&b.input.event)));
    let is_new = new_events(db, tasks, duplicates == Duplicates::AreKnown).await?;
    let adds = tasks.iter().all(|task| only_adds(&task.input.event));
    let Additions { inserts, messages, reports } = additions(tasks, &is_new, duplicates);
    for message in &messages {
        db.record_as(FeedChange::Message(message.id), message.recovered);
    }
    if adds {
        db.insert_at_end(inserts);
    } else {
        sql::insert_all(db, inserts).await?;
        messages::mark_recovered(db, &messages).await?;
        let unknown = reports::write(db, &reports, clock::now()).await?;
        let recipients: usize = reports.iter().map(|report| report.recipients.len()).sum();
        if unknown < recipients as u64 && duplicates != Duplicates::AreKnown {
            return Err(left_out());
        }
    }
    for (task, is_new) in tasks.iter_mut().zip(is_new) {
        task.output = Some(match &task.input.event.change {
            _ if !is_new => EventOutcome::Duplicate,
            Change::Nothing => EventOutcome::Ignored,
            Change::Report(_) => EventOutcome::Updated,
            Change::Message(message, opt_out) => {
                if let Some(change) = opt_out {
                    db.set_recovering(message.recovered);
                    opt_outs::decide(db, message.contact().as_str(), change).await?;
                    db.set_recovering(false);
                }
                EventOutcome::Stored
            }
        });
    }
    Ok(())
}

/// Whether storing an event only adds rows.
pub(super) fn only_adds(event: &NewEvent) -> bool {
    match &event.change {
        Change::Nothing => true,
        Change::Message(message, opt_out) => !message.recovered && opt_out.is_none(),
        Change::Report(_) => false,
    }
}

/// What the new events of a batch add.
struct Additions<'a> {
    /// The events and the messages.
    inserts: Vec<BulkInsert>,
    messages: Vec<&'a NewMessage>,
    /// To be added once the messages are there.
    reports: Vec<&'a NewReport>,
}

fn additions<'a>(
    tasks: &'a mut [&mut EventTask],
    is_new: &[bool],
    duplicates: Duplicates,
) -> Additions<'a> {
    let mut rows = Vec::with_capacity(tasks.len());
    let (mut incoming, mut reports) = (Vec::new(), Vec::new());
    for (task, _) in tasks.iter_mut().zip(is_new).filter(|(_, is_new)| **is_new) {
        let PreparedEvent { event, values } = &mut task.input;
        let values = values.take().unwrap_or_else(|| EventValues::of(event));
        rows.push(values.event);
        match &event.change {
            Change::Message(message, _) => incoming.extend(Some(&**message).zip(values.message)),
            Change::Report(report) => reports.push(&**report),
            Change::Nothing => {}
        }
    }
    // In key order, too.
    incoming.sort_by_key(|(message, _)| (message.telnyx_message_id.as_deref(), message.id));
    let messages: Vec<_> = incoming.iter().map(|(message, _)| *message).collect();
    let prevented = |by| Some(by).filter(|_| duplicates == Duplicates::Prevent);
    let events = BulkInsert::new("events", &COLUMNS, rows).existing(prevented(STORED));
    let mut inserts = vec![events];
    inserts.extend(messages::inserts(incoming, prevented(messages::STORED_INBOUND)));
    Additions { inserts, messages, reports }
}

fn message(event: &NewEvent) -> Option<&NewMessage> {
    match &event.change {
        Change::Message(message, _) => Some(message),
        _ => None,
    }
}

fn report(event: &NewEvent) -> Option<&NewReport> {
    match &event.change {
        Change::Report(report) => Some(report),
        _ => None,
    }
}

/// An event's key: its time, or 0, and its id.
fn key(event: &NewEvent) -> (i64, &str) {
    (event.occurred_at.map_or(0, micros), &event.id)
}

/// Whether each of the sorted events is new: the first with its key in the batch and the first about
/// what it tells, neither of which is stored. An event may be delivered again with another time.
async fn new_events(
    db: &impl ConnectionTrait,
    tasks: &[&mut EventTask],
    check_stored: bool,
) -> Result<Vec<bool>, DbErr> {
    let events: Vec<&NewEvent> = tasks.iter().map(|task| &task.input.event).collect();
    let stored = if check_stored { stored(db, &events).await? } else { HashSet::new() };
    let (mut keys, mut subjects) = (HashSet::new(), HashSet::new());
    let is_new = (0..).zip(&events).map(|(place, event)| {
        !stored.contains(&place)
            && keys.insert(key(event))
            && subject(event).is_none_or(|subject| subjects.insert(subject))
    });
    Ok(is_new.collect())
}

/// What an event tells, and no other event: the message that came in, or the report on a message.
fn subject(event: &NewEvent) -> Option<(&str, Option<&str>)> {
    match &event.change {
        Change::Nothing => None,
        Change::Message(message, _) => Some((message.telnyx_message_id.as_deref()?, None)),
        Change::Report(report) => Some((&report.telnyx_message_id, Some(&report.event_id))),
    }
}

/// The places of the events that are stored, or tell what is stored.
async fn stored(db: &impl ConnectionTrait, events: &[&NewEvent]) -> Result<HashSet<usize>, DbErr> {
    let keys = events.iter().map(|event| {
        let (occurred_at, id) = key(event);
        [occurred_at.into(), TelnyxId::new(id).into()]
    });
    let condition = "events WHERE occurred_at = v.column2 AND id = v.column3";
    let mut stored = sql::existing(db, condition, keys).await?;
    let incoming: Vec<_> = events.iter().filter_map(|event| message(event)).collect();
    let reported: Vec<_> = events.iter().filter_map(|event| report(event)).collect();
    let ids = messages::telnyx_ids(&incoming);
    let messages = messages::existing(db, Direction::Inbound, ids).await?;
    let reports: HashSet<_> = reports::existing(db, &reported).await?;
    stored.extend((0..).zip(events).filter_map(|(place, event)| {
        let is_stored = match &event.change {
            Change::Nothing => false,
            Change::Message(message, _) => {
                message.telnyx_message_id.as_ref().is_some_and(|id| messages.contains(id))
            }
            Change::Report(report) => reports.contains(report.event_id.as_str()),
        };
        is_stored.then_some(place)
    }));
    Ok(stored)
}

/// Finds an event by its key.
const STORED: &str = "events WHERE occurred_at = v.occurred_at AND id = v.id";

/// The columns of an event, in the order of [`values`].
const COLUMNS: [&str; 6] = ["id", "event_type", "occurred_at", "received_at", "dictionary", "body"];

fn values(event: &NewEvent) -> [Value; 6] {
    let (occurred_at, id) = key(event);
    [
        TelnyxId::new(id).into(),
        Some(event.event_type.as_str()).filter(|word| *word != USUAL_TYPE).into(),
        occurred_at.into(),
        micros(event.received_at).into(),
        event.body.dictionary.into(),
        event.body.bytes.clone().into(),
    ]
}
