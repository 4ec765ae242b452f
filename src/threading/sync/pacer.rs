//! Requests to Telnyx at a rate that it allows, repeated where that makes sense.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::error::{Code, Error};
use crate::telnyx::client::TelnyxClient;
use crate::telnyx::fetch::{FetchFailure, Fetched};

/// The time from one request for detail records to the next: half of the 40 a minute that have been seen
/// to be allowed.
const RECORDS_PAUSE: Duration = Duration::from_secs(3);
/// The time from one other request to the next.
const OTHER_PAUSE: Duration = Duration::from_millis(200);
/// How often a request is repeated.
const REPEATS: u32 = 3;
/// The pause before the first repeat where Telnyx does not say; doubled before each further one.
const REPEAT_PAUSE: Duration = Duration::from_secs(2);
/// The longest wait that Telnyx may ask for: after a longer one, the next sync goes on.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Records,
    Other,
}

/// Makes requests one after the other.
#[derive(Debug)]
pub(super) struct Pacer<'a> {
    telnyx: &'a TelnyxClient,
    records_due: Instant,
    other_due: Instant,
}

impl<'a> Pacer<'a> {
    pub(super) fn new(telnyx: &'a TelnyxClient) -> Self {
        let now = Instant::now();
        Self { telnyx, records_due: now, other_due: now }
    }

    /// Reads something. `None` if Telnyx has no such thing, or refuses to show it.
    ///
    /// # Errors
    /// `invalid_api_key`, `rate_limited`, `telnyx_unreachable`.
    pub(super) async fn get(
        &mut self,
        kind: RequestKind,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Option<Fetched>, Error> {
        let mut repeats = 0..REPEATS;
        loop {
            self.wait(kind).await;
            let failure = match self.telnyx.fetch(path, query).await {
                Ok(fetched) => {
                    if let Some(wait) = fetched.wait {
                        *self.due(kind) += wait.min(LONGEST_WAIT);
                    }
                    return Ok(Some(fetched));
                }
                Err(FetchFailure::NotFound) => return Ok(None),
                Err(FetchFailure::Refused { status, error }) if !is_of_account(status) => {
                    let error = error.map(|error| error.to_string());
                    tracing::warn!(status, error, "Telnyx does not show something to the sync");
                    return Ok(None);
                }
                Err(failure) => failure,
            };
            let pause = match (&failure, repeats.next()) {
                (FetchFailure::RateLimited { wait }, Some(before)) => {
                    wait.unwrap_or(REPEAT_PAUSE * 2_u32.pow(before))
                }
                (FetchFailure::Unreachable { .. }, Some(before)) => {
                    REPEAT_PAUSE * 2_u32.pow(before)
                }
                _ => return Err(explain(failure)),
            };
            if pause > LONGEST_WAIT {
                return Err(explain(failure));
            }
            sleep(pause).await;
        }
    }

    /// Waits until the next request is due. A simulated Telnyx allows any rate.
    async fn wait(&mut self, kind: RequestKind) {
        let due = *self.due(kind);
        sleep_until(due).await;
        let pause = match kind {
            _ if self.telnyx.is_local() => Duration::ZERO,
            RequestKind::Records => RECORDS_PAUSE,
            RequestKind::Other => OTHER_PAUSE,
        };
        *self.due(kind) = Instant::now() + pause;
    }

    fn due(&mut self, kind: RequestKind) -> &mut Instant {
        match kind {
            RequestKind::Records => &mut self.records_due,
            RequestKind::Other => &mut self.other_due,
        }
    }
}

/// Whether a refusal concerns every request: no funds, or a key that may not read.
fn is_of_account(status: u16) -> bool {
    matches!(status, 402 | 403)
}

fn explain(failure: FetchFailure) -> Error {
    match failure {
        FetchFailure::Unauthorized => Error::new(Code::InvalidApiKey, "Telnyx refused the API key")
            .hint("check TELNYX_API_KEY"),
        FetchFailure::RateLimited { wait } => {
            Error::new(Code::RateLimited, "Telnyx's rate limit is used up")
                .hint("the next sync goes on from here")
                .with(|extra| extra.retry_after = wait.map(|wait| wait.as_secs()))
        }
        FetchFailure::Refused { status, error } => {
            let error = error.map_or_else(|| format!("HTTP {status}"), |error| error.to_string());
            Error::new(Code::TelnyxRefused, format!("Telnyx does not allow reading it: {error}"))
                .hint("check the account and the rights of TELNYX_API_KEY")
                .with(|extra| extra.status_code = Some(status))
        }
        FetchFailure::Unreachable { why } => {
            Error::new(Code::TelnyxUnreachable, format!("Telnyx cannot be read: {why}"))
                .hint("the next sync goes on from here")
        }
        FetchFailure::NotFound => Error::new(Code::TelnyxRefused, "Telnyx has no such list"),
    }
}
