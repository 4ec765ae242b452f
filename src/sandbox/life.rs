//! What becomes of an accepted message: sent, finalized, answered, each told by webhook.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::contact::{Behaviour, Keyword};
use super::message::Message;
use super::refusal::ErrorObject;
use super::request::SendRequest;
use super::state::State;
use super::webhook::Event;
use crate::clock;

/// Runs a message to its end.
pub(super) async fn live(state: Arc<State>, id: Uuid, request: SendRequest) {
    let behaviour = Behaviour::of(&request.to);
    if behaviour == Behaviour::Vanished {
        return;
    }
    let life = Life { urls: urls(&state, &request), state, id, behaviour };
    tokio::time::sleep(life.hold(&request)).await;
    // Each step ends the life when the message is forgotten, because so many came after it.
    let Some(sent) = life.run().await else { return };
    if behaviour.replies() && is_reachable(&sent) {
        tokio::time::sleep(life.state.pace.to_reply).await;
        let profile = life.state.webhook_url.as_deref();
        let copies = if behaviour == Behaviour::Doubled { 2 } else { 1 };
        write(&life.state, sent.answered(&life.state.picture_url, profile), copies).await;
    }
}

/// Lets a contact write: keeps the message, obeys its keyword and tells it by webhook.
pub(super) async fn write(state: &State, message: Message, copies: usize) {
    let contact = message.from.phone_number.clone();
    {
        let mut memory = state.memory();
        match Keyword::of(&message.text) {
            Some(Keyword::Stop) => {
                let weight = contact.len();
                memory.stopped.insert(contact, (), weight);
            }
            Some(Keyword::Start) => memory.stopped.remove(&contact),
            _ => {}
        }
        memory.keep(message.clone());
    }
    let urls: Vec<_> = state.webhook_url.iter().cloned().collect();
    tell(state, &Event::new("message.received", message), &urls, copies).await;
}

/// Delivers an event, perhaps several times at once.
async fn tell(state: &State, event: &Event, urls: &[String], copies: usize) {
    let deliveries = (0..copies).map(|_| state.courier.deliver(event, urls));
    futures_util::future::join_all(deliveries).await;
}

/// Where reports about a message go: its own URLs first, then the profile's.
fn urls(state: &State, request: &SendRequest) -> Vec<String> {
    let own = [&request.webhook_url, &request.webhook_failover_url];
    let profile = state.webhook_url.iter().filter(|_| request.use_profile_webhooks);
    own.into_iter().flatten().chain(profile).cloned().collect()
}

/// Nobody can answer an alphanumeric sender.
fn is_reachable(message: &Message) -> bool {
    !message.from.phone_number.contains(|c: char| c.is_ascii_alphabetic())
}

struct Life {
    state: Arc<State>,
    id: Uuid,
    behaviour: Behaviour,
    urls: Vec<String>,
}

impl Life {
    /// How long the message stays in the queue.
    fn hold(&self, request: &SendRequest) -> Duration {
        let pace = &self.state.pace;
        let scheduled = request.send_at.map_or(Duration::ZERO, |at| {
            let ahead =
                at.signed_duration_since(clock::now().to_utc()).to_std().unwrap_or_default();
            pace.longest_schedule.map_or(ahead, |longest| ahead.min(longest))
        });
        let slow = if self.behaviour == Behaviour::Slow { pace.slow * 2 } else { Duration::ZERO };
        scheduled + slow + pace.to_sent
    }

    async fn run(&self) -> Option<Message> {
        if self.behaviour == Behaviour::SendingFailed {
            return self.finish().await;
        }
        let sent = Event::new("message.sent", self.state.update(self.id, Message::send)?);
        if self.behaviour == Behaviour::Doubled {
            let finished = self.finish().await;
            tell(&self.state, &sent, &self.urls, 2).await;
            return finished;
        }
        tell(&self.state, &sent, &self.urls, 1).await;
        self.finish().await
    }

    async fn finish(&self) -> Option<Message> {
        tokio::time::sleep(self.state.pace.to_final).await;
        let (status, error) = ending(self.behaviour);
        let message = self.state.update(self.id, |message| message.finish(status, error))?;
        let copies = if self.behaviour == Behaviour::Doubled { 2 } else { 1 };
        tell(&self.state, &Event::new("message.finalized", message.clone()), &self.urls, copies)
            .await;
        Some(message)
    }
}

/// The final status and its reason.
fn ending(behaviour: Behaviour) -> (&'static str, Option<ErrorObject>) {
    match behaviour {
        Behaviour::Undeliverable => {
            let why = "The recipient carrier did not accept the message.";
            ("delivery_failed", Some(ErrorObject::new("40008", "Undeliverable", why)))
        }
        Behaviour::SendingFailed => {
            let why = "The message was not sent because its validity period expired.";
            ("sending_failed", Some(ErrorObject::new("40014", "Message expired in queue", why)))
        }
        Behaviour::Unconfirmed => ("delivery_unconfirmed", None),
        _ => ("delivered", None),
    }
}
