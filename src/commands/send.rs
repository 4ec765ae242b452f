//! `convo send`: one text to one contact, with an exit code that says what became of it.

use std::io::{self, Read, Write};

use super::wait::Wait;
use super::{Stop, settle};
use crate::backend::Backend;
use crate::cli::SendArgs;
use crate::domain::send::check_idempotency_key;
use crate::domain::{Message, SendRequest, Status, Timestamp};
use crate::error::{Code, Error};
use crate::output::{self, Facts, Look, json};
use crate::threading::Sent;

/// More than this is no text message, whatever was piped in by mistake.
const LONGEST_INPUT: u64 = 1024 * 1024;

/// What is asked to be sent, from the arguments and, without a text there, from standard input.
/// It reads to the end of the input, so it comes before anything that must not wait.
///
/// # Errors
/// There is no text, it is not UTF-8, or the request makes no sense; all before anything is
/// opened or stored.
pub fn request(
    args: &SendArgs,
    stdin: impl Read,
    facts: &Facts,
    now: Timestamp,
) -> Result<SendRequest, Error> {
    let text = match &args.text {
        Some(text) => text.clone(),
        // A file needs no words: what stands on standard input may be a loop's next contact.
        None if !args.media.is_empty() => String::new(),
        None if facts.stdin_is_terminal => {
            return Err(Error::invalid("there is no text to send").hint(format!(
                "write it behind the number: convo send {} \"Hello\"; or pipe it in",
                args.to
            )));
        }
        None => read_text(stdin)?,
    };
    let request = SendRequest {
        message: Some(text).filter(|text| !text.is_empty()),
        media_urls: args.media.clone(),
        subject: args.subject.clone(),
        from: args.from.clone(),
        send_at: args.at,
        despite_opt_out: args.despite_opt_out,
        no_retry: args.no_retry,
    };
    args.idempotency_key.as_deref().map_or(Ok(()), check_idempotency_key)?;
    let draft = request.understand(&args.to)?;
    if args.idempotency_key.is_none() {
        draft.check_schedule(now)?;
    }
    Ok(request)
}

