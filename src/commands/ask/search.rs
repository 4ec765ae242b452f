//! Which message answers a question, decided from the events of its conversation as they come.

use regex::Regex;
use uuid::Uuid;

use crate::domain::text::is_blank;
use crate::domain::{
    Direction, FeedEvent, FeedKind, Message, MessageError, Timestamp, conversation, verdict,
};
use crate::error::{Code, Error};

/// The search for an answer. Events are taken in the order of the feed.
#[derive(Debug)]
pub(super) struct Search<'a> {
    question: Message,
    pattern: Option<&'a Regex>,
    /// Whether the question's own entry has been passed: only what follows counts.
    begun: bool,
    /// The texts that may be the answer, with the time of their entries.
    texts: Vec<(Timestamp, Message)>,
    /// The contact's last message of any kind: the time of its entry, and its id.
    last: Option<(Timestamp, Uuid)>,
    /// Why there will be no answer. What comes afterwards does not count.
    end: Option<Error>,
}

impl<'a> Search<'a> {
    pub(super) fn new(question: Message, pattern: Option<&'a Regex>) -> Self {
        Self { question, pattern, begun: false, texts: Vec::new(), last: None, end: None }
    }

    /// The question as last seen.
    pub(super) fn question(&self) -> &Message {
        &self.question
    }

    /// Whether the question's own entry has been passed.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes the next event.
    pub(super) fn event(&mut self, event: FeedEvent) {
        let is_question =
            event.message.as_ref().is_some_and(|message| message.id == self.question.id);
        match (event.kind, event.message) {
            (FeedKind::Message, Some(message)) if is_question => {
                self.question = message;
                self.begun = true;
            }
            (FeedKind::Status, Some(message)) if is_question => self.update(message),
            (FeedKind::Message, Some(message)) if self.begun => self.message(event.at, message),
            (FeedKind::OptOut, _) if self.begun && event.opted_out == Some(true) => {
                self.opt_out(event.at);
            }
            (FeedKind::Removed, _) if self.begun => self.end_with(conversation::not_found()),
            _ => {}
        }
    }

    /// Takes the conversation as it is stored instead of the events, which are no longer kept: the
    /// messages after the question, and the time of the contact's opt-out.
    pub(super) fn stored(&mut self, messages: Vec<Message>, opted_out_at: Option<Timestamp>) {
        self.begun = true;
        let opted_out_at = opted_out_at.filter(|at| *at >= self.question.created_at);
        for message in messages {
            if opted_out_at.is_none_or(|at| message.created_at < at) {
                self.message(message.created_at, message);
            }
        }
        if opted_out_at.is_some() {
            self.end_with(self.opted_out());
        }
        self.update(self.question.clone());
    }

    fn message(&mut self, at: Timestamp, message: Message) {
        // What a sync brings may have been meant for an earlier question.
        if message.direction != Direction::Inbound || message.recovered || self.end.is_some() {
            return;
        }
        self.last = Some((at, message.id));
        let is_known = self.texts.iter().any(|(_, text)| text.id == message.id);
        if !is_known && !is_blank(&message.body) && self.matches(&message.body) {
            self.texts.push((at, message));
        }
    }

    fn matches(&self, text: &str) -> bool {
        self.pattern.is_none_or(|pattern| pattern.is_match(text.trim()))
    }

    fn update(&mut self, question: Message) {
        self.question = question;
        // A question that is still open may succeed.
        if let Err(error) = verdict(&self.question)
            && error.code() != Code::OutcomeUnknown
        {
            let has_opted_out =
                self.question.error.as_ref().is_some_and(MessageError::speaks_of_stop);
            self.end_with(if has_opted_out { self.opted_out() } else { error });
        }
    }

    /// The message that opts out, such as STOP, is stored in the same transaction as the opt-out, and is
    /// not an answer.
    fn opt_out(&mut self, at: Timestamp) {
        if let Some((stored_at, id)) = self.last
            && stored_at == at
        {
            self.texts.retain(|(_, text)| text.id != id);
        }
        self.end_with(self.opted_out());
    }

    fn opted_out(&self) -> Error {
        let contact = self.question.contact();
        Error::new(Code::OptedOut, format!("{contact} has opted out instead of answering"))
            .hint("wait until the contact sends START")
            .with(|extra| extra.message_id = Some(self.question.id))
    }

    fn end_with(&mut self, error: Error) {
        self.end.get_or_insert(error);
    }

    /// The answer, and the time of its entry. What counts is that it was stored after the question: the
    /// times of Telnyx and of this machine may be of different clocks.
    pub(super) fn answer(&self) -> Option<&(Timestamp, Message)> {
        self.texts.first()
    }

