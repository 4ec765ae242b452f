//! The errors for texts and automatic answers beyond what a contact may get within an hour.

use crate::clock;
use crate::domain::Timestamp;
use crate::error::{Code, Error};

/// What is advised to wait when none is ever allowed, in seconds.
const LONG_WAIT: i64 = 3_600;

/// The error for an answer beyond the limit; `next`: when the next one is allowed.
pub(super) fn over_reply_limit(limit: usize, next: Option<Timestamp>) -> Error {
    let what = match limit {
        0 => "automatic answers are switched off (CONVO_REPLY_LIMIT is 0)".to_owned(),
        1 => "the contact has got an automatic answer within the last hour".to_owned(),
        _ => format!("the contact has got {limit} automatic answers within the last hour"),
    };
    refused(Code::ReplyLimit, &what, next)
        .hint("two programs may be answering each other; CONVO_REPLY_LIMIT sets the limit")
}

/// The error for a text beyond the limit; `next`: when the next one is allowed.
pub(super) fn over_send_limit(limit: usize, next: Option<Timestamp>) -> Error {
    let what = match limit {
        0 => "sending is switched off (CONVO_SEND_LIMIT is 0)".to_owned(),
        1 => "the contact has got a text within the last hour".to_owned(),
        _ => format!("the contact has got {limit} texts within the last hour"),
    };
    refused(Code::SendLimit, &what, next).hint(
        "a program may be repeating itself; CONVO_SEND_LIMIT sets the limit, and --despite-send-limit \
         sends it all the same",
    )
}

fn refused(code: Code, what: &str, next: Option<Timestamp>) -> Error {
    // Rounded up, so that whoever waits for it is not too early.
    let wait = next.map_or(LONG_WAIT, |next| next.seconds_since(clock::now()).max(0) + 1);
    Error::new(code, format!("{what}; nothing was sent"))
        .with(|extra| extra.retry_after = u64::try_from(wait).ok())
}
