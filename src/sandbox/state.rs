//! The sandbox's state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::account::SandboxProfile;
use super::bounded_map::BoundedMap;
use super::delivery::DeliveryRecord;
use super::message::{SandboxMessage, TelnyxTime};
use super::webhook::WebhookSender;
use super::{Options, Pace};
use crate::domain::Timestamp;
use crate::secret::Secret;

/// A request, whatever the response was.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The body. It is serialized as a string, with U+FFFD for what is not UTF-8.
    #[serde(serialize_with = "lossy")]
    pub body: Bytes,
    /// When it had been received completely.
    pub at: Timestamp,
}

fn lossy<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// The SHA-256 of a body, to which an idempotency key is bound.
pub(super) type BodyHash = [u8; 32];

/// The response to a successful request with an idempotency key.
#[derive(Clone)]
pub(super) struct StoredResponse {
    pub(super) request: BodyHash,
    pub(super) response: Bytes,
    pub(super) contact: String,
}

/// A block that a contact has set.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) contact: String,
    /// The number of ours that the contact wrote to.
    pub(super) own: String,
    pub(super) profile: String,
    pub(super) keyword: String,
    pub(super) created_at: TelnyxTime,
}

/// All that changes, behind one lock that is never held across an await.
pub(super) struct Memory {
    pub(super) profile: SandboxProfile,
    pub(super) messages: BoundedMap<Uuid, SandboxMessage>,
    pub(super) keys: BoundedMap<String, StoredResponse>,
    /// Requests that have failed on purpose.
    pub(super) failed_once: BoundedMap<BodyHash, ()>,
    /// Contacts that have said STOP.
    pub(super) blocked: BoundedMap<String, Block>,
    /// What became of every webhook.
    pub(super) deliveries: BoundedMap<Uuid, DeliveryRecord>,
    /// How many of the next requests that read are refused, and the `Retry-After` of the refusals.
    pub(super) refusals: (u32, u32),
    requests: BoundedMap<u64, RecordedRequest>,
    request_count: u64,
}

/// Shared by the connections and tasks of a sandbox.
pub(super) struct SandboxState {
    pub(super) api_key: Option<Secret>,
    pub(super) pace: Pace,
    /// The URL of the picture that contacts send.
    pub(super) picture_url: String,
    pub(super) webhooks: WebhookSender,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
    memory: Mutex<Memory>,
}

impl SandboxState {
    pub(super) fn new(
        options: Options,
        origin: &str,
        shutdown: CancellationToken,
    ) -> std::io::Result<Self> {
        Ok(Self {
            webhooks: WebhookSender::new(options.signing_key, options.pace.retry, options.lose)?,
            api_key: options.api_key,
            pace: options.pace,
            picture_url: format!("{origin}/sandbox/picture.png"),
            tasks: TaskTracker::new(),
            shutdown,
            memory: Mutex::new(Memory::new(SandboxProfile::new(options.webhook_url))),
        })
    }

    /// The webhook URL of the messaging profile.
    pub(super) fn webhook_url(&self) -> Option<String> {
        self.memory().profile.webhook_url.clone()
    }

    /// A poisoned lock is used nevertheless: a panic cannot leave it in an invalid state.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a message and returns it; `None` if it has been dropped.
    pub(super) fn update(
        &self,
        id: Uuid,
        change: impl FnOnce(&mut SandboxMessage),
    ) -> Option<SandboxMessage> {
        let mut memory = self.memory();
        let message = memory.messages.get_mut(&id)?;
        change(message);
        Some(message.clone())
    }

    /// Spawns a task, which is cancelled when the sandbox shuts down.
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
    fn new(profile: SandboxProfile) -> Self {
        Self {
            profile,
            messages: BoundedMap::default(),
            keys: BoundedMap::default(),
            failed_once: BoundedMap::default(),
            blocked: BoundedMap::default(),
            deliveries: BoundedMap::default(),
            refusals: (0, 0),
            requests: BoundedMap::default(),
            request_count: 0,
        }
    }

    pub(super) fn record(&mut self, request: RecordedRequest) {
        let weight = size_of::<RecordedRequest>() + request.body.len();
        self.request_count += 1;
        self.requests.insert(self.request_count, request, weight);
    }

    /// The most recent requests, oldest first.
    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.values().cloned().collect()
    }

    pub(super) fn add_delivery(&mut self, delivery: DeliveryRecord) {
        let weight = delivery.weight();
        self.deliveries.insert(delivery.id, delivery, weight);
    }

    /// Whether a request that reads is to be refused, with its `Retry-After`.
    pub(super) fn refusal(&mut self) -> Option<u32> {
        let (left, retry_after) = &mut self.refusals;
        *left = left.checked_sub(1)?;
        Some(*retry_after)
    }

    /// Makes everything older.
    pub(super) fn age_by(&mut self, by: std::time::Duration) {
        self.messages.values_mut().for_each(|message| message.age_by(by));
        self.deliveries.values_mut().for_each(|delivery| delivery.age_by(by));
        self.blocked.values_mut().for_each(|block| block.created_at.age_by(by));
    }

    pub(super) fn store(&mut self, message: SandboxMessage) {
        let weight = message.weight();
        self.messages.insert(message.id, message, weight);
    }
}
