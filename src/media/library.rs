//! Reading the media that are kept.

use std::ops::Range;

use uuid::Uuid;

use super::content::{ContentStore, ContentStream};
use crate::domain::media::{UNKNOWN_TYPE, medium_not_found, not_kept};
use crate::domain::{ContentHash, Direction, MediaState};
use crate::error::{Code, Error};
use crate::threading::Conversations;

/// The media of some conversations.
#[derive(Clone, Debug)]
pub(crate) struct MediaLibrary {
    conversations: Conversations,
    /// `None` if there is none.
    content: Option<ContentStore>,
}

/// A medium that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptMedium {
    pub(crate) hash: ContentHash,
    /// In bytes.
    pub(crate) size: u64,
    /// One of a short list, or `application/octet-stream`.
    pub(crate) content_type: String,
}

impl MediaLibrary {
    pub(crate) fn new(conversations: Conversations, content: Option<ContentStore>) -> Self {
        Self { conversations, content }
    }

    pub(crate) fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// A medium of a message, by its number from 1.
    ///
    /// # Errors
    /// `message_not_found`, `media_not_found`, or `media_unavailable` while it has not been fetched.
    pub(crate) async fn find(&self, message: Uuid, number: usize) -> Result<KeptMedium, Error> {
        let message = self.conversations.message(message).await?;
        let at = number.checked_sub(1).ok_or_else(|| medium_not_found(number))?;
        let medium = message.media.into_iter().nth(at).ok_or_else(|| medium_not_found(number))?;
        if message.direction == Direction::Outbound {
            return Err(Error::new(Code::MediaNotFound, "media that were sent are not kept")
                .hint("only those of inbound messages are; what was sent is still at its URL"));
        }
        let hash = medium.sha256.as_deref().and_then(ContentHash::parse);
        match (medium.state, hash) {
            (Some(MediaState::Kept), Some(hash)) => Ok(KeptMedium {
                hash,
                size: medium.size.unwrap_or_default(),
                content_type: medium.content_type.unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
            }),
            (state, _) => Err(not_kept(number, state.unwrap_or(MediaState::Waiting))),
        }
    }

    /// A part of the content of a medium.
    ///
    /// # Errors
    /// `media_unavailable`, also while it is read.
    pub(crate) async fn read(
        &self,
        medium: &KeptMedium,
        range: Range<u64>,
    ) -> Result<ContentStream, Error> {
        let content = self.content.as_ref().ok_or_else(|| {
            Error::new(Code::MediaUnavailable, "there is no store of media here")
                .hint("CONVO_MEDIA names it; it must be the same as for the server that fetched it")
        })?;
        content.read(medium.hash, range).await
    }
}
