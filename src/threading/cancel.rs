//! `convo cancel`: cancelling a scheduled message at Telnyx.

use std::time::Duration;

use uuid::Uuid;

use super::send::no_api_key;
use super::{Conversations, receive};
use crate::clock;
use crate::domain::message;
use crate::domain::{Direction, Message, MessageError, Status};
use crate::error::{Code, Error};
use crate::store::settle::read::Unsettled;
use crate::telnyx::answer::Rejection;
use crate::telnyx::cancel::CancelAnswer;
use crate::telnyx::client::TelnyxClient;

/// How long one request may take; several fit into the time of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a request is made whose answer was lost: cancelling twice does no harm.
const ATTEMPTS: u32 = 3;
/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(500);

impl Conversations {
    /// Cancels a scheduled message. Returns it as it stands: cancelled, also if it was before.
    ///
    /// # Errors
    /// `message_not_found`; `not_cancellable` if it is not scheduled, or no longer is;
    /// `outcome_unknown` if it may be cancelled; the errors of a send for which Telnyx certainly did
    /// nothing.
    pub async fn cancel(&self, id: Uuid) -> Result<Message, Error> {
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let found = self.store.unsettled(id).await?.ok_or_else(message::not_found)?;
        if found.message.status == Status::Cancelled {
            return Ok(found.message);
        }
        let telnyx_id = scheduled(&found, telnyx)?;
        match self.request_cancellation(telnyx, telnyx_id).await {
            CancelAnswer::Cancelled => self.record_cancellation(&found.message).await,
            CancelAnswer::Rejected(rejection @ Rejection::Refused { .. }) => {
                // An earlier request may have succeeded, or the message has been sent meanwhile.
                let now = self.looked_up(telnyx, &found.message).await?;
                match now.status {
                    Status::Cancelled => Ok(now),
                    Status::Scheduled => Err(rejected(rejection, &now)),
                    _ => Err(too_late(&now)),
                }
            }
            CancelAnswer::Rejected(rejection) => Err(rejected(rejection, &found.message)),
            CancelAnswer::Ambiguous => {
                let now = self.looked_up(telnyx, &found.message).await?;
                match now.status {
                    Status::Cancelled => Ok(now),
                    Status::Scheduled => Err(unknown(&now)),
                    _ => Err(too_late(&now)),
                }
            }
        }
    }

    /// Requests it until there is an answer. Once an answer was lost, no later failure to connect proves
    /// that nothing has happened.
    async fn request_cancellation(&self, telnyx: &TelnyxClient, telnyx_id: &str) -> CancelAnswer {
        let timeout = ATTEMPT_TIMEOUT.min(self.policy.timeout / (ATTEMPTS + 1));
        let mut was_lost = false;
        for attempt in 1..=ATTEMPTS {
            match telnyx.cancel(telnyx_id, timeout).await {
                CancelAnswer::Ambiguous => was_lost = true,
                CancelAnswer::Rejected(rejection)
                    if was_lost && !matches!(rejection, Rejection::Refused { .. }) => {}
                answer => return answer,
            }
            if attempt < ATTEMPTS {
                tokio::time::sleep(PAUSE).await;
            }
        }
        CancelAnswer::Ambiguous
    }

    async fn record_cancellation(&self, message: &Message) -> Result<Message, Error> {
        let recorded = match receive::cancellation_report(message, clock::now()) {
            Some(report) => self.store.writer()?.record_lookup(message.id, report).await.map(drop),
            None => Ok(()),
        };
        recorded.map_err(|error| {
            error
                .hint("the message is cancelled at Telnyx; its report will show that here")
                .with(|extra| extra.message_id = Some(message.id))
        })?;
        Ok(self.message(message.id).await?.without_history())
    }

    /// The message after looking it up, or as it was if that failed.
    async fn looked_up(&self, telnyx: &TelnyxClient, message: &Message) -> Result<Message, Error> {
        self.look_up(telnyx, message, clock::now()).await?;
        Ok(self.message(message.id).await?.without_history())
    }
}

/// Telnyx's id of a message that can be cancelled.
fn scheduled<'a>(found: &'a Unsettled, telnyx: &TelnyxClient) -> Result<&'a str, Error> {
    let message = &found.message;
    let refuse = |what: &str| {
        Error::new(Code::NotCancellable, what).with(|extra| extra.message_id = Some(message.id))
    };
    if message.direction == Direction::Inbound {
        return Err(refuse("an inbound message cannot be cancelled"));
    }
    if message.status.is_open() {
        let what = "it is not known yet whether Telnyx has the message";
        let hint = format!("settle it first: convo retry {}", message.id);
        return Err(refuse(what).hint(hint));
    }
    let (Status::Scheduled, Some(telnyx_id)) = (message.status, &message.telnyx_message_id) else {
        return Err(too_late(message));
    };
    if found.offer.as_ref().is_some_and(|offer| offer.base_url != telnyx.base_url()) {
        let what = "the message was submitted to a different TELNYX_BASE_URL than the current one";
        return Err(refuse(what).hint("set TELNYX_BASE_URL to its value at that time"));
    }
    Ok(telnyx_id)
}

fn too_late(message: &Message) -> Error {
    let status = message.status;
    let what = if status.is_failure() {
        format!("the message is {status}: there is nothing to cancel")
    } else {
        format!("too late to cancel: the message is {status}")
    };
    Error::new(Code::NotCancellable, what)
        .hint("only a scheduled message can be cancelled, up to a minute before its time")
        .with(|extra| extra.message_id = Some(message.id))
}

fn unknown(message: &Message) -> Error {
    Error::new(Code::OutcomeUnknown, "it is not known whether the message is cancelled")
        .hint(format!("to try again, which is safe: convo cancel {}", message.id))
        .with(|extra| extra.message_id = Some(message.id))
}

/// The error for a rejection of a message that is still scheduled.
fn rejected(rejection: Rejection, message: &Message) -> Error {
    let error = match rejection {
        Rejection::Refused { status: 401, .. } => {
            Error::new(Code::InvalidApiKey, "Invalid API key; nothing was cancelled")
                .hint("set TELNYX_API_KEY to a valid key from the Telnyx portal")
        }
        Rejection::Refused { status, error, .. } => refused(status, &error),
        Rejection::RateLimited { wait } => {
            let what = "Telnyx's rate limit was reached; nothing was cancelled";
            Error::new(Code::RateLimited, what)
                .hint("try again later")
                .with(|extra| extra.retry_after = Some(wait.map_or(1, |wait| wait.as_secs())))
        }
        Rejection::Unreachable { why } => {
            let what = "Telnyx could not be reached; nothing was cancelled";
            Error::new(Code::TelnyxUnreachable, what)
                .hint("check the network and try again")
                .with(|extra| extra.detail = Some(why))
        }
    };
    error.with(|extra| extra.message_id = Some(message.id))
}

fn refused(status: u16, error: &MessageError) -> Error {
    let what = format!("Telnyx refused to cancel the message: {}", error.title);
    Error::new(Code::NotCancellable, what)
        .hint("Telnyx cancels a message up to a minute before its time")
        .with(|extra| {
            extra.detail = error.detail.clone();
            extra.telnyx_code = error.code.clone();
            extra.status_code = Some(status);
        })
}
