//! Copying the content of all media from one store to another.

use serde::Serialize;

use super::content::ContentStore;
use crate::error::Error;
use crate::store::Store;

/// How many hashes are read at once.
const STEP: u64 = 500;

/// How many files were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct MediaCopied {
    /// Copied now.
    pub(crate) copied: u64,
    /// There before.
    pub(crate) known: u64,
    /// Not in the first store, or damaged there.
    pub(crate) missing: u64,
    /// Of those that were copied now.
    pub(crate) bytes: u64,
}

/// Copies the content of all media that a database knows as kept. What the second store has is not read
/// again: content is named by its hash.
///
/// # Errors
/// `database_unavailable`, `media_unavailable`.
pub(crate) async fn copy_media(
    store: &Store,
    from: &ContentStore,
    to: &ContentStore,
    mut watch: impl FnMut(&MediaCopied),
) -> Result<MediaCopied, Error> {
    let (mut done, mut after) = (MediaCopied::default(), None);
    loop {
        let hashes = store.kept_content(after, STEP).await?;
        if hashes.is_empty() {
            return Ok(done);
        }
        for hash in &hashes {
            if to.has(*hash).await? {
                done.known += 1;
            } else if let Some(content) = from.load(*hash).await? {
                done.bytes += content.len() as u64;
                done.copied += 1;
                to.put(content).await?;
            } else {
                done.missing += 1;
            }
            watch(&done);
        }
        after = hashes.last().copied();
    }
}
