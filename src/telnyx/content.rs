//! The text and files of a message, wherever its channel puts them: SMS and MMS in `text` and
//! `media`, RCS and WhatsApp in `body`.
//!
//! The fields are those of Telnyx's schema and SDK (`messaging_inbound_message_payload`), and of
//! Meta's message types, which Telnyx passes on.

use serde_json_borrow::Value;

use super::lenient_json::{items, scalar, text};
use crate::domain::Media;

/// How deeply bodies may be nested: an edit contains the new message.
const DEEPEST: usize = 3;
/// Fields that hold text, in objects of an unknown type.
const WORDS: [&str; 6] = ["text", "body", "caption", "title", "emoji", "name"];
/// Fields that hold the URL of a file.
const LINKS: [&str; 4] = ["link", "url", "file_uri", "uri"];

/// The text of a message; empty when it has none.
pub(super) fn message_text(payload: &Value) -> String {
    text(payload, "text").or_else(|| body_text(payload.get("body"), 0)).unwrap_or_default()
}

/// The files of a message.
pub(super) fn message_media(payload: &Value) -> Vec<Media> {
    let listed: Vec<_> = items(payload, "media").iter().filter_map(file).collect();
    if listed.is_empty() { body_media(payload.get("body"), 0) } else { listed }
}

fn body_text(body: &Value, depth: usize) -> Option<String> {
    if let Some(words) = body.as_str() {
        return Some(words).filter(|words| !words.is_empty()).map(|_| text_of(body));
    }
    let of = |field: &str| words(body.get(field));
    of("text")
        .or_else(|| of("suggestion_response"))
        .or_else(|| text(body.get("suggestion_response"), "postback_data"))
        .or_else(|| place(body.get("location")))
        .or_else(|| edited(body).and_then(|edited| body_text(edited, depth + 1)))
        .or_else(|| {
            let kind = text(body, "type")?;
            let content = body.get(kind.as_str());
            match kind.as_str() {
                "contacts" => contacts(content),
                "interactive" => choice(content),
                "revoke" => None,
                _ => words(content).or_else(|| unreadable(&kind, body)),
            }
        })
        .filter(|_| depth < DEEPEST)
}

fn body_media(body: &Value, depth: usize) -> Vec<Media> {
    let uploaded = file(body.get("user_file").get("payload"));
    let of_kind = || file(body.get(text(body, "type")?.as_str()));
    match (uploaded.or_else(of_kind), edited(body)) {
        (Some(found), _) => vec![found],
        (None, Some(edited)) if depth < DEEPEST => body_media(edited, depth + 1),
        _ => Vec::new(),
    }
}

fn edited<'a>(body: &'a Value<'a>) -> Option<&'a Value<'a>> {
    Some(body.get("edit").get("message")).filter(|message| message.is_object())
}

fn text_of(value: &Value) -> String {
    crate::domain::text::storable(value.as_str().unwrap_or_default()).into_owned()
}

/// The text of a value: the value itself, or its first field that holds text.
fn words(value: &Value) -> Option<String> {
    if value.as_str().is_some_and(|words| !words.is_empty()) {
        return Some(text_of(value));
    }
    WORDS.iter().find_map(|field| text(value, field)).or_else(|| text(value, "filename"))
}

/// A place as its name and address, if any, and a `geo:` URI (RFC 5870).
fn place(location: &Value) -> Option<String> {
    let (latitude, longitude) = (scalar(location, "latitude")?, scalar(location, "longitude")?);
    let named = ["name", "address"].iter().filter_map(|field| text(location, field));
    let parts: Vec<_> = named.chain([format!("geo:{latitude},{longitude}")]).collect();
    Some(parts.join(", "))
}

/// A pressed button or a chosen row.
fn choice(interactive: &Value) -> Option<String> {
    let reply = ["button_reply", "list_reply", "nfm_reply"]
        .iter()
        .map(|field| interactive.get(*field))
        .find(|reply| reply.is_object())?;
    words(reply).or_else(|| text(reply, "id")).or_else(|| text(reply, "response_json"))
}

