//! convo's conversations in this process, without a server.

use std::path::Path;

use convo::domain::{EventOutcome, Message, PhoneNumber, Window};
use convo::secret::Secret;
use convo::store::{Location, Mode, Purpose, Store};
use convo::telnyx::BaseUrl;
use convo::telnyx::client::TelnyxClient;
use convo::threading::{Conversations, Policy};

use super::{Event, OWN};

async fn store(url: &str, purpose: Purpose) -> Store {
    let location = Location::parse(url, Path::new("/")).expect("a location");
    Store::open(&location, Mode::Real, purpose).await.expect("the database can be opened")
}

/// Conversations that only receive.
pub async fn open(url: &str) -> Conversations {
    Conversations::new(store(url, Purpose::Serve).await, None, Vec::new(), Policy::default())
}

/// Conversations that are only read.
pub async fn open_to_read(url: &str) -> Conversations {
    Conversations::new(store(url, Purpose::Read).await, None, Vec::new(), Policy::default())
}

/// Conversations whose messages go to a fake Telnyx.
pub async fn open_sending(url: &str, base_url: &str, policy: Policy) -> Conversations {
    let base_url = BaseUrl::parse(base_url).expect("a URL");
    let telnyx = TelnyxClient::new(base_url, Secret::new("KEY"), policy.timeout).expect("a client");
    let own = PhoneNumber::parse(OWN).expect("a number");
    Conversations::new(store(url, Purpose::Serve).await, Some(telnyx), vec![own], policy)
}

/// Receives an event, which must be accepted.
pub async fn receive(conversations: &Conversations, event: Event) -> EventOutcome {
    conversations.receive(event.into()).await.expect("the event is accepted")
}

/// Asserts that the counters of every conversation equal its rows, and returns all messages.
pub async fn assert_counted(conversations: &Conversations) -> Vec<Message> {
    let mut all = Vec::new();
    for thread in conversations.conversations(None, 10_000).await.expect("a list") {
        let window = Window::Oldest { after: None, limit: 1_000_000 };
        let messages =
            conversations.messages(thread.id, window, false).await.expect("messages").rows;
        assert_eq!(thread.message_count, messages.len() as u64, "{}", thread.contact_number);
        let latest = messages.iter().map(|message| message.created_at).max();
        assert_eq!(Some(thread.last_message_at), latest, "{}", thread.contact_number);
        assert_eq!(thread.last_message.map(|last| last.id), messages.last().map(|m| m.id));
        all.extend(messages);
    }
    all
}
