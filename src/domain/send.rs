//! What a caller asks to be sent, checked before anything is stored or offered.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::segments::{MAX_SEGMENTS, first_outside_gsm7};
use super::{Encoding, PhoneNumber, Segments, Timestamp};
use crate::error::{Code, Error};

/// The most media files one MMS may carry (Telnyx error 40317).
const MAX_MEDIA: usize = 10;
/// The longest URL Telnyx takes (error 10003).
const MAX_URL: usize = 2_000;
/// The longest MMS subject convo takes; carriers cut far earlier.
const MAX_SUBJECT: usize = 255;
/// Telnyx schedules at least 5 minutes and at most 5 days ahead.
const SCHEDULE_SECONDS: std::ops::RangeInclusive<i64> = 5 * 60..=5 * 24 * 3_600;

/// The body of `POST /conversations/{number}/send`, and what `convo send` makes of its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "A message to send: a text, media, or both.")]
pub struct SendRequest {
    /// The text. May be left out when there are media.
    #[serde(default)]
    pub message: Option<String>,
    /// Public addresses of files to send along, which makes it an MMS.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "none_as_empty")]
    pub media_urls: Vec<String>,
    /// The subject of an MMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The sender, if not the one convo would choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When Telnyx is to send it; at once when left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Timestamp::deserialize_with_zone"
    )]
    pub send_at: Option<Timestamp>,
    /// Offer it once although the contact has opted out, and let Telnyx decide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub despite_opt_out: bool,
    /// Offer it to Telnyx only once, whatever happens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_retry: bool,
}

/// A request that has been understood: everything in it may be stored and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The recipient.
    pub to: PhoneNumber,
    /// The sender, if the caller chose one.
    pub from: Option<PhoneNumber>,
    /// The text; empty when there are only media.
    pub text: String,
    /// The size of the text on the air.
    pub size: Segments,
    /// Files to send along.
    pub media_urls: Vec<String>,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// When it is to be sent.
    pub send_at: Option<Timestamp>,
    /// Whether an opt-out is to be left to Telnyx.
    pub despite_opt_out: bool,
    /// Whether an offer is repeated within the call, and later by itself.
    pub retry: bool,
    /// A hash of the request as received, which binds an idempotency key to it.
    pub request_hash: Vec<u8>,
}

/// What a send would do, told without doing it (`?dry_run=true`, `--dry-run`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "What a send would do, told without doing it.")]
pub struct SendPlan {
    /// The sender that would be used.
    pub from: PhoneNumber,
    /// The recipient.
    pub to: PhoneNumber,
    /// The thread it would join; null when it would begin one.
    pub conversation_id: Option<Uuid>,
    /// The alphabet the text needs.
    pub encoding: Encoding,
    /// How many segments it would be.
    pub segments: u32,
    /// How many units of the alphabet it has.
    pub units: u32,
    /// When the contact opted out, if it has: the send would be refused.
    pub opted_out_at: Option<Timestamp>,
}