/// Shared contacts, one a line: the name and the phone numbers.
fn contacts(list: &Value) -> Option<String> {
    let one = |contact: &Value| {
        let name =
            text(contact.get("name"), "formatted_name").or_else(|| words(contact.get("name")));
        let phones = items(contact, "phones").iter();
        let phones = phones.filter_map(|phone| text(phone, "phone"));
        let parts: Vec<_> = name.into_iter().chain(phones).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    };
    let lines: Vec<_> = list.as_array()?.iter().filter_map(one).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A placeholder for content without text or link, so that the message does not look empty.
fn unreadable(kind: &str, body: &Value) -> Option<String> {
    let is_empty = body.get(kind).is_null() || !body_media(body, 0).is_empty();
    (!is_empty).then(|| format!("[{kind}]"))
}

fn file(item: &Value) -> Option<Media> {
    Some(Media {
        url: LINKS.iter().find_map(|field| text(item, field))?,
        content_type: text(item, "content_type").or_else(|| text(item, "mime_type")),
        sha256: text(item, "sha256").or_else(|| text(item, "hash_sha256")),
        size: ["size", "file_size_bytes", "file_size"]
            .iter()
            .find_map(|field| scalar(item, field)?.parse().ok()),
        state: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> (String, Vec<String>) {
        let value: Value = serde_json::from_str(payload).expect("JSON");
        let media = message_media(&value).into_iter().map(|media| media.url).collect();
        (message_text(&value), media)
    }

    #[test]
    fn every_channel_has_its_words() {
        for (payload, text) in [
            (r#"{"text":"sms"}"#, "sms"),
            (r#"{"text":null,"body":{"text":"rcs"}}"#, "rcs"),
            (r#"{"body":{"type":"text","text":{"body":"whatsapp"}}}"#, "whatsapp"),
            (r#"{"body":{"suggestion_response":{"text":"Yes","postback_data":"y"}}}"#, "Yes"),
            (r#"{"body":{"suggestion_response":{"postback_data":"y"}}}"#, "y"),
            (r#"{"body":{"location":{"latitude":37.5,"longitude":-122.25}}}"#, "geo:37.5,-122.25"),
            (
                r#"{"body":{"type":"location","location":{"latitude":"1","longitude":"2","name":"Home"}}}"#,
                "Home, geo:1,2",
            ),
            (r#"{"body":{"type":"button","button":{"text":"Stop it","payload":"x"}}}"#, "Stop it"),
            (
                r#"{"body":{"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"1","title":"Blue"}}}}"#,
                "Blue",
            ),
            (r#"{"body":{"type":"reaction","reaction":{"message_id":"m","emoji":"👍"}}}"#, "👍"),
            (
                r#"{"body":{"type":"contacts","contacts":[{"name":{"formatted_name":"Ada"},"phones":[{"phone":"+1 212"}]}]}}"#,
                "Ada, +1 212",
            ),
            (
                r#"{"body":{"type":"edit","edit":{"original_message_id":"m","message":{"type":"text","text":{"body":"new"}}}}}"#,
                "new",
            ),
            (r#"{"body":{"type":"image","image":{"id":"123","caption":"look"}}}"#, "look"),
            (r#"{"body":{"type":"sticker","sticker":{"id":"123"}}}"#, "[sticker]"),
            (r#"{"body":{"type":"order","order":{"catalog_id":"1"}}}"#, "[order]"),
            (r#"{"body":{"type":"revoke","revoke":{"original_message_id":"m"}}}"#, ""),
            (r#"{"body":null}"#, ""),
            (r#"{"body":"plain"}"#, "plain"),
        ] {
            assert_eq!(read(payload).0, text, "{payload}");
        }
    }

    #[test]
    fn every_channel_has_its_files() {
        for (payload, url) in [
            (r#"{"media":[{"url":"https://a/1"}]}"#, "https://a/1"),
            (
                r#"{"body":{"user_file":{"payload":{"file_uri":"https://a/2","mime_type":"image/png","file_size_bytes":7}}}}"#,
                "https://a/2",
            ),
            (r#"{"body":{"type":"video","video":{"link":"https://a/3"}}}"#, "https://a/3"),
            (
                r#"{"body":{"type":"edit","edit":{"message":{"type":"image","image":{"link":"https://a/4"}}}}}"#,
                "https://a/4",
            ),
        ] {
            let (text, media) = read(payload);
            assert_eq!((text.as_str(), media), ("", vec![url.to_owned()]), "{payload}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let deep = (0..50).fold(r#"{"text":"x"}"#.to_owned(), |inner, _| {
            format!(r#"{{"type":"edit","edit":{{"message":{inner}}}}}"#)
        });
        assert_eq!(read(&format!(r#"{{"body":{deep}}}"#)).0, "[edit]");
    }
}