/// Reads a text to its end, less one line break.
fn read_text(stdin: impl Read) -> Result<String, Error> {
    let mut bytes = Vec::new();
    stdin.take(LONGEST_INPUT + 1).read_to_end(&mut bytes).map_err(|error| {
        Error::new(Code::Internal, format!("standard input could not be read: {error}"))
    })?;
    if bytes.len() as u64 > LONGEST_INPUT {
        return Err(Error::invalid("standard input is longer than any message")
            .hint("give the text as an argument, or pipe in a text and nothing else"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| {
        Error::invalid("standard input is not valid UTF-8")
            .hint("convert it first, for example with iconv -t UTF-8")
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Sends the request, or tells what it would do, and reports the outcome: the id on `out`
/// whenever a message was stored, one line for people on `talk`.
///
/// # Errors
/// The message was surely not sent, was refused, or its outcome is unknown.
pub async fn run(
    args: &SendArgs,
    request: &SendRequest,
    backend: &Backend,
    out: &mut impl Write,
    talk: &mut impl Write,
    look: &Look,
) -> Result<(), Error> {
    if args.dry_run {
        let plan = backend.plan(&args.to, request).await?;
        say(talk, look, &output::send::planned(&plan, request, look.zone));
        return settle(output::send::plan(out, &plan, look).map_err(Stop::from));
    }
    match backend.send(&args.to, request, args.idempotency_key.as_deref()).await {
        Ok(sent) => match Wait::of(args) {
            None => report(&sent, out, talk, look),
            Some(wait) => stay(wait, sent, backend, out, talk, look).await,
        },
        Err(error) => {
            if let Some(id) = error.extra().message_id {
                // The stored message tells more than its id, if it can still be had.
                let stored = match look.format.is_json() {
                    true => backend.message(id).await.ok().map(Message::without_history),
                    false => None,
                };
                let printed = match (&stored, look.format.is_json()) {
                    (Some(message), _) => json::write_line(out, message),
                    (None, true) => json::write_line(out, &serde_json::json!({ "id": id })),
                    (None, false) => writeln!(out, "{id}"),
                };
                // What became of the send is worth more than that it could not be printed.
                let _ = printed.and_then(|()| out.flush());
            }
            Err(told(error, args))
        }
    }
}

/// Prints a message that has an outcome, and judges the outcome.
fn report(
    sent: &Sent,
    out: &mut impl Write,
    talk: &mut impl Write,
    look: &Look,
) -> Result<(), Error> {
    let printed = print_message(&sent.message, out, look);
    judge(sent)?;
    say(talk, look, &output::send::told(&sent.message, look.zone));
    settle(printed.map_err(Stop::from)).map_err(|error| accepted(error, &sent.message))
}

/// Prints the id at once, so that a script has it whatever happens, and then waits. JSON comes
/// when the wait is over: one object, which tells how it ended.
async fn stay(
    wait: Wait,
    sent: Sent,
    backend: &Backend,
    out: &mut impl Write,
    talk: &mut impl Write,
    look: &Look,
) -> Result<(), Error> {
    let early =
        if look.format.is_json() { Ok(()) } else { print_message(&sent.message, out, look) };
    let (message, ended) = wait.run(backend, sent.message, &sent.idempotency_key).await;
    let late = if look.format.is_json() { print_message(&message, out, look) } else { Ok(()) };
    ended?;
    say(talk, look, &output::send::told(&message, look.zone));
    settle(early.and(late).map_err(Stop::from)).map_err(|error| accepted(error, &message))
}

/// That the outcome could not be printed says nothing about the message.
fn accepted(error: Error, message: &Message) -> Error {
    error.hint(format!("the message was accepted all the same; it is {}", message.id))
}

/// Prints the message for a program: its id, or all of it.
pub(super) fn print_message(
    message: &Message,
    out: &mut impl Write,
    look: &Look,
) -> io::Result<()> {
    match look.format.is_json() {
        true => json::write_line(out, message)?,
        false => writeln!(out, "{}", message.id)?,
    }
    out.flush()
}

/// What the message's state means for the exit code. A failed one is met when an earlier send
/// under the same key has failed since.
fn judge(sent: &Sent) -> Result<(), Error> {
    let message = &sent.message;
    if sent.is_open() {
        let what = match message.status {
            Status::Pending => "an earlier send under this key is still under way",
            _ => "nobody knows whether the message was sent: Telnyx's answer was lost",
        };
        let key = &sent.idempotency_key;
        return Err(Error::new(Code::OutcomeUnknown, what).hint(repeat_hint(key)).with(|extra| {
            extra.message_id = Some(message.id);
            extra.idempotency_key = Some(key.clone());
        }));
    }
    if message.status.is_failure() {
        return Err(failed(message));
    }
    Ok(())
}

fn failed(message: &Message) -> Error {
    let code = match message.status {
        Status::Cancelled => Code::Cancelled,
        _ => Code::TelnyxRefused,
    };
    let reason = message.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let what = format!("the message ended as {}{reason}", message.status);
    Error::new(code, what)
        .hint("to send it anew, leave out --idempotency-key")
        .with(|extra| extra.message_id = Some(message.id))
}

/// A failure as it came, with the key that makes a repeat safe where one is needed.
fn told(error: Error, args: &SendArgs) -> Error {
    let key = error.extra().idempotency_key.clone().or_else(|| args.idempotency_key.clone());
    match key {
        Some(key) if error.code() == Code::OutcomeUnknown => {
            error.hint(repeat_hint(&key)).with(|extra| extra.idempotency_key = Some(key))
        }
        _ => error,
    }
}

fn repeat_hint(key: &str) -> String {
    format!("it may have been sent; repeat it only with --idempotency-key {key}")
}

/// One line for people. Programs that read JSON get none, and a closed stderr harms nobody.
pub(super) fn say(talk: &mut impl Write, look: &Look, line: &str) {
    if !look.format.is_json() {
        let _ = writeln!(talk, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};
    use crate::output::Format;
    use crate::output::samples::{failed as failed_message, look, outbound, time};

    const TO: &str = "+12125551234";

    fn args(line: &[&str]) -> SendArgs {
        let line = ["convo", "send"].iter().chain(line).copied();
        match cli::parse(line).expect("a good command line").command {
            Command::Send(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn text_of(line: &[&str], stdin: &[u8], terminal: bool) -> Result<Option<String>, Error> {
        let facts = Facts { stdin_is_terminal: terminal, ..Facts::default() };
        let now = time("2026-06-18T14:33:00Z");
        request(&args(line), stdin, &facts, now).map(|request| request.message)
    }

    #[test]
    fn with_a_text_standard_input_is_never_read() {
        struct Untouchable;
        impl Read for Untouchable {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                panic!("standard input was read");
            }
        }
        let now = time("2026-06-18T14:33:00Z");
        let made = request(&args(&[TO, "Hi\n"]), Untouchable, &Facts::default(), now);
        assert_eq!(made.expect("a request").message.as_deref(), Some("Hi\n"));
    }

    #[test]
    fn without_a_text_it_is_read_to_its_end() {
        for (stdin, text) in [
            ("Hi", "Hi"),
            ("Hi\n", "Hi"),
            ("Hi\r\n", "Hi"),
            ("Hi\n\n", "Hi\n"),
            ("a\nb\r", "a\nb\r"),
        ] {
            let read = text_of(&[TO], stdin.as_bytes(), false).expect("a text");
            assert_eq!(read.as_deref(), Some(text), "{stdin:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_wrong_usage() {
        let long = vec![b'a'; 1024 * 1024 + 1];
        for (stdin, terminal) in
            [(&b"Hi"[..], true), (b"", false), (b"\n", false), (b"\xff", false), (&long, false)]
        {
            let error = text_of(&[TO], stdin, terminal).expect_err("no text");
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.hint_text().is_some(), "{error}");
        }
        let error = text_of(&["2125551234", "Hi"], b"", false).expect_err("no country code");
        assert_eq!(error.code(), Code::InvalidNumber);
    }

    #[test]
    fn a_file_needs_no_words() {
        let line = [TO, "--media", "https://example.com/a.png"];
        assert_eq!(text_of(&line, b"never read", true).expect("a request"), None);
        assert_eq!(text_of(&line, b"+12125550004", false).expect("a request"), None);
    }

    fn reported(message: Message, format: Format) -> (String, String, Result<(), Error>) {
        let sent = Sent { message, idempotency_key: "key-1".into() };
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        let ended = report(&sent, &mut out, &mut talk, &look(format, 80, false));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(out), text(talk), ended)
    }

    #[test]
    fn the_id_is_data_and_the_rest_is_talk() {
        let message = outbound("Hi", Status::Queued);
        let id = message.id;
        let (out, talk, ended) = reported(message, Format::Lines);
        assert_eq!(out, format!("{id}\n"));
        assert_eq!(talk, "queued for +12125551234 as 1 segment from +15551234567\n");
        assert!(ended.is_ok());
    }

    #[test]
    fn json_gets_the_message_and_no_talk() {
        let (out, talk, ended) = reported(outbound("Hi", Status::Sent), Format::Json);
        let back: Message = serde_json::from_str(&out).expect("a message");
        assert_eq!(back, outbound("Hi", Status::Sent));
        assert!(talk.is_empty() && ended.is_ok());
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
        let (_, _, ended) = reported(failed_message("Hi"), Format::Lines);
        assert!(ended.expect_err("failed").to_string().contains("Blocked: as spam"));
    }

    #[test]
    fn an_unknown_outcome_names_the_key() {
        let (_, _, ended) = reported(outbound("Hi", Status::Unknown), Format::Lines);
        let error = ended.expect_err("nobody knows");
        assert!(error.hint_text().is_some_and(|hint| hint.ends_with("--idempotency-key key-1")));
        assert_eq!(error.extra().idempotency_key.as_deref(), Some("key-1"));
        let remote = Error::new(Code::OutcomeUnknown, "the answer broke off");
        let error = told(remote, &args(&[TO, "Hi", "--idempotency-key", "k2"]));
        assert!(error.hint_text().is_some_and(|hint| hint.ends_with("--idempotency-key k2")));
    }
}
