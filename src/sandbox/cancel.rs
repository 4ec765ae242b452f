//! Cancelling a scheduled message, up to a minute before its time.

use bytes::Bytes;
use chrono::TimeDelta;
use http::{Response, StatusCode};
use uuid::Uuid;

use super::api_error::{ApiError, MESSAGE_NOT_FOUND, NOT_ALLOWED, json};
use super::send::authenticate;
use super::state::SandboxState;
use crate::clock;

/// How long before its time a message can be cancelled at the latest.
const LATEST: TimeDelta = TimeDelta::minutes(1);

/// `DELETE /v2/messages/{id}`. As documented, the response is the message itself, without `data`.
pub(super) fn cancel(
    state: &SandboxState,
    id: &str,
    authorization: Option<&str>,
) -> Result<Response<Bytes>, ApiError> {
    authenticate(state, authorization)?;
    let latest = clock::now().to_utc() + LATEST;
    let unknown = || ApiError::new(MESSAGE_NOT_FOUND, "The message does not exist.");
    let id = Uuid::parse_str(id).map_err(|_| unknown())?;
    let mut is_cancelled = false;
    let message = state
        .update(id, |message| {
            is_cancelled = message.is_scheduled_after(latest);
            if is_cancelled {
                message.finalize("cancelled", None);
            }
        })
        .ok_or_else(unknown)?;
    if is_cancelled {
        return Ok(json(StatusCode::OK, &message));
    }
    let detail = "The message is not scheduled, or its time is less than a minute away.";
    Err(ApiError::new(NOT_ALLOWED, detail))
}
