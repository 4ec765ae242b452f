//! Media files, from the store here or from a server.

use bytes::Bytes;
use futures_util::StreamExt;
use uuid::Uuid;

use super::Backend;
use crate::client::{Client, RemoteMedium};
use crate::config::Config;
use crate::domain::Message;
use crate::error::Error;
use crate::media::{ContentStore, ContentStream, MediaLibrary};
use crate::store::Purpose;

/// Media files, local or remote.
pub(crate) enum MediaBackend {
    /// In the store that the settings name.
    Local(Box<MediaLibrary>),
    /// Of a server.
    Remote(Client),
}

/// A media file that is being read.
pub(crate) struct OpenMedium {
    /// Its media type.
    pub(crate) content_type: String,
    parts: MediumParts,
}

enum MediumParts {
    Local(ContentStream),
    Remote(RemoteMedium),
}

impl MediaBackend {
    /// Connects to the server that the settings name, or else opens the database and the store.
    ///
    /// # Errors
    /// The database or the store cannot be opened, or a setting is invalid.
    pub(crate) async fn open(config: &Config) -> Result<Self, Error> {
        let is_remote = config.remote()?.is_some();
        let content = match is_remote {
            true => None,
            false => ContentStore::open_existing(&config.media()?.place)?,
        };
        Ok(match Backend::open(config, Purpose::Read).await? {
            Backend::Local(conversations) => {
                Self::Local(Box::new(MediaLibrary::new(conversations, content)))
            }
            Backend::Remote(client) => Self::Remote(client),
        })
    }

    /// Closes the database, if this process opened it.
    pub(crate) async fn close(self) {
        if let Self::Local(library) = self {
            Backend::Local(library.conversations().clone()).close().await;
        }
    }

    /// A message with what is known of its media.
    ///
    /// # Errors
    /// `message_not_found`.
    pub(crate) async fn message(&self, id: Uuid) -> Result<Message, Error> {
        match self {
            Self::Local(library) => library.conversations().message(id).await,
            Self::Remote(client) => client.message(id).await,
        }
    }

    /// A media file of a message, by its number from 1.
    ///
    /// # Errors
    /// `media_not_found`, `media_unavailable`.
    pub(crate) async fn medium(&self, message: Uuid, number: usize) -> Result<OpenMedium, Error> {
        match self {
            Self::Local(library) => {
                let medium = library.find(message, number).await?;
                let parts = library.read(&medium, 0..medium.size).await?;
                let content_type = medium.content_type;
                Ok(OpenMedium { content_type, parts: MediumParts::Local(parts) })
            }
            Self::Remote(client) => {
                let mut medium = client.medium(message, number).await?;
                let content_type = std::mem::take(&mut medium.content_type);
                Ok(OpenMedium { content_type, parts: MediumParts::Remote(medium) })
            }
        }
    }
}

impl OpenMedium {
    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// `media_unavailable`; `server_unreachable` if the response broke off.
    pub(crate) async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.parts {
            MediumParts::Local(parts) => parts.next().await.transpose(),
            MediumParts::Remote(medium) => medium.part().await,
        }
    }
}
