//! `convo send --wait`: looking at a message until it is known what became of it.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::Backend;
use crate::cli::{Goal, SendArgs};
use crate::domain::{Message, Status};
use crate::error::{Code, Error};

/// The first pause between two looks; each is half as long again as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How long to wait for somebody who did not say.
const USUAL: Duration = Duration::from_secs(60);
/// Nobody waits longer; a later time may be beyond the clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// What to wait for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// `None` for any final status.
    goal: Option<Goal>,
    timeout: Duration,
    first_pause: Duration,
}

/// Why a wait ended before its goal.
#[derive(Debug)]
enum Cut {
    /// The time is over.
    Time,
    /// Ctrl-C.
    Interrupt,
    /// It cannot be looked at any more.
    Blind(Error),
}

impl Wait {
    /// What was asked for, if a wait was.
    pub(super) fn of(args: &SendArgs) -> Option<Self> {
        let timeout = args.timeout.unwrap_or(USUAL).min(LONGEST);
        args.wait.map(|goal| Self { goal, timeout, first_pause: FIRST_PAUSE })
    }

    /// Looks at the message until the goal is reached or missed for good. Returns it as it was
    /// last seen, and what that means for the exit code.
    pub(super) async fn run(
        self,
        backend: &Backend,
        message: Message,
        key: &str,
    ) -> (Message, Result<(), Error>) {
        let look = async |message: &Message| backend.message(message.id).await;
        let interrupt = backend.interrupt();
        let (message, cut) = self.watch(message, look, interrupt.cancelled()).await;
        let verdict = self.judge(&message, cut, key);
        (message, verdict)
    }

    async fn watch(
        self,
        mut message: Message,
        look: impl AsyncFn(&Message) -> Result<Message, Error>,
        interrupted: impl Future<Output = ()>,
    ) -> (Message, Option<Cut>) {
        let deadline = Instant::now() + self.timeout;
        let watching = async {
            let mut pauses = pauses(self.first_pause);
            while !self.is_over(message.status) {
                sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                match look(&message).await {
                    Ok(seen) => message = seen.without_history(),
                    // The message is out there whatever becomes of a server or a connection.
                    Err(error) if error.exit_code() == Code::ServerUnreachable.exit_code() => {}
                    Err(error) => return Some(Cut::Blind(error)),
                }
            }
            None
        };
        let cut = tokio::select! {
            biased;
            cut = watching => cut,
            () = interrupted => Some(Cut::Interrupt),
            () = sleep_until(deadline) => Some(Cut::Time),
        };
        (message, cut)
    }

    /// Whether nothing is left to wait for.
    fn is_over(self, status: Status) -> bool {
        status.is_final() || (self.goal == Some(Goal::Sent) && status == Status::Sent)
    }

    fn judge(self, message: &Message, cut: Option<Cut>, key: &str) -> Result<(), Error> {
        let status = message.status;
        if status <= Status::Unknown {
            let what = "nobody knows whether the message was sent";
            let hint = format!("it may have been; repeat it only with --idempotency-key {key}");
            return Err(Error::new(Code::OutcomeUnknown, what).hint(hint).with(|extra| {
                extra.message_id = Some(message.id);
                extra.idempotency_key = Some(key.to_owned());
            }));
        }
        let about = |error: Error| Err(error.with(|extra| extra.message_id = Some(message.id)));
        if status.is_failure() {
            let code =
                if status == Status::Cancelled { Code::Cancelled } else { Code::TelnyxRefused };
            let reason = message.error.as_ref().map(|error| format!(": {error}"));
            let what = format!("the message ended as {status}{}", reason.unwrap_or_default());
            return about(Error::new(code, what));
        }
        if status == Status::DeliveryUnconfirmed && self.goal == Some(Goal::Delivered) {
            let what = "the message was sent, but its delivery was never confirmed";
            let hint = format!(
                "nobody knows whether it arrived, and sent again it may arrive twice; \
                 its idempotency key is {key}"
            );
            let error = Error::new(Code::OutcomeUnknown, what).hint(hint);
            return about(error.with(|extra| extra.idempotency_key = Some(key.to_owned())));
        }
        let Some(cut) = cut else { return Ok(()) };
        let why = match cut {
            Cut::Time => format!("after {} s", self.timeout.as_secs_f64()),
            Cut::Interrupt => "when the wait was interrupted".to_owned(),
            Cut::Blind(error) => format!("when it could not be looked at any more: {error}"),
        };
        let hint = format!("it is on its way, do not send it again; convo show {}", message.to);
        about(
            Error::new(Code::NotFinal, format!("the message was still {status} {why}")).hint(hint),
        )
    }
}

