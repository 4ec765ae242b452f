//! Reading from Telnyx's API: one GET request, and what a failure means.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Response, StatusCode};

use super::answer::{answered_at, first_error, requested_wait};
use super::client::TelnyxClient;
use crate::domain::{MessageError, Timestamp};
use crate::metrics::{self, FetchOutcome};
use crate::net::cause;

/// The largest response that is read: a page of deliveries repeats the answers to every attempt.
const BODY_LIMIT: usize = 16 << 20;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests Telnyx still accepts within its present period.
const REMAINING: &str = "x-ratelimit-remaining";

/// The response to a successful request.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    /// When Telnyx answered, by its clock, in whole seconds.
    pub(crate) at: Option<Timestamp>,
    /// How long the next request has to wait, because this one used up what is allowed.
    pub(crate) wait: Option<Duration>,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchFailure {
    /// There is no such thing, or no longer.
    NotFound,
    /// The key was refused.
    Unauthorized,
    /// Too many requests.
    RateLimited {
        /// How long Telnyx asks to wait.
        wait: Option<Duration>,
    },
    /// Another refusal, which a repeat would meet again.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Telnyx's first error.
        error: Option<MessageError>,
    },
    /// No answer, or one that says that Telnyx is not available.
    Unreachable {
        /// Why, in a few words without an address.
        why: String,
    },
}

impl TelnyxClient {
    /// Reads from a path of the API.
    ///
    /// # Errors
    /// As [`FetchFailure`] has them.
    pub(crate) async fn fetch(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Fetched, FetchFailure> {
        let begun = Instant::now();
        let fetched = self.request(path, query).await;
        metrics::telnyx_fetch(FetchOutcome::of(&fetched), begun.elapsed());
        fetched
    }

    async fn request(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Fetched, FetchFailure> {
        let unreachable = |error: reqwest::Error| FetchFailure::Unreachable { why: cause(&error) };
        let mut url = url::Url::parse(self.base_url())
            .map_err(|_| FetchFailure::Unreachable { why: "its URL is invalid".to_owned() })?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self
            .http()
            .get(url)
            .query(query)
            .header(AUTHORIZATION, format!("Bearer {}", self.api_key().expose()))
            .timeout(TIMEOUT);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = read(response).await?;
        if !status.is_success() {
            return Err(failure(status, &headers, &body));
        }
        let is_used_up = headers.get(REMAINING).is_some_and(|left| left.as_bytes() == b"0");
        let wait = requested_wait(&headers).filter(|_| is_used_up);
        Ok(Fetched { body, at: answered_at(&headers), wait })
    }
}

fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> FetchFailure {
    match status {
        StatusCode::NOT_FOUND => FetchFailure::NotFound,
        StatusCode::UNAUTHORIZED => FetchFailure::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => {
            FetchFailure::RateLimited { wait: requested_wait(headers) }
        }
        _ if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
            FetchFailure::Refused { status: status.as_u16(), error: first_error(body) }
        }
        _ => {
            FetchFailure::Unreachable { why: format!("it answered with HTTP {}", status.as_u16()) }
        }
    }
}

/// Reads a body up to the limit.
async fn read(mut response: Response) -> Result<Vec<u8>, FetchFailure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_LIMIT => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return Ok(body),
            Ok(Some(_)) => {
                return Err(FetchFailure::Unreachable { why: "its answer is too long".to_owned() });
            }
            Err(error) => return Err(FetchFailure::Unreachable { why: cause(&error) }),
        }
    }
}

impl FetchOutcome {
    fn of(fetched: &Result<Fetched, FetchFailure>) -> Self {
        match fetched {
            Ok(_) => Self::Found,
            Err(FetchFailure::NotFound) => Self::NotFound,
            Err(FetchFailure::RateLimited { .. }) => Self::RateLimited,
            Err(FetchFailure::Unauthorized | FetchFailure::Refused { .. }) => Self::Refused,
            Err(FetchFailure::Unreachable { .. }) => Self::Unreachable,
        }
    }
}
