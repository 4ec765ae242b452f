//! Following the feed, of the database or of a server, also across the failures of either.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use tokio::time::sleep;

use crate::backend::Backend;
use crate::domain::{FeedCursor, FeedEvent, FeedFilter, FeedPage, FeedStart};
use crate::error::{Code, Error};
use crate::stdio;

/// The most events held in memory.
const PAGE: u64 = 100;
/// How long one call waits for events before it is repeated.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first pause after a failure; each one is half as long again as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A reader of the feed. Once it has begun, it waits for a database or server that is lost, and goes on
/// after the last event it has read: it misses none and returns none twice.
pub(super) struct Follower<'a> {
    backend: &'a Backend,
    filter: FeedFilter,
    /// Where the next page begins.
    start: FeedStart,
    /// Events that were read and not returned yet.
    read: VecDeque<FeedEvent>,
    has_begun: bool,
    is_lost: bool,
    /// Told when the feed is lost, and when it is back.
    tell: Option<Tell>,
}

/// Tells a person something, in one line.
type Tell = Box<dyn Fn(&str) + Send + Sync>;

impl<'a> Follower<'a> {
    pub(super) fn new(backend: &'a Backend, filter: FeedFilter, start: FeedStart) -> Self {
        let (read, has_begun, is_lost) = (VecDeque::new(), false, false);
        Self { backend, filter, start, read, has_begun, is_lost, tell: None }
    }

    /// The same, with a line on standard error when the feed is lost, and when it is back.
    pub(super) fn telling(self, tells: bool) -> Self {
        if tells { self.telling_by(say) } else { self }
    }

    /// The same, with such a line handed to `tell`.
    pub(super) fn telling_by(self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Box::new(tell)), ..self }
    }

    /// Makes sure that the feed can be read, and takes the position: whatever happens from now on will be
    /// returned.
    ///
    /// # Errors
    /// `cursor_expired`; the database or the server cannot be reached.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        if !self.has_begun {
            self.fetch(Duration::ZERO).await?;
        }
        Ok(())
    }

    /// The position up to which every event has been returned; `None` while there are some that were read
    /// and not returned.
    pub(super) fn position(&self) -> Option<FeedCursor> {
        match self.start {
            FeedStart::After(cursor) if self.has_begun && self.read.is_empty() => Some(cursor),
            _ => None,
        }
    }

    /// The next event, as soon as there is one. Cancel safe.
    ///
    /// # Errors
    /// `cursor_expired`, and failures that do not pass by themselves; before the first success, any.
    pub(super) async fn next(&mut self) -> Result<FeedEvent, Error> {
        self.begin().await?;
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(event);
            }
            self.fetch(PATIENCE).await?;
        }
    }

    /// The next event if it is stored already. Cancel safe.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) async fn next_stored(&mut self) -> Result<Option<FeedEvent>, Error> {
        self.begin().await?;
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(Some(event));
            }
            let before = self.start;
            self.fetch(Duration::ZERO).await?;
            // Where a filter matches little, a page may be empty although more follow.
            if self.read.is_empty() && self.start == before {
                return Ok(None);
            }
        }
    }

    /// Reads the next page, however long that takes once the feed could be read.
    async fn fetch(&mut self, patience: Duration) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            let page = self.backend.events(self.start, &self.filter, PAGE, patience).await;
            let error = match page {
                Ok(FeedPage { events, next }) => {
                    self.start = FeedStart::After(next);
                    self.read.extend(events);
                    self.has_begun = true;
                    self.tell_back();
                    return Ok(());
                }
                Err(error) => error,
            };
            if !self.has_begun || !passes(&error) {
                return Err(error);
            }
            self.tell_lost(&error);
            sleep(pause.max(requested_pause(&error))).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn tell_lost(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.is_lost, true) {
            self.tell(&format!("{error}; trying again"));
        }
    }

    fn tell_back(&mut self) {
        if std::mem::take(&mut self.is_lost) {
            self.tell("back again; nothing was missed");
        }
    }

    fn tell(&self, line: &str) {
        if let Some(tell) = &self.tell {
            tell(line);
        }
    }
}

/// Whether a failure passes by itself.
fn passes(error: &Error) -> bool {
    error.exit_code() == Code::ServerUnreachable.exit_code()
}

/// How long the server asked to wait.
fn requested_pause(error: &Error) -> Duration {
    let seconds = error.extra().retry_after.unwrap_or_default();
    Duration::from_secs(seconds.min(60))
}

/// A closed standard error is ignored.
fn say(line: &str) {
    let _ = writeln!(stdio::stderr(), "convo: {line}");
}

/// The hint of `cursor_expired` in the words of the command line.
pub(super) fn explain_expired(error: Error) -> Error {
    let oldest = error.extra().oldest.clone();
    match oldest.and_then(|oldest| oldest.parse::<FeedCursor>().ok()) {
        Some(oldest) if error.code() == Code::CursorExpired => error.hint(format!(
            "events after it may be missing; what is left follows --after {oldest}, and without --after \
             it goes on from now"
        )),
        _ => error,
    }
}
