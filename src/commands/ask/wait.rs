//! Waiting for the answer: the feed is read from the question on.

use std::time::Duration;

use regex::Regex;
use tokio::time::{Instant, sleep, sleep_until};

use super::search::Search;
use crate::backend::Backend;
use crate::commands::outcome::add_key;
use crate::domain::{
    FeedFilter, FeedPage, FeedStart, IdempotencyKey, Message, Selector, Sent, Window, verdict,
};
use crate::error::{Code, Error};

/// How many events are read at once.
const PAGE: u64 = 100;
/// How long one call waits for events. The next call goes on from there.
const ONE_CALL: Duration = Duration::from_secs(20);
/// The pause after a failure to read, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long to wait for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    timeout: Duration,
}

/// Why a wait ended without an answer.
enum WaitEnd {
    Timeout,
    /// Ctrl-C.
    Signal,
    /// The feed can no longer be read.
    Failure(Error),
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout }
    }

    /// Waits for the answer to a question that has just been sent, or was sent earlier under the same key.
    /// Returns both messages.
    ///
    /// # Errors
    /// The question has failed, the contact has opted out, or no answer came in time.
    pub(super) async fn wait(
        self,
        sent: Sent,
        pattern: Option<&Regex>,
        backend: &Backend,
    ) -> Result<(Message, Message), Error> {
        // A timeout of centuries never ends.
        let deadline = Instant::now().checked_add(self.timeout);
        let over = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let Sent { message, idempotency_key: key } = sent;
        let mut reading = Reading::new(Search::new(message, pattern), backend);
        let signal = backend.interrupt();
        let interruption = tokio::select! {
            biased;
            result = reading.result() => match result {
                Ok(answer) => return Ok((reading.search.question().clone(), answer?)),
                Err(error) => WaitEnd::Failure(error),
            },
            () = signal.cancelled() => WaitEnd::Signal,
            () = over => WaitEnd::Timeout,
        };
        Err(self.no_answer(reading.search.question(), &interruption, &key))
    }

    fn no_answer(self, question: &Message, interruption: &WaitEnd, key: &IdempotencyKey) -> Error {
        if question.status.is_open()
            && let Err(error) = verdict(question)
        {
            return add_key(error, key);
        }
        let what = match interruption {
            WaitEnd::Timeout => format!("no answer within {} s", self.timeout.as_secs_f64()),
            WaitEnd::Signal => "interrupted while waiting for an answer".to_owned(),
            WaitEnd::Failure(error) => format!("the answer cannot be waited for: {error}"),
        };
        Error::new(Code::TimedOut, what)
            .hint(format!(
                "the question was sent; to go on waiting, repeat it with --idempotency-key {key}"
            ))
            .with(|extra| {
                extra.message_id = Some(question.id);
                extra.idempotency_key = Some(key.to_string());
            })
    }
}

/// Reads the feed for a search.
struct Reading<'a> {
    search: Search<'a>,
    backend: &'a Backend,
    filter: FeedFilter,
    start: FeedStart,
}

impl<'a> Reading<'a> {
    fn new(search: Search<'a>, backend: &'a Backend) -> Self {
        let question = search.question();
        let contact = Selector::new(&question.conversation_id.to_string());
        // The entry is written after the time of the message was taken.
        let start = FeedStart::Since(question.created_at);
        let filter = FeedFilter { contact: Some(contact), ..FeedFilter::default() };
        Self { search, backend, filter, start }
    }

    /// Reads until there is an answer, or the reason why none can come.
    ///
    /// # Errors
    /// The feed cannot be read, and that does not pass by itself.
    async fn result(&mut self) -> Result<Result<Message, Error>, Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.step().await {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => pause = FIRST_PAUSE,
                Err(error) if error.exit_code() == Code::ServerUnreachable.exit_code() => {
                    tracing::debug!(%error, "the feed could not be read");
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Result<Message, Error>>, Error> {
        let started = Instant::now();
        // The question's entry is already there, if it is still kept.
        let patience = if self.search.has_begun() { ONE_CALL } else { Duration::ZERO };
        let page = match self.read(patience).await {
            Ok(page) => page,
            Err(error) if error.code() == Code::CursorExpired => {
                self.read_stored().await?;
                return Ok(self.search.take_result());
            }
            Err(error) => return Err(error),
        };
        let was_at_end = self.start == FeedStart::After(page.next);
        let last_at = page.events.last().map(|event| event.at);
        self.take(page);
        if let Some((at, _)) = self.search.answer()
            && last_at == Some(*at)
        {
            // If the message opts out, that is told by an entry of the same transaction.
            let rest = self.read(Duration::ZERO).await?;
            self.take(rest);
        }
        if !self.search.has_begun() && was_at_end {
            self.read_stored().await?;
        } else if was_at_end && started.elapsed() < FIRST_PAUSE {
            // A server that is stopping does not wait.
            sleep(FIRST_PAUSE).await;
        }
        Ok(self.search.take_result())
    }

    async fn read(&self, patience: Duration) -> Result<FeedPage, Error> {
        self.backend.events(self.start, &self.filter, PAGE, patience).await
    }

    fn take(&mut self, page: FeedPage) {
        self.start = FeedStart::After(page.next);
        page.events.into_iter().for_each(|event| self.search.event(event));
    }

    /// Reads the messages after the question instead of its events, which are no longer kept, and goes on
    /// with what comes. The position is taken first, so that nothing is missed in between.
    async fn read_stored(&mut self) -> Result<(), Error> {
        let now = self.backend.events(FeedStart::Now, &self.filter, PAGE, Duration::ZERO).await?;
        let question = self.search.question().clone();
        let contact = Selector::new(&question.conversation_id.to_string());
        let thread = self.backend.find(&contact).await?;
        let (mut messages, mut after) = (Vec::new(), Some(question.id));
        while let Some(last) = after {
            let window = Window::Oldest { after: Some(last), limit: PAGE };
            let page = self.backend.messages(thread.id, window, false).await?;
            messages.extend(page.rows);
            after = page.next;
        }
        self.search.stored(messages, thread.opted_out_at);
        self.take(now);
        Ok(())
    }
}
