//! The body of `POST /v2/messages`, validated as Telnyx does.

use chrono::{DateTime, TimeDelta, Utc};

use super::api_error::{
    ApiError, BAD_REQUEST, INVALID_ENUM, INVALID_SENDER, INVALID_TO, MISSING_PARAMETER, NO_CONTENT,
    NOT_E164, TOO_LONG, TOO_MUCH_MEDIA, UNPROCESSABLE, WRONG_CONTENT,
};
use super::fields::{Fields, check_url, wrong_type};
use crate::domain::segments::MAX_SEGMENTS;
use crate::domain::{Encoding, PhoneNumber, Segments};

/// Maximum number of files in an MMS.
const MAX_MEDIA: usize = 10;
/// Maximum size of the text of an MMS in bytes: its whole content is limited to 1 MB.
const MAX_MMS_TEXT: usize = 1_000_000;
/// UTF-16 code units in a single segment, and in each of several.
const UCS2_SINGLE: usize = 70;
const UCS2_MULTI: usize = 67;

#[derive(Clone, Debug)]
pub(super) struct MessageRequest {
    pub(super) to: String,
    /// `None` if Telnyx is to choose one from the profile's pool.
    pub(super) from: Option<String>,
    pub(super) text: String,
    pub(super) subject: Option<String>,
    pub(super) media_urls: Vec<String>,
    pub(super) messaging_profile_id: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) encoding: Encoding,
    pub(super) parts: u32,
    pub(super) send_at: Option<DateTime<Utc>>,
    pub(super) webhook_url: Option<String>,
    pub(super) webhook_failover_url: Option<String>,
    pub(super) use_profile_webhooks: bool,
    /// `type` is MMS, or there are media files.
    pub(super) is_mms: bool,
}

impl MessageRequest {
    pub(super) fn parse(body: &[u8], now: DateTime<Utc>) -> Result<Self, ApiError> {
        let fields = Fields::parse(body)?;
        let messaging_profile_id = fields.text("messaging_profile_id")?;
        let to = recipient(&fields)?;
        let from = sender(&fields, messaging_profile_id.is_some())?;
        let text = fields.text("text")?.unwrap_or_default();
        let media_urls = media(&fields)?;
        if text.is_empty() && media_urls.is_empty() {
            let detail = "Either 'text' or 'media_urls' must be given.";
            return Err(ApiError::new(NO_CONTENT, detail).at("/text"));
        }
        let is_mms = is_mms(&fields, !media_urls.is_empty())?;
        let (encoding, parts) = size(&fields, &text, is_mms)?;
        Ok(Self {
            to,
            from,
            subject: fields.text("subject")?,
            messaging_profile_id,
            tags: fields.texts("tags")?,
            encoding,
            parts,
            send_at: schedule(&fields, now)?,
            webhook_url: fields.url("webhook_url")?,
            webhook_failover_url: fields.url("webhook_failover_url")?,
            use_profile_webhooks: fields.flag("use_profile_webhooks")?.unwrap_or(true),
            is_mms,
            text,
            media_urls,
        })
    }
}

/// Whether an address is exactly a `+E.164` number or a short code. Unlike convo, Telnyx does not
/// normalize numbers.
fn is_number(address: &str) -> bool {
    PhoneNumber::parse(address).is_ok_and(|number| number.as_str() == address)
}

fn recipient(fields: &Fields) -> Result<String, ApiError> {
    let Some(to) = fields.text("to")? else {
        return Err(ApiError::new(MISSING_PARAMETER, "The 'to' parameter is required.").at("/to"));
    };
    if is_number(&to) {
        return Ok(to);
    }
    let detail = "The 'to' address must be a phone number in +E.164 format or a short code.";
    Err(ApiError::new(INVALID_TO, detail).at("/to"))
}

