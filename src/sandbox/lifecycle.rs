//! What happens to an accepted message: it is sent, finalized and answered, with a webhook for each.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::api_error::ErrorObject;
use super::contact::{Behaviour, Keyword};
use super::message::SandboxMessage;
use super::request::MessageRequest;
use super::state::{Block, SandboxState};
use super::webhook::WebhookEvent;
use crate::clock;

/// Processes a message until its final status and the contact's reply. It ends early when the
/// message has been dropped from memory, because many newer ones have followed.
pub(super) async fn run(state: Arc<SandboxState>, id: Uuid, request: MessageRequest) {
    let behaviour = Behaviour::for_number(&request.to);
    if behaviour == Behaviour::Vanished {
        return;
    }
    let lifecycle = Lifecycle { urls: webhook_urls(&state, &request), state, id, behaviour };
    tokio::time::sleep(lifecycle.time_in_queue(&request)).await;
    if lifecycle.is_cancelled() {
        return;
    }
    let Some(message) = lifecycle.deliver().await else { return };
    if behaviour.replies() && is_reachable(&message) {
        let state = &lifecycle.state;
        tokio::time::sleep(state.pace.to_reply).await;
        let reply = message.reply(&state.picture_url, state.webhook_url().as_deref());
        receive(state, reply, lifecycle.copies()).await;
    }
}

/// Receives a message from a contact: stores it, applies its keyword and posts its webhook.
pub(super) async fn receive(state: &SandboxState, message: SandboxMessage, copies: usize) {
    let contact = message.from.phone_number.clone();
    {
        let mut memory = state.memory();
        match Keyword::from_text(&message.text) {
            Some(Keyword::Stop) => {
                let weight = contact.len();
                let own = message.to.first().map(|to| to.phone_number.clone());
                let block = Block {
                    contact: contact.clone(),
                    own: own.unwrap_or_default(),
                    profile: message.messaging_profile_id.clone(),
                    keyword: message.text.trim().to_ascii_uppercase(),
                    created_at: message.received_at,
                };
                memory.blocked.insert(contact, block, weight);
            }
            Some(Keyword::Start) => memory.blocked.remove(&contact),
            Some(Keyword::Help) | None => {}
        }
        memory.store(message.clone());
    }
    let urls: Vec<_> = state.webhook_url().into_iter().collect();
    post(state, &WebhookEvent::new("message.received", message), &urls, copies).await;
}

/// Posts an event, possibly several times concurrently.
async fn post(state: &SandboxState, event: &WebhookEvent, urls: &[String], copies: usize) {
    let deliveries = (0..copies).map(|_| state.webhooks.deliver(event, urls));
    for record in futures_util::future::join_all(deliveries).await.into_iter().flatten() {
        state.memory().add_delivery(record);
    }
}

/// The URLs for reports about a message: its own ones first, then the profile's.
fn webhook_urls(state: &SandboxState, request: &MessageRequest) -> Vec<String> {
    let own = [&request.webhook_url, &request.webhook_failover_url];
    let profile = state.webhook_url().filter(|_| request.use_profile_webhooks);
    own.into_iter().flatten().cloned().chain(profile).collect()
}

/// An alphanumeric sender cannot receive replies.
fn is_reachable(message: &SandboxMessage) -> bool {
    !message.from.phone_number.contains(|c: char| c.is_ascii_alphabetic())
}

struct Lifecycle {
    state: Arc<SandboxState>,
    id: Uuid,
    behaviour: Behaviour,
    urls: Vec<String>,
}

impl Lifecycle {
    fn time_in_queue(&self, request: &MessageRequest) -> Duration {
        let pace = &self.state.pace;
        let scheduled = request.send_at.map_or(Duration::ZERO, |at| {
            let ahead = at.signed_duration_since(clock::now().to_utc());
            let ahead = ahead.to_std().unwrap_or_default();
            pace.longest_schedule.map_or(ahead, |longest| ahead.min(longest))
        });
        let slow = if self.behaviour == Behaviour::Slow { pace.slow * 2 } else { Duration::ZERO };
        scheduled + slow + pace.to_sent
    }

    fn is_cancelled(&self) -> bool {
        self.state.memory().messages.get(&self.id).is_some_and(SandboxMessage::is_cancelled)
    }

    /// How often each webhook is posted.
    fn copies(&self) -> usize {
        if self.behaviour == Behaviour::Doubled { 2 } else { 1 }
    }

    /// Sends and finalizes the message. Returns it with its final status, or `None` when it has been
    /// dropped.
    async fn deliver(&self) -> Option<SandboxMessage> {
        if self.behaviour == Behaviour::SendingFailed {
            return self.finalize().await;
        }
        let message = self.state.update(self.id, SandboxMessage::mark_sent)?;
        let sent = WebhookEvent::new("message.sent", message);
        if self.behaviour == Behaviour::Doubled {
            // In the wrong order.
            let message = self.finalize().await;
            self.report(&sent).await;
            return message;
        }
        self.report(&sent).await;
        self.finalize().await
    }

    async fn finalize(&self) -> Option<SandboxMessage> {
        tokio::time::sleep(self.state.pace.to_final).await;
        let (status, error) = final_status(self.behaviour);
        let message = self.state.update(self.id, |message| message.finalize(status, error))?;
        self.report(&WebhookEvent::new("message.finalized", message.clone())).await;
        Some(message)
    }

    async fn report(&self, event: &WebhookEvent) {
        post(&self.state, event, &self.urls, self.copies()).await;
    }
}

/// The final status, and the error that explains it.
pub(super) fn final_status(behaviour: Behaviour) -> (&'static str, Option<ErrorObject>) {
    match behaviour {
        Behaviour::Undeliverable => {
            let detail = "The recipient carrier did not accept the message.";
            ("delivery_failed", Some(ErrorObject::new("40008", "Undeliverable", detail)))
        }
        Behaviour::SendingFailed => {
            let detail = "The message was not sent because its validity period expired.";
            ("sending_failed", Some(ErrorObject::new("40014", "Message expired in queue", detail)))
        }
        Behaviour::Unconfirmed => ("delivery_unconfirmed", None),
        _ => ("delivered", None),
    }
}
