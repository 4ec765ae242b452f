//! `convo retry`: a message whose outcome is unknown, once more, on a person's word.

use std::io::Write;

use super::send::{print_message, say};
use super::{Stop, settle};
use crate::backend::Backend;
use crate::cli::RetryArgs;
use crate::domain::{Message, Status};
use crate::error::{Code, Error};
use crate::output::{self, Look};

/// Offers the message again and reports the outcome: the id on `out`, one line for people on
/// `talk`.
///
/// # Errors
/// The message is in no state to be offered again, or nobody knows its outcome still.
pub async fn run(
    args: &RetryArgs,
    backend: &Backend,
    out: &mut impl Write,
    talk: &mut impl Write,
    look: &Look,
) -> Result<(), Error> {
    let message = backend.retry(args.id, args.force).await?;
    let printed = print_message(&message, out, look);
    judge(&message)?;
    say(talk, look, &output::send::told(&message, look.zone));
    settle(printed.map_err(Stop::from))
}

/// What the message's state means for the exit code.
fn judge(message: &Message) -> Result<(), Error> {
    let id = message.id;
    if message.status <= Status::Unknown {
        let what = "nobody knows still whether the message was sent";
        let hint = format!("its delivery report may tell; to try again: convo retry {id}");
        let error = Error::new(Code::OutcomeUnknown, what).hint(hint);
        return Err(error.with(|extra| extra.message_id = Some(id)));
    }
    if message.status.is_failure() {
        let reason = message.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let what = format!("the message ended as {}{reason}", message.status);
        let error = Error::new(Code::TelnyxRefused, what);
        return Err(error.with(|extra| extra.message_id = Some(id)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples::outbound;

    #[test]
    fn the_exit_code_says_what_is_known() {
        for (status, exit) in [
            (Status::Unknown, 9),
            (Status::Queued, 0),
            (Status::Delivered, 0),
            (Status::DeliveryFailed, 6),
        ] {
            let ended = judge(&outbound("Hi", status));
            assert_eq!(ended.map_or_else(|error| error.exit_code(), |()| 0), exit, "{status}");
        }
        let hint = judge(&outbound("Hi", Status::Unknown)).expect_err("nobody knows");
        assert!(hint.hint_text().is_some_and(|hint| hint.contains("convo retry")));
    }
}