    /// The answer, or why there will be none; `None` while there may be one.
    pub(super) fn take_result(&mut self) -> Option<Result<Message, Error>> {
        match self.answer() {
            Some((_, answer)) => Some(Ok(answer.clone())),
            None => self.end.take().map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FeedCursor, Status};
    use crate::output::samples::{failed, inbound, outbound};

    const QUESTION: Uuid = Uuid::from_u128(1);

    fn question(status: Status) -> Message {
        Message {
            id: QUESTION,
            created_at: Timestamp::from_micros(100),
            sent_at: None,
            ..outbound("Well?", status)
        }
    }

    /// A text of the contact, received and stored at these times.
    fn text(id: u128, body: &str, received: i64, stored: i64) -> FeedEvent {
        let created_at = Timestamp::from_micros(received);
        let message = Message { id: Uuid::from_u128(id), created_at, ..inbound(body) };
        event(FeedKind::Message, Some(message), stored)
    }

    fn event(kind: FeedKind, message: Option<Message>, at: i64) -> FeedEvent {
        FeedEvent {
            cursor: FeedCursor { position: at, nonce: 0 },
            kind,
            at: Timestamp::from_micros(at),
            conversation_id: None,
            contact_number: None,
            contact_name: None,
            status: message.as_ref().map(|message| message.status),
            message,
            replaces: None,
            opted_out: (kind == FeedKind::OptOut).then_some(true),
            recovered: false,
        }
    }

    fn asked() -> FeedEvent {
        event(FeedKind::Message, Some(question(Status::Pending)), 100)
    }

    /// The answer's text, or else the exit code.
    fn result(search: &mut Search<'_>) -> Result<String, Option<u8>> {
        match search.take_result() {
            Some(Ok(answer)) => Ok(answer.body),
            Some(Err(error)) => Err(Some(error.exit_code())),
            None => Err(None),
        }
    }

    fn found(
        pattern: Option<&str>,
        events: impl IntoIterator<Item = FeedEvent>,
    ) -> Result<String, Option<u8>> {
        let pattern = pattern.map(|pattern| Regex::new(pattern).expect("a good pattern"));
        let mut search = Search::new(question(Status::Queued), pattern.as_ref());
        events.into_iter().for_each(|event| search.event(event));
        result(&mut search)
    }

    #[test]
    fn the_first_text_after_the_question_is_the_answer() {
        let before = text(2, "before", 200, 90);
        let (yes, no) = (text(4, "Yes ", 120, 120), text(5, "no", 130, 130));
        let picture = text(6, "", 115, 115);
        let all = [before, asked(), picture, yes, no];
        assert_eq!(found(None, all.clone()), Ok("Yes ".to_owned()));
        assert_eq!(found(Some("^(?i)(yes|no)$"), all.clone()), Ok("Yes ".to_owned()));
        assert_eq!(found(Some("^no$"), all.clone()), Ok("no".to_owned()));
        assert_eq!(found(Some("maybe"), all), Err(None));
    }

    #[test]
    fn a_text_that_a_sync_brings_is_no_answer() {
        let mut old = text(2, "yes", 120, 120);
        if let Some(message) = &mut old.message {
            message.recovered = true;
        }
        let new = text(3, "no", 130, 130);
        assert_eq!(found(None, [asked(), old, new]), Ok("no".to_owned()));
    }

    #[test]
    fn a_clock_that_is_ahead_loses_no_answer() {
        assert_eq!(found(None, [asked(), text(2, "yes", 60, 110)]), Ok("yes".to_owned()));
    }

    #[test]
    fn an_opt_out_is_no_answer() {
        let (stop, out) = (text(2, "STOP", 120, 120), event(FeedKind::OptOut, None, 120));
        assert_eq!(found(None, [asked(), stop.clone(), out.clone()]), Err(Some(7)));
        assert_eq!(found(Some("yes"), [asked(), stop.clone(), out.clone()]), Err(Some(7)));
        let yes = text(3, "yes", 110, 110);
        assert_eq!(found(None, [asked(), yes.clone(), stop, out.clone()]), Ok("yes".to_owned()));
        let later = text(4, "later", 130, 130);
        assert_eq!(found(None, [asked(), out.clone(), later]), Err(Some(7)));
        assert_eq!(found(None, [out, asked(), yes]), Ok("yes".to_owned()), "an earlier one");
    }

    #[test]
    fn a_question_that_failed_has_no_answer_after_it() {
        let Message { status, error, .. } = failed("Well?");
        let lost = Message { error, ..question(status) };
        let lost = event(FeedKind::Status, Some(lost), 120);
        let yes = text(2, "yes", 130, 130);
        assert_eq!(found(None, [asked(), lost.clone(), yes.clone()]), Err(Some(6)));
        assert_eq!(found(None, [asked(), yes, lost]), Ok("yes".to_owned()));
        let unknown = event(FeedKind::Status, Some(question(Status::Unknown)), 120);
        assert_eq!(found(None, [asked(), unknown]), Err(None));
        let removed = event(FeedKind::Removed, None, 120);
        assert_eq!(found(None, [asked(), removed]), Err(Some(3)));
    }

    #[test]
    fn without_its_events_the_stored_messages_are_searched() {
        let messages = || {
            [text(2, "yes", 110, 0), text(3, "STOP", 120, 0)].map(|event| event.message).into_iter()
        };
        let stopped = Some(Timestamp::from_micros(120));
        let answer = |pattern: Option<&str>| {
            let pattern = pattern.map(|pattern| Regex::new(pattern).expect("a good pattern"));
            let mut search = Search::new(question(Status::Sent), pattern.as_ref());
            search.stored(messages().flatten().collect(), stopped);
            result(&mut search)
        };
        assert_eq!(answer(None), Ok("yes".to_owned()));
        assert_eq!(answer(Some("no")), Err(Some(7)));
    }
}
