//! What a command is given about an event: its standard input and its environment; and what is said
//! about it on standard error.

use std::io::Write;

use serde::Serialize;

use crate::backend::Backend;
use crate::domain::{FeedEvent, Message, Place, Window};
use crate::error::{Code, Error};
use crate::output::escape;
use crate::stdio;

/// The longest text in the environment: the system takes 128 KiB for a variable.
const MAX_TEXT: usize = 64 * 1024;

/// An event with the last messages of its conversation, as the command reads it.
#[derive(Serialize)]
pub(super) struct CommandInput<'a> {
    #[serde(flatten)]
    event: &'a FeedEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Message>>,
}

/// The JSON object for a command's standard input, with up to `history` messages of the conversation, of
/// which the last one is that of the event.
///
/// # Errors
/// The database or the server cannot be reached.
pub(super) async fn json(
    event: &FeedEvent,
    history: Option<u64>,
    backend: &Backend,
) -> Result<Vec<u8>, Error> {
    let history = match history {
        Some(limit) => Some(last_messages(event, limit, backend).await?),
        None => None,
    };
    let mut json =
        serde_json::to_vec(&CommandInput { event, history }).map_err(|_| Error::internal())?;
    json.push(b'\n');
    Ok(json)
}

async fn last_messages(
    event: &FeedEvent,
    limit: u64,
    backend: &Backend,
) -> Result<Vec<Message>, Error> {
    let Some(conversation) = event.conversation_id else { return Ok(Vec::new()) };
    let before = event.message.as_ref().map(|message| Place::Message(message.id));
    let mut rows = Vec::new();
    let earlier = limit - u64::from(event.message.is_some());
    if earlier > 0 {
        let window = Window::Newest { before, limit: earlier };
        rows = match backend.messages(conversation, window, false).await {
            Ok(page) => page.rows,
            // It was removed meanwhile.
            Err(error) if error.exit_code() == Code::MessageNotFound.exit_code() => Vec::new(),
            Err(error) => return Err(error),
        };
    }
    rows.extend(event.message.clone());
    Ok(rows)
}

/// The variables for a command, each with its value or without one. A value has no NUL, which no variable
/// can have.
pub(super) fn variables(event: &FeedEvent) -> [(&'static str, Option<String>); 6] {
    let message = event.message.as_ref();
    let contact = event.contact_number.as_ref().map(ToString::to_string);
    [
        ("CONVO_EVENT", Some(event.kind.to_string())),
        ("CONVO_CONTACT", contact),
        ("CONVO_NUMBER", message.map(|message| message.own().to_string())),
        ("CONVO_MESSAGE_ID", message.map(|message| message.id.to_string())),
        ("CONVO_TEXT", message.map(|message| cut(&message.body).to_owned())),
        ("CONVO_CONVERSATION_ID", event.conversation_id.map(|id| id.to_string())),
    ]
    .map(|(name, value)| (name, value.map(|value| value.replace('\0', ""))))
}

/// The beginning of a text, as much as a variable may hold.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// Says something on standard error, which may be closed.
pub(super) fn say(line: &str) {
    let _ = writeln!(stdio::stderr(), "convo: {}", escape::line(line));
}

/// Warns on standard error.
pub(super) fn warn(line: &str) {
    let _ = writeln!(stdio::stderr(), "warning: {line}");
}

/// What an event is about, for a line on standard error.
pub(super) fn name(event: &FeedEvent) -> String {
    let contact = event.contact_number.as_ref().map(|contact| format!(" of {contact}"));
    let contact = contact.unwrap_or_default();
    match &event.message {
        Some(message) => format!("message {}{contact}", message.id),
        None => format!("event {}{contact}", event.cursor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("Hi"), "Hi");
        let long = format!("{}é", "x".repeat(MAX_TEXT - 1));
        assert_eq!(cut(&long).len(), MAX_TEXT - 1);
    }
}
