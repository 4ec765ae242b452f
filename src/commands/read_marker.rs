//! Marking read what a command has printed.

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::backend::Backend;
use crate::config::Config;
use crate::domain::{Conversation, ReadUpTo, Selector};
use crate::error::Error;

/// How a command fails that may not do something.
const NOT_ALLOWED: u8 = 4;

/// Marks conversations read for a command that reads. The database is opened once more for it, to write, and
/// only if there is something to mark.
pub(super) struct ReadMarker {
    config: Config,
    /// Whether marking was asked for, so that it must not fail silently.
    is_wanted: bool,
    /// Whether it is certain that it will not be allowed.
    is_refused: bool,
    backend: OnceCell<Backend>,
}

impl ReadMarker {
    pub(super) fn new(config: Config, is_wanted: bool) -> Self {
        Self { config, is_wanted, is_refused: false, backend: OnceCell::new() }
    }

    /// Marks what had arrived in a conversation when it was read.
    ///
    /// # Errors
    /// Marking was asked for, and failed.
    pub(super) async fn seen(&mut self, conversation: &Conversation) -> Result<(), Error> {
        if conversation.unread_count == 0 {
            return Ok(());
        }
        let up_to = ReadUpTo::Arrived(conversation.arrived);
        let marked = self.mark(conversation, up_to).await;
        if self.is_wanted { marked } else { Ok(()) }
    }

    /// Marks a message that has just come. A failure that may pass does not matter: the next message marks
    /// this one, too.
    ///
    /// # Errors
    /// Marking was asked for, and is not allowed.
    pub(super) async fn came(
        &mut self,
        conversation: &Conversation,
        message: Uuid,
    ) -> Result<(), Error> {
        let marked = self.mark(conversation, ReadUpTo::Message(message)).await;
        if self.is_wanted && self.is_refused { marked } else { Ok(()) }
    }

    async fn mark(&mut self, conversation: &Conversation, up_to: ReadUpTo) -> Result<(), Error> {
        if self.is_refused {
            return Ok(());
        }
        let selector = Selector::new(&conversation.id.to_string());
        let marked = async {
            let open = async || Backend::open_for_marks(&self.config).await;
            self.backend.get_or_try_init(open).await?.mark_read(&selector, up_to).await
        };
        // Boxed, since those who wait for it are deep themselves.
        let marked = Box::pin(marked).await.map(drop);
        self.is_refused = marked.as_ref().is_err_and(|error| error.exit_code() == NOT_ALLOWED);
        marked
    }

    /// Closes what was opened.
    pub(super) async fn close(self) {
        if let Some(backend) = self.backend.get() {
            backend.close().await;
        }
    }
}
