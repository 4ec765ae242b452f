//! What a message's status means for whoever sent it. Exit codes, HTTP statuses and error messages
//! of every command and route come from here.

use super::{Message, Status};
use crate::error::{Code, Error};

/// Whether sending a message has succeeded as far as its status tells.
///
/// # Errors
/// `outcome_unknown` while the message may or may not have been sent; `cancelled` or
/// `telnyx_refused` once it has failed. All name the message; what to do next depends on the
/// caller, who adds the hint.
pub fn verdict(message: &Message) -> Result<(), Error> {
    let status = message.status;
    let Some(code) = code(status) else { return Ok(()) };
    let what = match status {
        Status::Pending => "an attempt to send the message is still in progress".to_owned(),
        Status::Unknown => {
            "it is not known whether the message was sent: Telnyx's response was lost".to_owned()
        }
        _ => {
            let reason = message.error.as_ref().map(|error| format!(": {error}"));
            format!("the message's final status is {status}{}", reason.unwrap_or_default())
        }
    };
    let error = Error::new(code, what).with(|extra| extra.message_id = Some(message.id));
    let reason = message.error.as_ref().filter(|_| code == Code::TelnyxRefused);
    Err(match reason {
        Some(reason) => reason.add_hint(error),
        None => error,
    })
}

/// The kind of failure that a status stands for; `None` when it stands for none.
fn code(status: Status) -> Option<Code> {
    match status {
        _ if status.is_open() => Some(Code::OutcomeUnknown),
        Status::Cancelled => Some(Code::Cancelled),
        _ if status.is_failure() => Some(Code::TelnyxRefused),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples::{failed, outbound};

    #[test]
    fn every_status_has_its_code_and_exit_code() {
        for status in Status::ALL {
            let expected = match status {
                Status::Pending | Status::Unknown => Some((Code::OutcomeUnknown, 9, 202)),
                Status::Cancelled => Some((Code::Cancelled, 6, 409)),
                Status::Expired | Status::SendingFailed | Status::DeliveryFailed => {
                    Some((Code::TelnyxRefused, 6, 422))
                }
                _ => None,
            };
            let message = outbound("Hi", status);
            let error = verdict(&message).err();
            let told =
                |error: &Error| (error.code(), error.exit_code(), error.http_status().as_u16());
            assert_eq!(error.as_ref().map(told), expected, "{status}");
            let id = error.map(|error| error.extra().message_id);
            assert!(id.is_none_or(|id| id == Some(message.id)), "{status}");
        }
    }

    #[test]
    fn a_failure_is_explained_with_telnyxs_error() {
        let error = verdict(&failed("Hi")).expect_err("it has failed");
        let words = "the message's final status is delivery_failed: Blocked: as spam";
        assert!(error.to_string().starts_with(words), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("spam filter")), "{error:?}");
    }
}
