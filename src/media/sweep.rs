//! Deleting content to which nothing refers any more.

use super::content::ContentStore;
use super::fetcher::lease;
use crate::clock;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::store::lease::Lease;
use crate::store::media::MediaStep;
use crate::threading::tenure;

/// No longer keeps media of messages from before a time, and deletes their content and what else nothing
/// refers to; while a server fetches media, it deletes them instead. Returns how many are no longer kept.
///
/// # Errors
/// `database_unavailable`, `media_unavailable`.
pub(crate) async fn expire(
    store: &Store,
    content: Option<&ContentStore>,
    before: Option<Timestamp>,
) -> Result<u64, Error> {
    let mut expired = 0;
    if let Some(before) = before {
        loop {
            match store.writer()?.expire_media(before).await? {
                0 => break,
                some => expired += some,
            }
        }
    }
    let lease = lease();
    if let Some(content) = content
        && tenure::take(store, &lease).await?
    {
        tenure::hold(store, &lease, sweep(store, content, &lease)).await.transpose()?;
    }
    Ok(expired)
}

/// How much is looked at in one step.
const STEP: u64 = 100;

/// Deletes content that was noted when media were removed, unless others refer to it. Only who holds the
/// lease of fetching media may do it, while nothing is fetched. Returns whether it is still held.
///
/// # Errors
/// `database_unavailable`, `media_unavailable`.
pub(crate) async fn sweep(
    store: &Store,
    content: &ContentStore,
    lease: &Lease,
) -> Result<bool, Error> {
    loop {
        let garbage = store.media_garbage(STEP).await?;
        if garbage.is_empty() {
            return Ok(true);
        }
        for (hash, is_used) in garbage {
            if !is_used {
                content.delete(hash).await?;
            }
            let step = MediaStep::Swept { hash };
            if !store.writer()?.media_step(lease, clock::now(), step).await? {
                return Ok(false);
            }
        }
    }
}
