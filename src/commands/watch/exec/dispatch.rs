//! Which event is handled when: in order for each contact, several contacts at the same time. The
//! checkpoint follows the oldest event that is not handled.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::answer::Answering;
use super::checkpoint::Checkpoint;
use super::child::{CommandFailure, Program};
use super::input::{self, name, say};
use crate::backend::Backend;
use crate::commands::watch::WatchedEvents;
use crate::domain::{FeedCursor, FeedEvent, PhoneNumber};
use crate::error::{Code, Error};

/// How many events are read ahead, so that other contacts need not wait for one.
const READ_AHEAD: usize = 256;
/// The first pause before a command is run again; each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs a command for each event.
pub(super) struct Dispatcher<'a> {
    pub(super) program: Program,
    pub(super) backend: &'a Backend,
    pub(super) answering: Option<Answering<'a>>,
    pub(super) history: Option<u64>,
    pub(super) jobs: usize,
    pub(super) retries: u32,
    pub(super) timeout: Duration,
}

/// The events that were read and are not all handled, in the order of the feed.
#[derive(Default)]
struct Queue {
    events: VecDeque<Queued>,
    /// The contacts of the events that are being handled.
    busy: HashSet<Option<PhoneNumber>>,
}

struct Queued {
    cursor: FeedCursor,
    contact: Option<PhoneNumber>,
    stage: HandlingStage,
}

enum HandlingStage {
    Waiting(Box<FeedEvent>),
    Running,
    Handled,
}

type Handling<'a> = LocalBoxFuture<'a, (FeedCursor, Result<(), Error>)>;

impl Dispatcher<'_> {
    /// Handles events until there are no more, and all of them are handled.
    ///
    /// # Errors
    /// Those of the events; a failure that concerns every message.
    pub(super) async fn run(
        &self,
        mut events: WatchedEvents<'_>,
        mut checkpoint: Option<Checkpoint>,
    ) -> Result<(), Error> {
        let mut queue = Queue::default();
        let mut running: FuturesUnordered<Handling<'_>> = FuturesUnordered::new();
        let mut end = None;
        events.begin().await.map_err(|error| explain(error, checkpoint.as_ref()))?;
        loop {
            while running.len() < self.jobs
                && let Some(event) = queue.start_next()
            {
                running.push(Box::pin(async move {
                    (event.cursor, self.handle_patiently(&event).await)
                }));
            }
            let position =
                queue.handled().or_else(|| events.position().filter(|_| queue.is_empty()));
            if let (Some(checkpoint), Some(position)) = (&mut checkpoint, position) {
                checkpoint.advance(position)?;
            }
            if end.is_some() && queue.is_empty() {
                return end.unwrap_or(Ok(()));
            }
            tokio::select! {
                Some((cursor, handled)) = running.next() => {
                    handled?;
                    queue.end(cursor);
                }
                next = events.next(), if end.is_none() && queue.events.len() < READ_AHEAD => {
                    match next {
                        Ok(Some(event)) => queue.add(event),
                        Ok(None) => end = Some(Ok(())),
                        Err(error) => end = Some(Err(explain(error, checkpoint.as_ref()))),
                    }
                }
            }
        }
    }

    /// Handles one event. While the database or the server cannot be reached, tries again.
    async fn handle_patiently(&self, event: &FeedEvent) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.handle(event).await {
                Err(error) if error.exit_code() == Code::DatabaseUnavailable.exit_code() => {
                    say(&format!("{}: {error}; trying again", name(event)));
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                handled => return handled,
            }
        }
    }

    /// Handles one event to its end: a command that keeps failing is reported and passed over.
    async fn handle(&self, event: &FeedEvent) -> Result<(), Error> {
        if event.recovered {
            // It is old: whoever wrote it may no longer expect anything.
            return Ok(());
        }
        if let Some(answering) = &self.answering
            && answering.passes_over(event).await?
        {
            return Ok(());
        }
        let mut pause = FIRST_PAUSE;
        for left in (0..=self.retries).rev() {
            match self.run_command(event).await? {
                Ok(output) => {
                    return match &self.answering {
                        Some(answering) => answering.answer(event, output).await,
                        None => Ok(()),
                    };
                }
                Err(CommandFailure(how)) => {
                    let next = if left > 0 { "trying again" } else { "passed over" };
                    say(&format!("{}: the command {how}; {next}", name(event)));
                }
            }
            if left > 0 {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
        Ok(())
    }

    async fn run_command(
        &self,
        event: &FeedEvent,
    ) -> Result<Result<Vec<u8>, CommandFailure>, Error> {
        let json = input::json(event, self.history, self.backend).await?;
        let variables = input::variables(event);
        self.program.run(&json, &variables, self.answering.is_some(), self.timeout).await
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn add(&mut self, event: FeedEvent) {
        let (cursor, contact) = (event.cursor, event.contact_number.clone());
        self.events.push_back(Queued {
            cursor,
            contact,
            stage: HandlingStage::Waiting(Box::new(event)),
        });
    }

    /// The next event whose contact has no earlier one that is not handled.
    fn start_next(&mut self) -> Option<FeedEvent> {
        let busy = &self.busy;
        let next = self.events.iter_mut().find(|queued| {
            matches!(queued.stage, HandlingStage::Waiting(_)) && !busy.contains(&queued.contact)
        })?;
        self.busy.insert(next.contact.clone());
        match std::mem::replace(&mut next.stage, HandlingStage::Running) {
            HandlingStage::Waiting(event) => Some(*event),
            HandlingStage::Running | HandlingStage::Handled => None,
        }
    }

    fn end(&mut self, cursor: FeedCursor) {
        if let Some(queued) = self.events.iter_mut().find(|queued| queued.cursor == cursor) {
            queued.stage = HandlingStage::Handled;
            self.busy.remove(&queued.contact);
        }
    }

    /// Removes what is handled from the front, and returns the position of the last one.
    fn handled(&mut self) -> Option<FeedCursor> {
        let mut last = None;
        while let Some(Queued { stage: HandlingStage::Handled, .. }) = self.events.front() {
            last = self.events.pop_front().map(|queued| queued.cursor);
        }
        last
    }
}

fn explain(error: Error, checkpoint: Option<&Checkpoint>) -> Error {
    match checkpoint {
        Some(checkpoint) if checkpoint.position().is_some() => checkpoint.explain_expired(error),
        _ => error,
    }
}