/// Callers write `null` for what they leave out.
fn none_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl SendRequest {
    /// Understands the request for the recipient as typed. Its time is judged apart, by
    /// [`Draft::check_schedule`].
    ///
    /// # Errors
    /// `invalid_number`, `message_too_long` or `invalid_request`, each with what to do about it.
    pub fn understand(&self, to: &str) -> Result<Draft, Error> {
        self.refuse_nul(to)?;
        let to_number = PhoneNumber::parse(to).map_err(|error| Error::number(&error))?;
        let from = self.from.as_deref().map(PhoneNumber::parse_sender).transpose();
        let text = self.message.clone().unwrap_or_default();
        if text.is_empty() && self.media_urls.is_empty() {
            return Err(
                Error::invalid("the message is empty").hint("give it a text, or media to send")
            );
        }
        self.check_media()?;
        Ok(Draft {
            from: from.map_err(|error| Error::number(&error))?,
            size: self.measure(&text)?,
            request_hash: self.hash(&to_number),
            to: to_number,
            text,
            media_urls: self.media_urls.clone(),
            subject: self.subject.clone(),
            send_at: self.send_at,
            despite_opt_out: self.despite_opt_out,
            retry: !self.no_retry,
        })
    }

    fn refuse_nul(&self, to: &str) -> Result<(), Error> {
        let texts =
            [Some(to), self.message.as_deref(), self.subject.as_deref(), self.from.as_deref()];
        let media = self.media_urls.iter().map(String::as_str);
        if texts.into_iter().flatten().chain(media).any(|text| text.contains('\0')) {
            return Err(Error::invalid("the request contains a NUL character"));
        }
        Ok(())
    }

    fn check_media(&self) -> Result<(), Error> {
        if self.media_urls.len() > MAX_MEDIA {
            return Err(Error::invalid(format!(
                "{} media files are too many: one message carries at most {MAX_MEDIA}",
                self.media_urls.len()
            )));
        }
        for url in &self.media_urls {
            let valid = url.len() <= MAX_URL
                && url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
            if !valid {
                return Err(Error::invalid(format!(
                    "'{url}' is not an address Telnyx could fetch"
                ))
                .hint("media need a public http:// or https:// address"));
            }
        }
        match &self.subject {
            Some(subject) if subject.chars().count() > MAX_SUBJECT => {
                Err(Error::invalid(format!("the subject is longer than {MAX_SUBJECT} characters")))
            }
            Some(_) if self.media_urls.is_empty() => {
                Err(Error::invalid("only a message with media has a subject"))
            }
            _ => Ok(()),
        }
    }

    fn measure(&self, text: &str) -> Result<Segments, Error> {
        let size = Segments::of(text);
        // An MMS carries its text as one UTF-8 part; segments do not limit it.
        if !size.is_too_long() || !self.media_urls.is_empty() {
            return Ok(size);
        }
        let why = match first_outside_gsm7(text) {
            Some(c) => format!("{c:?} is not in the GSM-7 alphabet, so it travels as UCS-2"),
            None => "it travels as GSM-7".to_owned(),
        };
        Err(Error::new(
            Code::MessageTooLong,
            format!(
                "the message would be {} segments; Telnyx sends at most {MAX_SEGMENTS}",
                size.segments,
            ),
        )
        .hint(format!(
            "it has {} units and {why}, which holds at most {}; shorten it or send it in parts",
            size.units,
            size.encoding.capacity(),
        )))
    }

    /// Binds the number as understood and every field as received.
    fn hash(&self, to: &PhoneNumber) -> Vec<u8> {
        // How hard to try is not part of what is sent.
        let sent = Self { no_retry: false, ..self.clone() };
        let canonical = serde_json::json!([to, sent]).to_string();
        Sha256::digest(canonical.as_bytes()).to_vec()
    }
}

/// What a caller's own idempotency key looks like.
pub const IDEMPOTENCY_KEY_PATTERN: &str = "^[A-Za-z0-9_:-]{1,255}$";

/// Checks a caller's own idempotency key: the same rule as Telnyx has for its
/// keys, [`IDEMPOTENCY_KEY_PATTERN`].
///
/// # Errors
/// `invalid_request`.
pub fn check_idempotency_key(key: &str) -> Result<(), Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_:-".contains(&b);
    if (1..=255).contains(&key.len()) && key.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid("the idempotency key is not 1 to 255 letters, digits, '_', ':' or '-'")
        .hint("a UUID makes a good key"))
}

