//! What the sandbox remembers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::message::Message;
use super::recent::Recent;
use super::webhook::Courier;
use super::{Options, Pace};
use crate::config::Secret;
use crate::domain::Timestamp;

/// One request that the sandbox was asked, whatever it answered.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The body as it came. As JSON it is a text; what is not UTF-8 becomes U+FFFD.
    #[serde(serialize_with = "lossy")]
    pub body: Bytes,
    /// When it was complete.
    pub at: Timestamp,
}

fn lossy<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// The hash of a body, which binds an idempotency key to it.
pub(super) type Hash = [u8; 32];

/// A success under an idempotency key.
#[derive(Clone)]
pub(super) struct Remembered {
    pub(super) request: Hash,
    pub(super) answer: Bytes,
    pub(super) contact: String,
}

/// Everything that changes, behind one lock that is never held over an await.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) messages: Recent<Uuid, Message>,
    pub(super) keys: Recent<String, Remembered>,
    /// First requests to numbers that fail once.
    pub(super) failed_once: Recent<Hash, ()>,
    /// Contacts that said STOP.
    pub(super) stopped: Recent<String, ()>,
    requests: Recent<u64, Recorded>,
    asked: u64,
}

/// The sandbox itself, shared by its connections and its tasks.
pub(super) struct State {
    pub(super) webhook_url: Option<String>,
    pub(super) api_key: Option<Secret>,
    pub(super) pace: Pace,
    /// Where contacts' pictures are fetched from.
    pub(super) picture_url: String,
    pub(super) courier: Courier,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
    memory: Mutex<Memory>,
}

impl State {
    pub(super) fn new(
        options: Options,
        origin: &str,
        shutdown: CancellationToken,
    ) -> std::io::Result<Self> {
        Ok(Self {
            courier: Courier::new(options.signing_key, options.pace.retry)?,
            webhook_url: options.webhook_url,
            api_key: options.api_key,
            pace: options.pace,
            picture_url: format!("{origin}/sandbox/picture.png"),
            tasks: TaskTracker::new(),
            shutdown,
            memory: Mutex::default(),
        })
    }

    /// The memory. A panic elsewhere cannot leave it half changed in a way that matters here.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a message and returns it as it is now; `None` when it is forgotten.
    pub(super) fn update(&self, id: Uuid, change: impl FnOnce(&mut Message)) -> Option<Message> {
        let mut memory = self.memory();
        let message = memory.messages.get_mut(&id)?;
        change(message);
        Some(message.clone())
    }

    /// Runs a task until it ends or the sandbox does.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        });
    }
}

impl Memory {
    pub(super) fn record(&mut self, request: Recorded) {
        let weight = size_of::<Recorded>() + request.body.len();
        self.asked += 1;
        self.requests.insert(self.asked, request, weight);
    }

    /// The newest requests, oldest first.
    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.requests.values().cloned().collect()
    }

    pub(super) fn keep(&mut self, message: Message) {
        let weight = message.weight();
        self.messages.insert(message.id, message, weight);
    }
}
