//! `--reply`: what a command prints is sent back, once.

use std::time::Duration;

use super::input::{name, say};
use crate::backend::Backend;
use crate::clock;
use crate::domain::text::is_blank;
use crate::domain::{Draft, FeedEvent, Message, SendRequest, Status, Window};
use crate::error::{Code, Error};

/// The first pause before a send is repeated; each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long Telnyx recognises a repeated request; after that it would be a second text.
const REPEAT_SECONDS: i64 = 24 * 3_600;
/// How many messages of a conversation are read at a time.
const PAGE: u64 = 100;

/// Sends answers.
pub(super) struct Answering<'a> {
    backend: &'a Backend,
    max_age: Duration,
}

impl<'a> Answering<'a> {
    pub(super) fn new(backend: &'a Backend, max_age: Duration) -> Self {
        Self { backend, max_age }
    }

    /// Whether an event needs no command: it cannot be answered, or has been. An answer that an earlier
    /// run did not finish is brought to its end.
    ///
    /// # Errors
    /// Those that concern every message.
    pub(super) async fn passes_over(&self, event: &FeedEvent) -> Result<bool, Error> {
        // Its conversation was removed.
        let Some(message) = &event.message else { return Ok(true) };
        let age = clock::now().seconds_since(message.created_at);
        if u64::try_from(age).unwrap_or(0) > self.max_age.as_secs() {
            say(&format!("{} is too old to be answered; passed over", name(event)));
            return Ok(true);
        }
        if message.autoresponse_type.is_some() {
            say(&format!("{} was answered by Telnyx; passed over", name(event)));
            return Ok(true);
        }
        let Some(given) = self.given(message).await? else { return Ok(false) };
        if given.status.is_open() {
            self.send(event, message, given.body).await?;
        }
        Ok(true)
    }

    /// The answer that a message has, unless it was certainly not sent.
    async fn given(&self, message: &Message) -> Result<Option<Message>, Error> {
        let mut after = Some(message.id);
        loop {
            let window = Window::Oldest { after, limit: PAGE };
            let page = self.backend.messages(message.conversation_id, window, false).await;
            let page = match page {
                Ok(page) => page,
                // It was removed meanwhile.
                Err(error) if error.exit_code() == Code::MessageNotFound.exit_code() => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let answer = page.rows.into_iter().find(|one| {
                one.in_reply_to == Some(message.id)
                    && (one.telnyx_message_id.is_some() || one.status.is_open())
            });
            after = page.next;
            if answer.is_some() || after.is_none() {
                return Ok(answer);
            }
        }
    }

    /// Sends what a command has printed.
    ///
    /// # Errors
    /// Those that concern every message.
    pub(super) async fn answer(&self, event: &FeedEvent, output: Vec<u8>) -> Result<(), Error> {
        let Some(message) = &event.message else { return Ok(()) };
        let Ok(text) = String::from_utf8(output) else {
            say(&format!("{}: the command printed invalid UTF-8; nothing was sent", name(event)));
            return Ok(());
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if is_blank(text) {
            return Ok(());
        }
        self.send(event, message, text.to_owned()).await
    }

    /// Sends a text until its outcome is known, or it is known that it will not be sent.
    async fn send(&self, event: &FeedEvent, to: &Message, text: String) -> Result<(), Error> {
        let request =
            SendRequest { message: Some(text), in_reply_to: Some(to.id), ..SendRequest::default() };
        let draft = match Draft::new(to.contact().as_str(), request) {
            Ok(draft) => draft,
            Err(error) => return self.withheld(event, &error),
        };
        let mut pause = FIRST_PAUSE;
        let mut has_spoken = false;
        loop {
            let error = match self.backend.send(&draft, None).await {
                Ok(sent) if !sent.is_open() => return self.sent(event, &sent.message),
                Ok(sent) if !is_fresh(&sent.message) => {
                    let unknown = "it is not known whether the answer was sent";
                    return self.withheld(event, &Error::new(Code::OutcomeUnknown, unknown));
                }
                Ok(_) => Error::new(Code::OutcomeUnknown, "the outcome is unknown"),
                Err(error) => error,
            };
            match error.exit_code() {
                4 => return Err(error),
                5 | 9 if !matches!(error.code(), Code::ReplyLimit | Code::SendLimit) => {}
                _ => return self.withheld(event, &error),
            }
            if !std::mem::replace(&mut has_spoken, true) {
                say(&format!("answer to {}: {error}; trying again", name(event)));
            }
            let requested = Duration::from_secs(error.extra().retry_after.unwrap_or_default());
            tokio::time::sleep(pause.max(requested.min(LONGEST_PAUSE))).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn sent(&self, event: &FeedEvent, answer: &Message) -> Result<(), Error> {
        if matches!(answer.status, Status::SendingFailed | Status::DeliveryFailed) {
            say(&format!("answer to {}: {}", name(event), answer.status));
        }
        Ok(())
    }

    fn withheld(&self, event: &FeedEvent, error: &Error) -> Result<(), Error> {
        say(&format!("no answer to {}: {error}; passed over", name(event)));
        Ok(())
    }
}

/// Whether Telnyx still recognises a repeated request for the message.
fn is_fresh(message: &Message) -> bool {
    clock::now().seconds_since(message.created_at) < REPEAT_SECONDS
}
