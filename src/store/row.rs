//! What is handed to the writer: rows in convo's types, made by one constructor each.

use bytes::Bytes;
use uuid::Uuid;

use super::Facts;
use crate::domain::{Direction, Media, MessageError, PhoneNumber, Status, Timestamp};

/// A message to be stored, unless its Telnyx id is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// convo's id for it.
    pub id: Uuid,
    /// Telnyx's id of it, once there is one.
    pub telnyx_message_id: Option<String>,
    /// Which way it went.
    pub direction: Direction,
    /// The sender.
    pub from: PhoneNumber,
    /// The recipients; never empty.
    pub to: Vec<PhoneNumber>,
    /// The other participants.
    pub cc: Vec<String>,
    /// The text.
    pub body: String,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// Files.
    pub media: Vec<Media>,
    /// What is known beside.
    pub facts: Facts,
    /// Its status to begin with.
    pub status: Status,
    /// When, in the order of the thread.
    pub created_at: Timestamp,
    /// When it is to be sent.
    pub send_at: Option<Timestamp>,
    /// How it is offered to Telnyx, when it is ours to send.
    pub offer: Option<Offer>,
}

impl NewMessage {
    /// The other party, whose thread it joins.
    #[must_use]
    pub fn contact(&self) -> &PhoneNumber {
        match self.direction {
            Direction::Inbound => &self.from,
            Direction::Outbound => self.first_recipient(),
        }
    }

    /// The recipient that stands for all.
    #[must_use]
    pub fn first_recipient(&self) -> &PhoneNumber {
        self.to.first().unwrap_or(&self.from)
    }
}

/// The request that a message is sent with; every repeat is the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The exact bytes.
    pub body: Vec<u8>,
    /// Telnyx's API, as it was configured.
    pub base_url: String,
    /// When the attempt is over at the latest, whatever happens to this process.
    pub until: Timestamp,
    /// How often convo may offer it again by itself, should the attempt end without an outcome.
    /// `None`: once, if the caller is told so; a caller who learns nothing is not surprised later.
    pub repeats_left: Option<i16>,
}

/// One accepted webhook event.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event's id.
    pub id: String,
    /// Telnyx's name of its kind.
    pub event_type: String,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Option<Timestamp>,
    /// When it came.
    pub received_at: Timestamp,
    /// Its bytes.
    pub body: Bytes,
    /// What it changes.
    pub change: Change,
}

/// What an event changes.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A contact wrote.
    Message(Box<NewMessage>, Option<OptOutChange>),
    /// Something became of a message.
    Report(Box<NewReport>),
}

/// A contact's STOP or START.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutChange {
    /// Whether the contact is out from now on.
    pub opted_out: bool,
    /// When it was said: the latest decides, in whatever order they come.
    pub at: Timestamp,
    /// The own number it was said to.
    pub number: Option<PhoneNumber>,
    /// The messaging profile it was said to.
    pub profile: Option<String>,
}

/// A report about an outbound message.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// The event that tells it.
    pub event_id: String,
    /// The message, by Telnyx's id.
    pub telnyx_message_id: String,
    /// The message, by convo's id, when it was tagged.
    pub tag: Option<Uuid>,
    /// The state of each recipient.
    pub recipients: Vec<NewRecipientStatus>,
    /// The error the event names.
    pub error: Option<MessageError>,
    /// What it tells beside.
    pub facts: Facts,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The message itself, should it turn out that another program sent it.
    pub foreign: Option<NewMessage>,
}

/// One recipient's state in a report.
#[derive(Clone, Debug)]
pub struct NewRecipientStatus {
    /// The recipient; empty when the event does not say.
    pub number: String,
    /// The status word as it came.
    pub word: String,
}

/// A message that is about to be offered to Telnyx.
#[derive(Clone, Debug)]
pub struct NewSend {
    /// The row.
    pub message: NewMessage,
    /// The caller's own key with the hash of its request.
    pub key: Option<(String, Vec<u8>)>,
    /// Whether an opt-out of the contact is left to Telnyx.
    pub despite_opt_out: bool,
    /// Whether nothing new is to be stored: only what the key stands for already is asked for.
    pub only_repeat: bool,
}

/// What an attempt to begin a send found.
#[derive(Clone, Debug)]
pub enum Opened {
    /// The row is stored: offer it.
    Stored,
    /// The key stands for an earlier send of the same request.
    Replay(Box<crate::domain::Message>),
    /// The key belongs to another request.
    KeyReused,
    /// The key stands for nothing, and nothing new was to be stored.
    NoRepeat,
    /// The contact has opted out; nothing was stored.
    OptedOut {
        /// Since when.
        since: Timestamp,
        /// The own number it was said to.
        number: Option<PhoneNumber>,
    },
}

/// How an offer ended.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The message.
    pub id: Uuid,
    /// The end of the attempt as it was stored before it: whoever stored it owns the attempt.
    pub until: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Whether convo may offer it again by itself, should this not be recorded.
    pub may_repeat: bool,
    /// What is known of it now.
    pub outcome: Outcome,
}

/// What Telnyx's answer, or its absence, says.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Telnyx has taken the message.
    Accepted {
        /// Telnyx's id of it.
        telnyx_message_id: String,
        /// The status it answered with.
        status: Status,
        /// What it told beside.
        facts: Facts,
        /// Lift the contact's opt-out mark: Telnyx has just proved it wrong.
        lift_opt_out: bool,
    },
    /// Surely not sent. The row is closed and the caller's key is free again.
    NotSent {
        /// Why.
        error: MessageError,
        /// `sending_failed`, or `cancelled`.
        status: Status,
        /// The opt-out that the refusal speaks of.
        opt_out: Option<OptOutChange>,
    },
    /// Nobody knows, and the caller is told so.
    Unknown,
    /// Nobody knows, still, after convo offered it by itself.
    StillUnknown {
        /// Whether not even that reached Telnyx: then it may be tried again.
        unspent: bool,
    },
}