fn sender(fields: &Fields, has_profile: bool) -> Result<Option<String>, ApiError> {
    let Some(from) = fields.text("from")? else {
        if has_profile {
            return Ok(None);
        }
        let detail = "Either 'from' or 'messaging_profile_id' must be given.";
        return Err(ApiError::new(MISSING_PARAMETER, detail).at("/from"));
    };
    if is_number(&from) {
        return Ok(Some(from));
    }
    if !from.chars().any(|c| c.is_ascii_alphabetic()) {
        let detail = "The 'from' address must be in +E.164 format, a short code or alphanumeric.";
        return Err(ApiError::new(NOT_E164, detail).at("/from"));
    }
    if !PhoneNumber::parse_sender(&from).is_ok_and(|sender| sender.as_str() == from) {
        let detail = "An alphanumeric sender has 1 to 11 letters, digits and spaces.";
        return Err(ApiError::new(INVALID_SENDER, detail).at("/from"));
    }
    if !has_profile {
        let detail = "An alphanumeric sender needs a 'messaging_profile_id'.";
        return Err(ApiError::new(MISSING_PARAMETER, detail).at("/messaging_profile_id"));
    }
    Ok(Some(from))
}

fn media(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let urls = fields.texts("media_urls")?;
    if urls.len() > MAX_MEDIA {
        let detail = format!("A message carries at most {MAX_MEDIA} media files.");
        return Err(ApiError::new(TOO_MUCH_MEDIA, detail).at("/media_urls"));
    }
    let check = |(at, url)| check_url(url, format!("/media_urls/{at}"));
    urls.into_iter().enumerate().map(check).collect()
}

fn is_mms(fields: &Fields, has_media: bool) -> Result<bool, ApiError> {
    match fields.text("type")?.as_deref() {
        None => Ok(has_media),
        Some("MMS") => Ok(true),
        Some("SMS") if !has_media => Ok(false),
        Some("SMS") => {
            let detail = "A message of type SMS cannot carry 'media_urls'.";
            Err(ApiError::new(WRONG_CONTENT, detail).at("/type"))
        }
        Some(_) => Err(ApiError::new(INVALID_ENUM, "'type' must be SMS or MMS.").at("/type")),
    }
}

/// The encoding and the number of parts.
fn size(fields: &Fields, text: &str, is_mms: bool) -> Result<(Encoding, u32), ApiError> {
    let automatic = Segments::for_text(text);
    let (encoding, parts) = match fields.text("encoding")?.as_deref() {
        None | Some("auto") => (automatic.encoding, automatic.segments),
        Some("gsm7") if automatic.encoding == Encoding::Gsm7 => {
            (Encoding::Gsm7, automatic.segments)
        }
        Some("gsm7") => {
            let detail = "The text has characters that GSM-7 cannot encode.";
            return Err(ApiError::new(BAD_REQUEST, detail).at("/text"));
        }
        Some("ucs2") => (Encoding::Ucs2, ucs2_parts(text)),
        Some(_) => {
            let detail = "'encoding' must be auto, gsm7 or ucs2.";
            return Err(ApiError::new(INVALID_ENUM, detail).at("/encoding"));
        }
    };
    if is_mms {
        return mms_size(encoding, text);
    }
    if parts > MAX_SEGMENTS {
        let detail = format!("The message has {parts} parts; at most {MAX_SEGMENTS} are allowed.");
        return Err(ApiError::new(TOO_LONG, detail).at("/text"));
    }
    Ok((encoding, parts))
}

/// An MMS is a single part, whatever the length of its text.
fn mms_size(encoding: Encoding, text: &str) -> Result<(Encoding, u32), ApiError> {
    if text.len() > MAX_MMS_TEXT {
        let detail = "The content of an MMS must stay under 1 MB.";
        return Err(ApiError::new(TOO_MUCH_MEDIA, detail).at("/text"));
    }
    Ok((encoding, 1))
}

fn ucs2_parts(text: &str) -> u32 {
    let units = text.encode_utf16().count();
    let parts = if units <= UCS2_SINGLE { 1 } else { units.div_ceil(UCS2_MULTI) };
    u32::try_from(parts).unwrap_or(u32::MAX)
}

