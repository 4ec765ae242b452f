//! Deleting content to which nothing refers any more.

use super::content::ContentStore;
use crate::clock;
use crate::error::Error;
use crate::store::Store;
use crate::store::lease::Lease;
use crate::store::media::MediaStep;

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
