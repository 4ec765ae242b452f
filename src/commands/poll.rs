//! Waits until a message's status is final, for `convo wait` and `convo send --wait`.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::outcome::{add_key, retry_hint};
use super::status_news::{MessageNews, StatusNews};
use crate::backend::Backend;
use crate::domain::{IdempotencyKey, Message, Status, verdict};
use crate::error::{Code, Error};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// An upper limit, because a deadline in the far future would overflow the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The status to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Goal {
    /// The carrier has it
    Sent,
    /// It has reached the recipient's phone
    Delivered,
}

/// What to wait for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// `None` for any final status.
    goal: Option<Goal>,
    timeout: Duration,
}

/// Why a wait ended before its goal.
#[derive(Debug)]
enum Interruption {
    Timeout,
    /// Ctrl-C.
    Signal,
    /// The message can no longer be read.
    Failure(Error),
}

impl Wait {
    /// A wait for a goal, or for any final status, with the timeout that was requested.
    pub(super) fn new(goal: Option<Goal>, timeout: Option<Duration>) -> Self {
        let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT);
        Self { goal, timeout }
    }

    /// Follows the message until the goal is reached or can no longer be reached. Returns the message
    /// as last read, and the command's result. `key` is the message's idempotency key, if known.
    pub(super) async fn run(
        self,
        backend: &Backend,
        news: &StatusNews,
        message: Message,
        key: Option<&IdempotencyKey>,
    ) -> (Message, Result<(), Error>) {
        let read = async |message: &Message| backend.message(message.id).await;
        let interrupt = backend.interrupt();
        let news = news.of(message.id);
        let (message, interruption) = self.poll(message, news, read, interrupt.cancelled()).await;
        let result = self.result(&message, interruption, key);
        (message, result)
    }

    async fn poll(
        self,
        mut message: Message,
        mut news: MessageNews,
        read: impl AsyncFn(&Message) -> Result<Message, Error>,
        signal: impl Future<Output = ()>,
    ) -> (Message, Option<Interruption>) {
        let deadline = Instant::now() + self.timeout;
        let polling = async {
            while !self.is_over(message.status) {
                news.changed().await;
                message = loop {
                    match read(&message).await {
                        Ok(read) => break read.without_history(),
                        // The server may come back, and the message is on its way in any case.
                        Err(error) if error.exit_code() == Code::ServerUnreachable.exit_code() => {
                            news.pause().await;
                        }
                        Err(error) => return Some(Interruption::Failure(error)),
                    }
                };
            }
            None
        };
        let interruption = tokio::select! {
            biased;
            interruption = polling => interruption,
            () = signal => Some(Interruption::Signal),
            () = sleep_until(deadline) => Some(Interruption::Timeout),
        };
        (message, interruption)
    }

    /// Whether there is nothing left to wait for.
    fn is_over(self, status: Status) -> bool {
        status.is_final() || (self.goal == Some(Goal::Sent) && status == Status::Sent)
    }

    fn result(
        self,
        message: &Message,
        interruption: Option<Interruption>,
        key: Option<&IdempotencyKey>,
    ) -> Result<(), Error> {
        verdict(message).map_err(|error| match (error.code(), key) {
            (Code::OutcomeUnknown, Some(key)) => add_key(error, key),
            (Code::OutcomeUnknown, None) => error.hint(retry_hint(message.id)),
            _ => error,
        })?;
        let error = if message.status == Status::DeliveryUnconfirmed
            && self.goal == Some(Goal::Delivered)
        {
            unconfirmed(key)
        } else if let Some(interruption) = interruption {
            self.not_final(message, interruption)
        } else {
            return Ok(());
        };
        Err(error.with(|extra| extra.message_id = Some(message.id)))
    }

    fn not_final(self, message: &Message, interruption: Interruption) -> Error {
        let when = match interruption {
            Interruption::Timeout => format!("after {} s", self.timeout.as_secs_f64()),
            Interruption::Signal => "when the wait was interrupted".to_owned(),
            Interruption::Failure(error) => format!("when it could no longer be read: {error}"),
        };
        let what = format!("the message was still {} {when}", message.status);
        Error::new(Code::NotFinal, what).hint(format!(
            "it is on its way: do not send it again; convo show {} shows its status",
            message.id
        ))
    }
}