/// From 5 minutes to 5 days ahead, with a tolerance of a minute.
fn schedule(fields: &Fields, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(text) = fields.text("send_at")? else { return Ok(None) };
    let Ok(at) = DateTime::parse_from_rfc3339(&text) else {
        return Err(wrong_type("send_at", "an ISO 8601 date and time"));
    };
    let at = at.to_utc();
    let ahead = at.signed_duration_since(now);
    if (TimeDelta::minutes(4)..=TimeDelta::days(5) + TimeDelta::minutes(1)).contains(&ahead) {
        return Ok(Some(at));
    }
    let detail = "'send_at' must be from 5 minutes to 5 days in the future.";
    Err(ApiError::new(UNPROCESSABLE, detail).at("/send_at"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn parse(body: &Value) -> Result<MessageRequest, &'static str> {
        MessageRequest::parse(body.to_string().as_bytes(), NOW).map_err(|error| error.code())
    }

    fn with(name: &str, value: Value) -> Result<MessageRequest, &'static str> {
        let mut body = json!({"from": "+12025550100", "to": "+12125551234", "text": "Hello"});
        body[name] = value;
        parse(&body)
    }

    #[test]
    fn invalid_requests_have_telnyxs_error_codes() {
        for (name, value, code) in [
            ("to", Value::Null, "10004"),
            ("to", json!("+1 212 555 1234"), "40310"),
            ("to", json!("2125551234"), "40310"),
            ("to", json!(["+12125551234"]), "10015"),
            ("from", Value::Null, "10004"),
            ("from", json!("2025550100"), "10016"),
            ("from", json!("ACME"), "10004"),
            ("from", json!("ACME Incorporated"), "40325"),
            ("text", json!(""), "40316"),
            ("text", json!(7), "10015"),
            ("text", json!("a".repeat(1_531)), "40302"),
            ("text", json!("\u{44f}".repeat(671)), "40302"),
            ("media_urls", json!(vec!["https://example.com/a.png"; 11]), "40317"),
            ("media_urls", json!(["ftp://example.com/a.png"]), "10003"),
            ("media_urls", json!("https://example.com/a.png"), "10015"),
            ("type", json!("RCS"), "10032"),
            ("encoding", json!("latin1"), "10032"),
            ("send_at", json!("tomorrow"), "10015"),
            ("send_at", json!("1970-01-01T00:03:00Z"), "10027"),
            ("send_at", json!("1970-01-07T00:00:00Z"), "10027"),
            ("tags", json!([1]), "10015"),
            ("use_profile_webhooks", json!("yes"), "10015"),
            ("webhook_url", json!("nowhere"), "10003"),
            ("webhook_url", json!(format!("https://example.com/{}", "a".repeat(2_000))), "10003"),
        ] {
            let error = with(name, value.clone()).expect_err(name);
            assert_eq!(error, code, "{name}: {value}");
        }
        let mixed = json!({"from": "+12025550100", "to": "72975", "type": "SMS",
            "media_urls": ["https://example.com/a.png"]});
        assert_eq!(parse(&mixed).err(), Some("40304"));
        let cyrillic = json!({"from": "+12025550100", "to": "72975", "text": "\u{44f}",
            "encoding": "gsm7"});
        assert_eq!(parse(&cyrillic).err(), Some("10015"));
        assert_eq!(parse(&json!([])).err(), Some("10015"));
        let cut = MessageRequest::parse(b"{\"to\":", NOW).map_err(|error| error.code());
        assert_eq!(cut.err(), Some("10023"));
    }

    #[test]
    fn valid_requests_are_accepted() {
        let plain = with("text", json!("a".repeat(161))).expect("two parts");
        assert_eq!((plain.encoding, plain.parts, plain.is_mms), (Encoding::Gsm7, 2, false));
        let forced = with("encoding", json!("ucs2")).expect("UCS-2");
        assert_eq!((forced.encoding, forced.parts), (Encoding::Ucs2, 1));
        let mms = with("media_urls", json!(["https://example.com/a.png"])).expect("an MMS");
        assert_eq!((mms.is_mms, mms.parts), (true, 1));
        let at = with("send_at", json!("1970-01-01T01:05:00+01:00")).expect("in five minutes");
        assert_eq!(at.send_at.map(|at| at.timestamp()), Some(300));
        let pool = json!({"to": "72975", "messaging_profile_id": "p", "text": "Hello"});
        assert!(parse(&pool).is_ok_and(|request| request.from.is_none()));
        let named =
            json!({"to": "72975", "from": "ACME", "messaging_profile_id": "p", "text": "x"});
        assert!(parse(&named).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = MessageRequest::parse(&body, NOW);
        }
    }
}
