//! What callers hand to the writer, and what they get back, in convo's own types.

use uuid::Uuid;

use super::{Facts, RawEvent};
use crate::domain::{
    BatchPlace, Direction, Fingerprint, IdempotencyKey, Media, Message, MessageError, PhoneNumber,
    Status, Timestamp,
};
use crate::error::ErrorBody;

/// A message to store, unless one with its Telnyx id exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewMessage {
    /// convo's id of the message.
    pub(crate) id: Uuid,
    /// `None` before Telnyx has accepted it.
    pub(crate) telnyx_message_id: Option<String>,
    pub(crate) direction: Direction,
    pub(crate) from: PhoneNumber,
    /// The recipients; never empty.
    pub(crate) to: Vec<PhoneNumber>,
    /// The other participants.
    pub(crate) cc: Vec<String>,
    pub(crate) body: String,
    /// The subject of an MMS.
    pub(crate) subject: Option<String>,
    pub(crate) media: Vec<Media>,
    pub(crate) facts: Facts,
    /// Its first status.
    pub(crate) status: Status,
    /// Its time in the conversation.
    pub(crate) created_at: Timestamp,
    /// The time it is scheduled for.
    pub(crate) send_at: Option<Timestamp>,
    /// The request to Telnyx, if convo sends it.
    pub(crate) offer: Option<Offer>,
    /// The inbound message that a program answers with it.
    pub(crate) in_reply_to: Option<Uuid>,
    /// The word that Telnyx recognised in it and answered by itself.
    pub(crate) autoresponse_type: Option<String>,
    /// Whether a sync brings it, and not a webhook.
    pub(crate) recovered: bool,
}

impl NewMessage {
    /// The other party, to whose conversation it belongs.
    pub(crate) fn contact(&self) -> &PhoneNumber {
        match self.direction {
            Direction::Inbound => &self.from,
            Direction::Outbound => self.first_recipient(),
        }
    }

    /// The recipient whose conversation an outbound message belongs to.
    pub(crate) fn first_recipient(&self) -> &PhoneNumber {
        self.to.first().unwrap_or(&self.from)
    }
}

/// The request for a message to Telnyx. Every repeat is identical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The exact bytes of the body.
    pub(crate) body: Vec<u8>,
    /// `TELNYX_BASE_URL` when the message was stored.
    pub(crate) base_url: String,
    /// When the attempt is over at the latest, whatever happens to this process.
    pub(crate) until: Timestamp,
    /// How often settling may repeat the request if the attempt ends without an outcome. `None`: once, but
    /// only if the caller was told that the outcome is unknown; a caller without an answer does not expect
    /// a text that goes out later.
    pub(crate) repeats_left: Option<i16>,
}

/// An authenticated webhook event.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) id: String,
    pub(crate) event_type: String,
    /// By Telnyx's clock.
    pub(crate) occurred_at: Option<Timestamp>,
    /// By convo's clock.
    pub(crate) received_at: Timestamp,
    /// As it is stored.
    pub(crate) body: RawEvent,
    pub(crate) change: Change,
}

/// What an event changes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Nothing,
    /// An inbound message, which may opt its sender out or in.
    Message(Box<NewMessage>, Option<OptOutChange>),
    /// A delivery report about an outbound message.
    Report(Box<NewReport>),
}

/// A contact's STOP or START, or an opt-out that Telnyx reports in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OptOutChange {
    /// Whether the contact has opted out, rather than in.
    pub(crate) opted_out: bool,
    /// When, by Telnyx's clock: the latest decides, in any order of arrival. A time of whole seconds,
    /// such as an HTTP date, counts as the beginning of its second for a STOP and as its end for a START.
    pub(crate) decided_at: Option<Timestamp>,
    /// When convo learned of it, by convo's clock.
    pub(crate) learned_at: Timestamp,
    /// Our number that it applies to.
    pub(crate) number: Option<PhoneNumber>,
    /// The messaging profile that it applies to.
    pub(crate) profile: Option<String>,
}

impl OptOutChange {
    /// The time that is shown for it.
    pub(super) fn at(&self) -> Timestamp {
        self.decided_at.unwrap_or(self.learned_at)
    }
}