fn unconfirmed(key: Option<&IdempotencyKey>) -> Error {
    let what = "the message was sent, but its delivery was never confirmed";
    let named = key.map(|key| format!("; its idempotency key is {key}")).unwrap_or_default();
    Error::new(Code::OutcomeUnknown, what)
        .hint(format!("it may have arrived, and sending it again may deliver it twice{named}"))
        .with(|extra| extra.idempotency_key = key.map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use super::*;
    use crate::output::samples::outbound;

    const GOALS: [Option<Goal>; 3] = [None, Some(Goal::Sent), Some(Goal::Delivered)];

    fn wait(goal: Option<Goal>, timeout: Duration) -> Wait {
        Wait { goal, timeout }
    }

    fn no_news() -> MessageNews {
        MessageNews::none(Duration::from_micros(100))
    }

    fn key() -> IdempotencyKey {
        IdempotencyKey::parse("key-1").expect("a good key")
    }

    fn code(result: Result<(), Error>) -> u8 {
        result.map_or_else(|error| error.exit_code(), |()| 0)
    }

    /// The exit code if each poll reads the next status, the last one forever.
    async fn exit(wait: Wait, statuses: &[Status]) -> u8 {
        let left = RefCell::new(statuses.iter());
        let last = *statuses.last().expect("a status");
        let read = async |_: &Message| {
            Ok(outbound("Hi", left.borrow_mut().next().copied().unwrap_or(last)))
        };
        let first = outbound("Hi", statuses[0]);
        let (message, interruption) = wait.poll(first, no_news(), read, pending()).await;
        code(wait.result(&message, interruption, Some(&key())))
    }

    #[tokio::test]
    async fn the_exit_code_says_what_became_of_it() {
        use Status::*;
        for (status, exits) in [
            (Unknown, [9, 9, 9]),
            (Scheduled, [8, 8, 8]),
            (Queued, [8, 8, 8]),
            (Sending, [8, 8, 8]),
            (Sent, [8, 0, 8]),
            (DeliveryUnconfirmed, [0, 0, 9]),
            (Expired, [6, 6, 6]),
            (Cancelled, [6, 6, 6]),
            (SendingFailed, [6, 6, 6]),
            (DeliveryFailed, [6, 6, 6]),
            (Delivered, [0, 0, 0]),
            (Read, [0, 0, 0]),
        ] {
            for (goal, expected) in GOALS.into_iter().zip(exits) {
                let ends = expected != 8 && status != Unknown;
                let code = match ends {
                    true => exit(wait(goal, DEFAULT_TIMEOUT), &[Queued, Sending, status]).await,
                    false => exit(wait(goal, Duration::from_millis(5)), &[status]).await,
                };
                assert_eq!(code, expected, "{goal:?} {status}");
            }
        }
    }

    #[tokio::test]
    async fn an_unreachable_server_is_polled_again_and_a_refusal_ends_the_wait() {
        for (failure, exit) in [(Code::ServerUnreachable, 0), (Code::Unauthorized, 8)] {
            let failures = RefCell::new(3);
            let read = async |_: &Message| {
                *failures.borrow_mut() -= 1;
                match *failures.borrow() {
                    0 => Ok(outbound("Hi", Status::Delivered)),
                    _ => Err(Error::new(failure, "away")),
                }
            };
            let first = outbound("Hi", Status::Queued);
            let wait = wait(None, DEFAULT_TIMEOUT);
            let (message, interruption) = wait.poll(first, no_news(), read, pending()).await;
            assert_eq!(
                code(wait.result(&message, interruption, Some(&key()))),
                exit,
                "{failure:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_signal_ends_the_wait_at_once() {
        let read = async |_: &Message| Ok(outbound("Hi", Status::Queued));
        let first = outbound("Hi", Status::Queued);
        let wait = wait(None, DEFAULT_TIMEOUT);
        let (message, interruption) = wait.poll(first, no_news(), read, async {}).await;
        let error = wait.result(&message, interruption, None).expect_err("not final");
        assert_eq!((error.code(), error.exit_code()), (Code::NotFinal, 8));
        assert!(error.to_string().contains("interrupted"), "{error}");
        assert_eq!(error.extra().message_id, Some(message.id));
    }
}
