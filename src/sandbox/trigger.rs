//! Events made by hand: complete ones, as Telnyx would post them, with new ids.

use uuid::Uuid;

use super::contact::{Behaviour, OWN_NUMBER};
use super::lifecycle::final_status;
use super::message::{AcceptedDraft, InboundDraft, SandboxMessage};
use super::webhook::WebhookEvent;
use crate::domain::Message;

/// A text from a contact.
#[derive(Clone, Debug)]
pub struct ReceivedDraft<'a> {
    /// The contact.
    pub from: &'a str,
    /// The number of ours that it came to; the sandbox's own by default.
    pub to: Option<&'a str>,
    /// The text, which may be empty if there are files.
    pub text: &'a str,
    /// The URLs of attached files.
    pub media_urls: Vec<String>,
}

/// What a report says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggeredStatus {
    /// It was handed to the carrier.
    Sent,
    /// It has arrived.
    Delivered,
    /// The carrier refused it.
    Failed,
}

/// The body of an event about a text from a contact, as it is posted to a URL.
#[must_use]
pub fn received(draft: ReceivedDraft<'_>, url: &str) -> Vec<u8> {
    let ReceivedDraft { from, to, text, media_urls } = draft;
    let to = to.unwrap_or(OWN_NUMBER);
    let inbound = InboundDraft { from, to, text: text.to_owned(), picture_url: None };
    let message = SandboxMessage::inbound(inbound, Some(url)).with_media(media_urls);
    WebhookEvent::new("message.received", message).body(url)
}

/// The body of an event with a report on an outbound message, as it is posted to a URL. A message that
/// Telnyx has not accepted yet gets an id of Telnyx's; its tag tells which message it is.
#[must_use]
pub fn reported(message: &Message, status: TriggeredStatus, url: &str) -> Vec<u8> {
    let id = message.telnyx_message_id.as_deref().and_then(|id| Uuid::try_parse(id).ok());
    let others = message.cc.iter().map(String::as_str);
    let mut accepted = SandboxMessage::accepted(AcceptedDraft {
        id: id.unwrap_or_else(Uuid::new_v4),
        from: message.from.as_str(),
        to: std::iter::once(message.to.as_str()).chain(others).collect(),
        text: &message.body,
        subject: message.subject.clone(),
        media_urls: message.media.iter().map(|media| media.url.clone()).collect(),
        tags: vec![format!("convo:{}", message.id)],
    });
    accepted.mark_sent();
    let behaviour = match status {
        TriggeredStatus::Sent => return WebhookEvent::new("message.sent", accepted).body(url),
        TriggeredStatus::Delivered => Behaviour::Friendly,
        TriggeredStatus::Failed => Behaviour::Undeliverable,
    };
    let (word, error) = final_status(behaviour);
    accepted.finalize(word, error);
    WebhookEvent::new("message.finalized", accepted).body(url)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::domain::Status;
    use crate::output::samples::outbound;

    const URL: &str = "http://127.0.0.1:5000/webhooks/sms";

    /// The names of all fields, in all depths, of objects that are not in lists.
    fn fields(value: &Value, path: &str, all: &mut BTreeSet<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            fields(value, &path, all);
            all.insert(path);
        }
    }

    fn missing(made: &[u8], example: &str) -> Vec<String> {
        let root = env!("CARGO_MANIFEST_DIR");
        let example = std::fs::read(format!("{root}/tests/telnyx/events/{example}.json"));
        let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
        let example = serde_json::from_slice(&example.expect("an event")).expect("JSON");
        fields(&example, "", &mut wanted);
        fields(&serde_json::from_slice(made).expect("JSON"), "", &mut found);
        let of_our_account = |path: &&String| !path.starts_with("/data/payload/cost");
        wanted.difference(&found).filter(of_our_account).cloned().collect()
    }

    #[test]
    fn events_are_as_complete_as_those_of_telnyx() {
        let media_urls = vec!["https://example.com/a.png".to_owned()];
        let draft = ReceivedDraft { from: "+12125551234", to: None, text: "Hi", media_urls };
        assert_eq!(missing(&received(draft, URL), "inbound_mms"), Vec::<String>::new());
        let message = outbound("Hi", Status::Queued);
        for (status, example) in [
            (TriggeredStatus::Sent, "message_sent"),
            (TriggeredStatus::Delivered, "finalized_delivered"),
            (TriggeredStatus::Failed, "finalized_failed"),
        ] {
            let made = reported(&message, status, URL);
            assert_eq!(missing(&made, example), Vec::<String>::new(), "{status:?}");
        }
    }
}
