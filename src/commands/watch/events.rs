//! The events of a watch: those of the feed, until it is over.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::clock;
use crate::commands::follow::{Follower, explain_expired};
use crate::domain::{FeedCursor, FeedEvent, Timestamp};
use crate::error::{Code, Error};

/// An upper limit, because a deadline in the far future would overflow the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 3_600);
/// How long to sleep at most before looking at the clock again, which may be set meanwhile.
const NAP: Duration = Duration::from_secs(30);

/// When a watch is over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchEnd {
    /// After so many events.
    pub count: Option<u64>,
    /// Before the first event at this time or later.
    pub until: Option<Timestamp>,
    /// After this time, whatever has come.
    pub timeout: Option<Duration>,
}

/// Yields the events of a watch one by one.
pub(super) struct WatchedEvents<'a> {
    follower: Follower<'a>,
    end: WatchEnd,
    deadline: Option<Instant>,
    seen: u64,
    last: Option<FeedCursor>,
}

impl<'a> WatchedEvents<'a> {
    /// The time for it begins now.
    pub(super) fn new(follower: Follower<'a>, end: WatchEnd) -> Self {
        let deadline = end.timeout.map(|timeout| Instant::now() + timeout.min(LONGEST_TIMEOUT));
        Self { follower, end, deadline, seen: 0, last: None }
    }

    /// Makes sure that the feed can be read, from this position on.
    ///
    /// # Errors
    /// Those of the feed.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.follower.begin().await.map_err(explain_expired)
    }

    /// The position up to which every event has been returned, unless there are some that were read and
    /// not returned.
    pub(super) fn position(&self) -> Option<FeedCursor> {
        self.follower.position()
    }

    /// The next event, as soon as there is one; `None` when the watch is over. Cancel safe.
    ///
    /// # Errors
    /// `timed_out` if time runs out before there were as many events as requested; those of the feed.
    pub(super) async fn next(&mut self) -> Result<Option<FeedEvent>, Error> {
        if self.end.count.is_some_and(|count| self.seen >= count) {
            return Ok(None);
        }
        let event = tokio::select! {
            biased;
            () = reached(self.deadline) => None,
            event = before(&mut self.follower, self.end.until) => match event {
                Ok(event) => event,
                Err(error) => return Err(explain_expired(error)),
            },
        };
        match event {
            Some(event) => {
                self.seen += 1;
                self.last = Some(event.cursor);
                Ok(Some(event))
            }
            None => self.over(),
        }
    }

    /// The result when nothing more comes.
    fn over(&self) -> Result<Option<FeedEvent>, Error> {
        let Some(count) = self.end.count else { return Ok(None) };
        let (seen, plural) = (self.seen, if count == 1 { "" } else { "s" });
        let error = Error::new(
            Code::TimedOut,
            format!("time ran out after {seen} of {count} event{plural}"),
        );
        Err(match self.last {
            Some(last) => error.hint(format!("--after {last} goes on after the last one")),
            None => {
                error.hint("nothing that matches has happened; a longer --timeout waits longer")
            }
        })
    }
}

/// The next event before a time, once it has happened; `None` when there is no other.
async fn before(
    follower: &mut Follower<'_>,
    until: Option<Timestamp>,
) -> Result<Option<FeedEvent>, Error> {
    let Some(until) = until else { return follower.next().await.map(Some) };
    let event = tokio::select! {
        biased;
        () = passed(until) => None,
        event = follower.next() => Some(event?),
    };
    let event = match event {
        Some(event) => Some(event),
        // The last ones may be stored and not read yet.
        None => follower.next_stored().await?,
    };
    Ok(event.filter(|event| event.at < until))
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits until a time has passed by the clock on the wall.
async fn passed(time: Timestamp) {
    loop {
        let left = time.as_micros().saturating_sub(clock::now().as_micros());
        match u64::try_from(left) {
            Ok(left) if left > 0 => sleep(Duration::from_micros(left).min(NAP)).await,
            _ => return,
        }
    }
}