/// A delivery report about an outbound message.
#[derive(Clone, Debug)]
pub(crate) struct NewReport {
    /// The id of its event.
    pub(crate) event_id: String,
    /// Telnyx's id of the message; of a group message, the id of the group.
    pub(crate) telnyx_message_id: String,
    /// Whether it is about a group message, which convo does not send.
    pub(crate) is_group: bool,
    /// convo's id of the message, if its tag is there.
    pub(crate) tag: Option<Uuid>,
    pub(crate) recipients: Vec<NewRecipientStatus>,
    /// The error in the event.
    pub(crate) error: Option<MessageError>,
    /// The opt-out that the error names, for every recipient that the message did not reach.
    pub(crate) opt_out: Option<OptOutChange>,
    pub(crate) facts: Facts,
    /// By Telnyx's clock.
    pub(crate) occurred_at: Timestamp,
    /// The message, in case that another program sent it.
    pub(crate) foreign: Option<NewMessage>,
    /// Whether a sync brings it, and not a webhook.
    pub(crate) recovered: bool,
}

/// The status of one recipient in a report.
#[derive(Clone, Debug)]
pub(crate) struct NewRecipientStatus {
    /// Empty if the event does not name the recipient.
    pub(crate) number: String,
    /// Telnyx's word for the status.
    pub(crate) word: String,
}

/// A message to store before it is offered to Telnyx.
#[derive(Clone, Debug)]
pub(crate) struct NewSend {
    pub(crate) message: NewMessage,
    pub(crate) key: IdempotencyKey,
    /// The hash of the caller's request. A repeat under the key must have the same.
    pub(crate) request_hash: Vec<u8>,
    /// Whether to send it although the contact has opted out.
    pub(crate) despite_opt_out: bool,
    /// How many answers its contact may get within an hour, if it is an answer.
    pub(crate) reply_limit: usize,
    /// How many texts its contact may get within an hour; `None` for any number.
    pub(crate) send_limit: Option<usize>,
    /// Which row of a batch it is.
    pub(crate) batch: Option<NewBatchRow>,
    /// Whether to look only for an earlier send under the key, and to store nothing.
    pub(crate) only_repeat: bool,
}

/// A row of a batch, which is written with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewBatchRow {
    pub(crate) place: BatchPlace,
    /// Of its contact and text.
    pub(crate) content: Fingerprint,
}

/// The result of storing a send.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    /// It is stored and must be offered.
    Stored,
    /// The key is bound to an earlier send of the same request.
    Replay(Box<StoredSend>),
    /// The key is bound to another request.
    KeyReused,
    /// There is no earlier send under the key, and nothing was to be stored.
    NoRepeat,
    /// The contact has opted out; nothing was stored.
    OptedOut {
        since: Timestamp,
        /// Our number that the opt-out applies to.
        number: Option<PhoneNumber>,
    },
    /// The contact got as many answers within the hour as are allowed; nothing was stored.
    ReplyLimit {
        /// When the next one is allowed; `None` if none ever is.
        next: Option<Timestamp>,
    },
    /// A batch has sent the same to the contact within the last 24 hours, as this message; nothing was
    /// stored.
    Double(Uuid),
    /// The contact got as many texts within the hour as are allowed; nothing was stored.
    SendLimit {
        /// When the next one is allowed; `None` if none ever is.
        next: Option<Timestamp>,
    },
    /// Another transaction held a lock for too long; nothing was stored.
    Locked,
}

/// A send as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredSend {
    pub(crate) message: Message,
    /// The error that its caller got, if nothing was sent.
    pub(crate) refusal: Option<ErrorBody>,
    /// The latest end of its last attempt.
    pub(crate) until: Option<Timestamp>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    pub(crate) id: Uuid,
    /// The latest end of the attempt, as it was stored before: it identifies the attempt.
    pub(crate) until: Timestamp,
    /// When it ended.
    pub(crate) at: Timestamp,
    /// Whether settling may offer the message again if this cannot be recorded.
    pub(crate) may_repeat: bool,
    pub(crate) outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Telnyx has accepted the message.
    Accepted {
        telnyx_message_id: String,
        status: Status,
        facts: Facts,
        /// Ends the contact's opt-out, if the message was sent despite one.
        lift_opt_out: Option<OptOutChange>,
        /// The failure or errors in the answer.
        report: Option<Box<NewReport>>,
    },
    /// Certainly not sent. The row is closed and the key is free.
    NotSent {
        error: MessageError,
        /// `sending_failed`, or `cancelled`.
        status: Status,
        /// The opt-out that the refusal names.
        opt_out: Option<OptOutChange>,
        /// The error for the caller, and for repeats that wait under the same key.
        refusal: Box<ErrorBody>,
    },
    /// The answer was lost, which the caller is told.
    Unknown,
    /// The outcome is still unknown after settling has repeated the request.
    StillUnknown {
        /// Whether Telnyx may have received that request; if not, it may be repeated once more.
        may_have_arrived: bool,
    },
}