fn pauses(first: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(first), |pause| Some((*pause * 3 / 2).min(LONGEST_PAUSE)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use super::*;
    use crate::output::samples::outbound;

    const GOALS: [Option<Goal>; 3] = [None, Some(Goal::Sent), Some(Goal::Delivered)];

    fn wait(goal: Option<Goal>, timeout: Duration) -> Wait {
        Wait { goal, timeout, first_pause: Duration::from_micros(100) }
    }

    fn code(verdict: Result<(), Error>) -> u8 {
        verdict.map_or_else(|error| error.exit_code(), |()| 0)
    }

    /// The exit code after the message went through some statuses, one a look, the last for ever.
    async fn exit(wait: Wait, statuses: &[Status]) -> u8 {
        let left = RefCell::new(statuses.iter());
        let last = *statuses.last().expect("a status");
        let look = async |_: &Message| {
            Ok(outbound("Hi", left.borrow_mut().next().copied().unwrap_or(last)))
        };
        let first = outbound("Hi", statuses[0]);
        let (message, cut) = wait.watch(first, look, pending()).await;
        code(wait.judge(&message, cut, "key-1"))
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
                    true => exit(wait(goal, USUAL), &[Queued, Sending, status]).await,
                    false => exit(wait(goal, Duration::from_millis(5)), &[status]).await,
                };
                assert_eq!(code, expected, "{goal:?} {status}");
            }
        }
    }

    #[test]
    fn a_minute_is_few_looks_and_the_first_come_soon() {
        let mut waited = Duration::ZERO;
        let looks = pauses(FIRST_PAUSE).take_while(|pause| {
            waited += *pause;
            waited <= USUAL
        });
        assert!((15..=25).contains(&looks.count()));
        assert!(pauses(FIRST_PAUSE).take(3).sum::<Duration>() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_server_that_comes_back_is_waited_for_and_a_refusal_is_not() {
        for (failure, exit) in [(Code::ServerUnreachable, 0), (Code::Unauthorized, 8)] {
            let failures = RefCell::new(3);
            let look = async |_: &Message| {
                *failures.borrow_mut() -= 1;
                match *failures.borrow() {
                    0 => Ok(outbound("Hi", Status::Delivered)),
                    _ => Err(Error::new(failure, "away")),
                }
            };
            let first = outbound("Hi", Status::Queued);
            let wait = wait(None, USUAL);
            let (message, cut) = wait.watch(first, look, pending()).await;
            assert_eq!(code(wait.judge(&message, cut, "key-1")), exit, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn an_interrupt_ends_it_at_once() {
        let look = async |_: &Message| Ok(outbound("Hi", Status::Queued));
        let first = outbound("Hi", Status::Queued);
        let wait = wait(None, USUAL);
        let (message, cut) = wait.watch(first, look, async {}).await;
        let error = wait.judge(&message, cut, "key-1").expect_err("not final");
        assert_eq!((error.code(), error.exit_code()), (Code::NotFinal, 8));
        assert!(error.to_string().contains("interrupted"), "{error}");
        assert_eq!(error.extra().message_id, Some(message.id));
    }
}