impl Draft {
    /// Whether Telnyx would take it now for the time it is to be sent at. A repeat under a key may
    /// come when that time is near, and gets the message that was scheduled.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn check_schedule(&self, now: Timestamp) -> Result<(), Error> {
        match self.send_at {
            Some(at) if !SCHEDULE_SECONDS.contains(&at.seconds_since(now)) => {
                Err(Error::invalid(format!("a message cannot be scheduled for {at}"))
                    .hint("Telnyx schedules from 5 minutes to 5 days ahead"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_352_400_000_000;

    fn understand(to: &str, request: &SendRequest) -> Result<Draft, Error> {
        let draft = request.understand(to)?;
        draft.check_schedule(Timestamp::from_micros(NOW)).map(|()| draft)
    }

    fn text(message: &str) -> SendRequest {
        SendRequest { message: Some(message.to_owned()), ..SendRequest::default() }
    }

    #[test]
    fn a_plain_text_is_understood() {
        let draft = understand("+1 (212) 555-1234", &text("Hello")).expect("a good request");
        assert_eq!(draft.to.as_str(), "+12125551234");
        assert_eq!((draft.text.as_str(), draft.size.segments), ("Hello", 1));
    }

    #[test]
    fn a_time_names_its_zone() {
        let read = |time: &str| {
            let body = serde_json::json!({"message": "Hi", "send_at": time}).to_string();
            serde_json::from_str::<SendRequest>(&body).map(|request| request.send_at)
        };
        let noon = Some(Timestamp::from_micros(NOW));
        assert_eq!(read("2026-11-22T13:00:00Z").expect("UTC"), noon);
        assert_eq!(read("2026-11-22T15:00:00+02:00").expect("an offset"), noon);
        for time in ["2026-11-22T13:00:00", "2026-11-22 13:00:00", "2026-11-22", "tomorrow", ""] {
            assert!(read(time).is_err(), "{time}");
        }
        let none = r#"{"message":"Hi","send_at":null,"media_urls":null,"from":null}"#;
        assert_eq!(serde_json::from_str::<SendRequest>(none).expect("left out"), text("Hi"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_reason() {
        let media = |urls: Vec<&str>| SendRequest {
            media_urls: urls.into_iter().map(str::to_owned).collect(),
            ..SendRequest::default()
        };
        let at = |seconds| SendRequest {
            send_at: Some(Timestamp::from_micros(NOW).plus_seconds(seconds)),
            ..text("later")
        };
        for (request, code) in [
            (text(""), Code::InvalidRequest),
            (text("a\0b"), Code::InvalidRequest),
            (text(&"a".repeat(1531)), Code::MessageTooLong),
            (text(&"é😀".repeat(300)), Code::MessageTooLong),
            (media(vec!["ftp://example.com/x"]), Code::InvalidRequest),
            (media(vec!["https://example.com/x"; 11]), Code::InvalidRequest),
            (at(60), Code::InvalidRequest),
            (at(6 * 24 * 3_600), Code::InvalidRequest),
            (SendRequest { subject: Some("s".into()), ..text("no media") }, Code::InvalidRequest),
            (SendRequest { from: Some("Not/A/Sender".into()), ..text("x") }, Code::InvalidNumber),
        ] {
            let error = understand("+12125551234", &request).expect_err("must be refused");
            assert_eq!(error.code(), code, "{error}");
        }
        let error = understand("2125551234", &text("Hi")).expect_err("no country code");
        assert_eq!(error.code(), Code::InvalidNumber);
        assert!(understand("+12125551234", &at(3_600)).is_ok());
    }

    #[test]
    fn the_reason_for_too_many_segments_names_the_character() {
        let long = format!("{}’", "a".repeat(700));
        let error = understand("+12125551234", &text(&long)).expect_err("too long");
        let told = format!("{error} {}", error.hint_text().unwrap_or_default());
        assert!(told.contains("11 segments") && told.contains("'’'"), "{told}");
    }

    #[test]
    fn the_hash_tells_requests_apart_and_writings_together() {
        let hash = |to: &str, message: &str| {
            understand(to, &text(message)).expect("a good request").request_hash
        };
        assert_eq!(hash("+12125551234", "a"), hash("+1 212 555 1234", "a"));
        assert_ne!(hash("+12125551234", "a"), hash("+12125551234", "b"));
        assert_ne!(hash("+12125551234", "a"), hash("+12125551235", "a"));
    }
}
