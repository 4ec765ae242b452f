//! Sending what was typed, one after the other, while the next line is being typed.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use crate::backend::Backend;
use crate::domain::{Draft, IdempotencyKey, Message};
use crate::error::{Code, Error};

/// A text on its way, with the key under which it may be repeated.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub draft: Draft,
    key: IdempotencyKey,
    /// The message whose request is repeated, if its outcome is unknown.
    retried: Option<Uuid>,
}

impl Outgoing {
    pub(super) fn new(draft: Draft) -> Self {
        Self { draft, key: IdempotencyKey::random(), retried: None }
    }

    /// What is to be done to try again after this result, if that is possible.
    pub(super) fn again(self, result: &Result<Message, Error>) -> Option<Self> {
        match result {
            Ok(message) if message.status.is_open() => {
                Some(Self { retried: Some(message.id), ..self })
            }
            Ok(_) => None,
            // The server may have it: only the same key is safe.
            Err(error) if error.code() == Code::OutcomeUnknown => Some(self),
            Err(_) => Some(Self::new(self.draft)),
        }
    }

    async fn send(&self, backend: &Backend) -> Result<Message, Error> {
        match self.retried {
            Some(id) => backend.retry(id, false).await,
            None => backend.send(&self.draft, Some(&self.key)).await.map(|sent| sent.message),
        }
    }
}

/// A text and what became of it.
pub(super) type SentText = (Outgoing, Result<Message, Error>);

/// Starts sending what is put into the channel. The other one ends when that has ended and everything is
/// sent.
pub(super) fn start(backend: Backend) -> (UnboundedSender<Outgoing>, UnboundedReceiver<SentText>) {
    let (sender, mut outgoing) = unbounded_channel::<Outgoing>();
    let (ended, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(next) = outgoing.recv().await {
            let result = next.send(&backend).await;
            // If nobody listens any more, the outcome is in the database.
            let _ = ended.send((next, result));
        }
    });
    (sender, receiver)
}
