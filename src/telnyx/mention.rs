//! Whether a webhook is about a contact.

use std::collections::BTreeSet;

use serde_json_borrow::Value;

use crate::domain::text::repair_json;

/// Members whose values people write.
const WRITTEN: [&str; 3] = ["text", "subject", "body"];

/// Whether a number or another address stands as a value anywhere in the JSON of a webhook, except in what
/// people write: somebody else may mention the number.
#[must_use]
pub fn is_about(body: &[u8], contact: &str) -> bool {
    let text = repair_json(body);
    // Nearly all webhooks are about others, and looking for the bytes is faster than parsing. A number has
    // no character that JSON must escape but, in other addresses, these.
    let tail: String = contact.chars().rev().take_while(char::is_ascii_alphanumeric).collect();
    let tail: String = tail.chars().rev().collect();
    if !text.contains(tail.as_str()) {
        return false;
    }
    serde_json::from_str::<Value>(&text).is_ok_and(|json| has(&json, contact))
}

/// All values in the JSON of a webhook that may name somebody.
#[must_use]
pub fn parties(body: &[u8]) -> BTreeSet<String> {
    let text = repair_json(body);
    let mut found = BTreeSet::new();
    if let Ok(json) = serde_json::from_str::<Value>(&text) {
        collect(&json, &mut found);
    }
    found
}

fn collect(value: &Value<'_>, found: &mut BTreeSet<String>) {
    match value {
        Value::Str(text) => drop(found.insert(text.to_string())),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !WRITTEN.contains(name))
            .for_each(|(_, value)| collect(value, found)),
        _ => {}
    }
}

fn has(value: &Value<'_>, contact: &str) -> bool {
    match value {
        Value::Str(text) => text == contact,
        Value::Array(values) => values.iter().any(|value| has(value, contact)),
        Value::Object(members) => {
            members.iter().any(|(name, value)| !WRITTEN.contains(&name) && has(value, contact))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_in_a_text_is_not_what_a_webhook_is_about() {
        let to = br#"{"data":{"payload":{"to":[{"phone_number":"+12125551234"}],"text":"Hi"}}}"#;
        let said =
            br#"{"data":{"payload":{"from":{"phone_number":"+1312"},"text":"+12125551234"}}}"#;
        assert!(is_about(to, "+12125551234"));
        assert!(!is_about(to, "+1212555123"));
        assert!(!is_about(said, "+12125551234"));
        assert!(!is_about(b"no JSON +12125551234", "+12125551234"));
    }
}
