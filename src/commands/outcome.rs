//! How `send`, `wait` and `retry` report a message: its id or JSON on standard output, one line for people
//! on standard error, and the exit code.

use std::fmt::Display;
use std::io::{self, Write};

use uuid::Uuid;

use super::print::finish_write;
use crate::backend::Backend;
use crate::domain::{IdempotencyKey, Message, Sent, verdict};
use crate::error::{Code, Error};
use crate::output::{self, Style, json};

pub(super) struct Reporter<'a> {
    /// Standard output, for programs.
    pub out: &'a mut dyn Write,
    /// Standard error, for people.
    pub err: &'a mut dyn Write,
    pub style: &'a Style,
}

impl Reporter<'_> {
    /// Prints a message that has been sent. `has_key`: its caller gave an idempotency key, which the
    /// outcome is bound to.
    ///
    /// # Errors
    /// The outcome is unknown, or the message has failed since an earlier send under the same key.
    pub(super) fn report(&mut self, sent: &Sent, has_key: bool) -> Result<(), Error> {
        let printed = self.print(&sent.message);
        let result = verdict(&sent.message).map_err(|error| match error.code() {
            Code::OutcomeUnknown => add_key(error, &sent.idempotency_key),
            _ if has_key => add_to_hint(error, "to send it again, leave out --idempotency-key"),
            _ => error,
        });
        self.finish(&sent.message, printed, result)
    }

    /// Prints a message's id, or all of it as JSON.
    pub(super) fn print(&mut self, message: &Message) -> io::Result<()> {
        if self.style.format.is_json() {
            json::write_line(&mut self.out, message)?;
        } else {
            writeln!(self.out, "{}", message.id)?;
        }
        self.out.flush()
    }

    /// Prints a message that was stored although its send failed.
    pub(super) async fn print_stored(&mut self, id: Uuid, backend: &Backend) {
        let printed = if self.style.format.is_json() {
            match backend.message(id).await.map(Message::without_history) {
                Ok(message) => json::write_line(&mut self.out, &message),
                Err(_) => json::write_line(&mut self.out, &serde_json::json!({ "id": id })),
            }
        } else {
            writeln!(self.out, "{id}")
        };
        // If this fails, the error of the send still matters more.
        let _ = printed.and_then(|()| self.out.flush());
    }

    /// Prints one line for people, unless the output is JSON. A closed standard error is ignored.
    pub(super) fn say(&mut self, line: &str) {
        if !self.style.format.is_json() {
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// The command's result, from what the message's status means and whether it was printed.
    pub(super) fn finish(
        &mut self,
        message: &Message,
        printed: io::Result<()>,
        result: Result<(), Error>,
    ) -> Result<(), Error> {
        result?;
        self.say(&output::send::told(message, self.style.zone));
        finish_write(printed).map_err(|error| {
            error.hint(format!("the message was accepted nevertheless; its id is {}", message.id))
        })
    }
}

/// Adds a hint after the one that an error has.
fn add_to_hint(error: Error, further: &str) -> Error {
    let hint = error.hint_text().map_or(further.to_owned(), |hint| format!("{hint}; {further}"));
    error.hint(hint)
}

/// Adds the key that makes it safe to repeat a send whose outcome is unknown.
pub(super) fn add_key(error: Error, key: impl Display) -> Error {
    let key = key.to_string();
    let answered = IdempotencyKey::parse(&key).ok().and_then(|key| key.answered());
    let option = match answered {
        Some(id) => format!("--reply-to {id}"),
        None => format!("--idempotency-key {key}"),
    };
    error
        .hint(format!("it may have been sent; repeat it only with {option}"))
        .with(|extra| extra.idempotency_key = Some(key))
}

/// The hint for a message of unknown outcome whose idempotency key is not known.
pub(super) fn retry_hint(message: Uuid) -> String {
    format!("a delivery report may settle it; to try again: convo retry {message}")
}

/// Adds the key if the outcome is unknown: the one that the server named, or else the caller's own.
pub(super) fn with_key(error: Error, own: Option<&IdempotencyKey>) -> Error {
    let named = error.extra().idempotency_key.clone();
    match named.or_else(|| own.map(IdempotencyKey::to_string)) {
        Some(key) if error.code() == Code::OutcomeUnknown => add_key(error, key),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;
    use crate::output::Format;
    use crate::output::samples::{failed, outbound, style};

    fn key(key: &str) -> IdempotencyKey {
        IdempotencyKey::parse(key).expect("a good key")
    }

    fn reported(message: Message, format: Format) -> (String, String, Result<(), Error>) {
        let sent = Sent { message, idempotency_key: key("key-1") };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let style = style(format, 80, false);
        let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
        let ended = reporter.report(&sent, true);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(out), text(err), ended)
    }

    #[test]
    fn the_id_goes_to_standard_output_and_the_rest_to_people() {
        let message = outbound("Hi", Status::Queued);
        let id = message.id;
        let (out, err, ended) = reported(message, Format::Lines);
        assert_eq!(out, format!("{id}\n"));
        assert_eq!(err, "queued for +12125551234 as 1 segment from +15551234567\n");
        assert!(ended.is_ok());
    }

    #[test]
    fn json_is_the_message_and_nothing_for_people() {
        let (out, err, ended) = reported(outbound("Hi", Status::Sent), Format::Json);
        let back: Message = serde_json::from_str(&out).expect("a message");
        assert_eq!(back, outbound("Hi", Status::Sent));
        assert!(err.is_empty() && ended.is_ok());
    }

    #[test]
    fn the_exit_code_says_what_is_known() {
        for (status, exit) in [
            (Status::Pending, 9),
            (Status::Unknown, 9),
            (Status::Scheduled, 0),
            (Status::Queued, 0),
            (Status::DeliveryUnconfirmed, 0),
            (Status::Delivered, 0),
            (Status::Cancelled, 6),
            (Status::SendingFailed, 6),
            (Status::DeliveryFailed, 6),
        ] {
            let (out, _, ended) = reported(outbound("Hi", status), Format::Lines);
            assert_eq!(ended.map_or_else(|error| error.exit_code(), |()| 0), exit, "{status}");
            assert_eq!(out.lines().count(), 1, "the id is printed whatever the exit code");
        }
        let (_, _, ended) = reported(failed("Hi"), Format::Lines);
        assert!(ended.expect_err("failed").to_string().contains("Blocked: as spam"));
    }

    #[test]
    fn an_unknown_outcome_names_the_key() {
        let (_, _, ended) = reported(outbound("Hi", Status::Unknown), Format::Lines);
        let error = ended.expect_err("an unknown outcome");
        assert!(error.hint_text().is_some_and(|hint| hint.ends_with("--idempotency-key key-1")));
        assert_eq!(error.extra().idempotency_key.as_deref(), Some("key-1"));
        let remote = || Error::new(Code::OutcomeUnknown, "the answer broke off");
        let error = with_key(remote(), Some(&key("k2")));
        assert!(error.hint_text().is_some_and(|hint| hint.ends_with("--idempotency-key k2")));
        let answered = Uuid::from_u128(7);
        let error = with_key(remote(), Some(&IdempotencyKey::for_reply(answered)));
        let option = format!("--reply-to {answered}");
        assert!(error.hint_text().is_some_and(|hint| hint.ends_with(&option)));
    }
}
