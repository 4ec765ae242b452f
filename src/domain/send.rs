//! A request to send a message, validated before anything is stored or offered to Telnyx.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::text::is_blank;
use super::{
    BatchPlace, Encoding, Fingerprint, IdempotencyKey, Message, PhoneNumber, Segments, Timestamp,
};
use crate::error::Error;

/// The most media files one MMS may carry (Telnyx error 40317).
const MAX_MEDIA: usize = 10;
/// The longest URL Telnyx accepts (error 10003).
const MAX_URL: usize = 2_000;
/// The longest MMS subject convo accepts; carriers truncate far earlier.
const MAX_SUBJECT: usize = 255;
/// Telnyx schedules at least 5 minutes and at most 5 days ahead.
const SCHEDULE_SECONDS: std::ops::RangeInclusive<i64> = 5 * 60..=5 * 24 * 3_600;

/// The body of `POST /conversations/{number}/send`, which `convo send` builds from its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "A message to send: a text, media, or both.")]
pub struct SendRequest {
    /// The text. Optional when there are media.
    #[serde(default)]
    pub message: Option<String>,
    /// Public URLs of files to attach, which makes the message an MMS.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "none_as_empty")]
    pub media_urls: Vec<String>,
    /// The subject of an MMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The sender; chosen by convo when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When Telnyx is to send it; immediately when left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Timestamp::deserialize_with_zone"
    )]
    pub send_at: Option<Timestamp>,
    /// The id of the inbound message that a program answers with this one. A message is answered once:
    /// a repeat gets the first answer, whatever its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<Uuid>,
    /// The batch and the row of it that this is. A row is sent once: a repeat gets the first message,
    /// whatever its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchPlace>,
    /// Make one attempt even if the contact has opted out, and let Telnyx decide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub despite_opt_out: bool,
    /// Send it even if the contact has got as many texts within the hour as `CONVO_SEND_LIMIT` allows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub despite_send_limit: bool,
    /// Make only one attempt, without retries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_retry: bool,
}

/// A valid request: what it holds is stored and sent as it is. It is made once, where the request
/// arrives, and passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    to: PhoneNumber,
    checked: CheckedRequest,
    request_hash: Vec<u8>,
}

/// A valid request whose recipient is not known yet: a name has to be looked up first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRequest {
    from: Option<PhoneNumber>,
    request: SendRequest,
    size: Segments,
}

/// What a send would do (`?dry_run=true`, `--dry-run`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "What a send would do; nothing is stored or sent.")]
pub struct SendPlan {
    /// The sender that would be used.
    pub from: PhoneNumber,
    /// The recipient.
    pub to: PhoneNumber,
    /// The conversation it would join; null when it would start a new one.
    pub conversation_id: Option<Uuid>,
    /// The encoding the text needs.
    pub encoding: Encoding,
    /// How many segments it would be; 1 for an MMS, whose text is not split.
    pub segments: u32,
    /// The length of the text in units of that encoding.
    pub units: u32,
    /// When the contact opted out, in which case the send would be refused; else null.
    pub opted_out_at: Option<Timestamp>,
}

/// A send that has ended, though its outcome may be unknown.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message in its current state.
    pub message: Message,
    /// The key under which the send can be repeated safely.
    pub idempotency_key: IdempotencyKey,
}

impl Sent {
    /// Whether it is not yet known if the message was sent: Telnyx's answer was lost, or an earlier
    /// call under the same key has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.message.status.is_open()
    }
}

/// Reads `null` as an empty list: callers write it for what they leave out.
fn none_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl SendRequest {
    fn refuse_nul(&self) -> Result<(), Error> {
        let texts = [self.message.as_deref(), self.subject.as_deref(), self.from.as_deref()];
        let media = self.media_urls.iter().map(String::as_str);
        if texts.into_iter().flatten().chain(media).any(|text| text.contains('\0')) {
            return Err(Error::invalid("the request contains a NUL character"));
        }
        Ok(())
    }

    fn check_media(&mut self) -> Result<(), Error> {
        if self.media_urls.len() > MAX_MEDIA {
            return Err(Error::invalid(format!(
                "{} media files are too many: one message carries at most {MAX_MEDIA}",
                self.media_urls.len()
            )));
        }
        for url in &mut self.media_urls {
            // In the parser's normal form: it ignores white space that another parser may not.
            *url = fetchable(url).ok_or_else(|| {
                let is_path = !url.contains("://");
                let hint = match is_path {
                    true => {
                        "Telnyx fetches media files by itself: put the file on a web server, and give its \
                         public https:// URL"
                    }
                    false => "give each media file as a public http:// or https:// URL",
                };
                Error::invalid(format!("'{url}' is not a URL that Telnyx can fetch")).hint(hint)
            })?;
        }
        match &self.subject {
            Some(subject) if subject.chars().count() > MAX_SUBJECT => {
                Err(Error::invalid(format!("the subject is longer than {MAX_SUBJECT} characters")))
            }
            Some(_) if self.media_urls.is_empty() => {
                Err(Error::invalid("only a message with media can have a subject"))
            }
            _ => Ok(()),
        }
    }

    /// The limit on segments applies to an SMS only.
    fn measure(&self, text: &str) -> Result<Segments, Error> {
        if self.media_urls.is_empty() {
            return Ok(Segments::for_sms(text)?);
        }
        Ok(Segments::for_mms(text))
    }

    /// A hash of what is sent and to whom; whether to retry, and how much the contact has got before, are
    /// not part of it. A message has one answer, and a row of a batch is sent once, so their hashes
    /// depend on nothing else.
    fn hash(&self, to: &PhoneNumber) -> Vec<u8> {
        if let Some(answered) = self.in_reply_to {
            return Sha256::digest(answered.as_bytes()).to_vec();
        }
        if let Some(place) = &self.batch {
            return Sha256::digest(place.key().as_str()).to_vec();
        }
        let sent = Self { no_retry: false, despite_send_limit: false, ..self.clone() };
        let canonical = serde_json::json!([to, sent]).to_string();
        Sha256::digest(canonical.as_bytes()).to_vec()
    }
}

/// The URL of a media file in normal form, if Telnyx can fetch it.
fn fetchable(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let is_fetchable = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= MAX_URL;
    is_fetchable.then(|| url.into())
}

impl CheckedRequest {
    /// Validates everything but the recipient. Whether it can be scheduled depends on the current time: see
    /// [`check_schedule`](Self::check_schedule).
    ///
    /// # Errors
    /// `invalid_number`, `message_too_long` or `invalid_request`, each with a hint.
    pub fn new(mut request: SendRequest) -> Result<Self, Error> {
        request.refuse_nul()?;
        request.message = request.message.filter(|text| !is_blank(text));
        if request.batch.is_some() && request.in_reply_to.is_some() {
            return Err(Error::invalid("an answer cannot be a row of a batch"));
        }
        if request.message.is_none() && request.media_urls.is_empty() {
            return Err(Error::invalid("the message is empty").hint("add a text or media"));
        }
        request.check_media()?;
        let from = request.from.as_deref().map(PhoneNumber::parse_sender).transpose()?;
        request.from = from.as_ref().map(ToString::to_string);
        let size = request.measure(request.message.as_deref().unwrap_or_default())?;
        Ok(Self { from, request, size })
    }

    /// The text; empty when there are only media.
    #[must_use]
    pub fn text(&self) -> &str {
        self.request.message.as_deref().unwrap_or_default()
    }

    /// The message to a recipient.
    #[must_use]
    pub fn to(self, to: PhoneNumber) -> Draft {
        let request_hash = self.request.hash(&to);
        Draft { to, checked: self, request_hash }
    }

    /// The idempotency key of the send: that of the answer or of the row of a batch if it is one, else the
    /// caller's. An answer under another key could be sent beside the first one, and the key of an answer
    /// belongs to no other send.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn key(&self, given: Option<&IdempotencyKey>) -> Result<Option<IdempotencyKey>, Error> {
        if let Some(place) = &self.request.batch {
            let key = place.key();
            return match given {
                Some(given) if *given != key => {
                    Err(Error::invalid("a row of a batch has no idempotency key of its own")
                        .hint("leave the key out: a row of a batch is never sent twice"))
                }
                _ => Ok(Some(key)),
            };
        }
        match (self.request.in_reply_to.map(IdempotencyKey::for_reply), given) {
            (Some(key), Some(given)) if key != *given => Err(Error::invalid(
                "an answer has no idempotency key of its own",
            )
            .hint("leave the key out: a repeated answer to one message is never sent twice")),
            (Some(key), _) => Ok(Some(key)),
            (None, Some(given)) => match given.answered() {
                Some(_) => Err(Error::invalid("this idempotency key belongs to an answer").hint(
                    "name the message that is answered: in_reply_to, or --reply-to of convo send",
                )),
                None if given.is_of_batch() => {
                    Err(Error::invalid("this idempotency key belongs to a row of a batch")
                        .hint("use another key, or name the row: batch, as convo batch does"))
                }
                None => Ok(Some(given.clone())),
            },
            (None, None) => Ok(None),
        }
    }

    /// Checks that Telnyx would accept the scheduled time now. This is not part of
    /// [`new`](Self::new), because a repeat under an idempotency key may arrive when that time is
    /// near, and is answered with the message that was scheduled.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn check_schedule(&self, now: Timestamp) -> Result<(), Error> {
        match self.request.send_at {
            Some(at) if !SCHEDULE_SECONDS.contains(&at.seconds_since(now)) => {
                Err(Error::invalid(format!("a message cannot be scheduled for {at}"))
                    .hint("Telnyx schedules from 5 minutes to 5 days ahead"))
            }
            _ => Ok(()),
        }
    }
}

impl Draft {
    /// Validates a request for the recipient as typed, a number.
    ///
    /// # Errors
    /// `invalid_number`, `message_too_long` or `invalid_request`, each with a hint.
    pub fn new(to: &str, request: SendRequest) -> Result<Self, Error> {
        if to.contains('\0') {
            return Err(Error::invalid("the request contains a NUL character"));
        }
        let to = PhoneNumber::parse(to)?;
        Ok(CheckedRequest::new(request)?.to(to))
    }

    /// The same as a row of a batch.
    #[must_use]
    pub fn in_batch(mut self, place: BatchPlace) -> Self {
        self.checked.request.batch = Some(place);
        self.checked.to(self.to)
    }

    /// The same from another sender.
    #[must_use]
    pub fn sent_from(mut self, sender: PhoneNumber) -> Self {
        self.checked.request.from = Some(sender.to_string());
        self.checked.from = Some(sender);
        self.checked.to(self.to)
    }

    /// The fingerprint of what is sent to whom, by which batches recognise doubles.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_text(&self.to, self.text())
    }

    /// The recipient.
    #[must_use]
    pub fn to(&self) -> &PhoneNumber {
        &self.to
    }

    /// The sender, if the caller chose one.
    #[must_use]
    pub fn from(&self) -> Option<&PhoneNumber> {
        self.checked.from.as_ref()
    }

    /// The text; empty when there are only media.
    #[must_use]
    pub fn text(&self) -> &str {
        self.checked.text()
    }

    /// The size of the text.
    #[must_use]
    pub fn size(&self) -> Segments {
        self.checked.size
    }

    /// The validated request: numbers in E.164, URLs in normal form, an empty text left out.
    #[must_use]
    pub fn request(&self) -> &SendRequest {
        &self.checked.request
    }

    /// The hash that binds an idempotency key to this request. It depends neither on how numbers
    /// were typed nor on whether the offer may be retried.
    #[must_use]
    pub fn request_hash(&self) -> &[u8] {
        &self.request_hash
    }

    /// The idempotency key of the send, see [`CheckedRequest::key`].
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn key(&self, given: Option<&IdempotencyKey>) -> Result<Option<IdempotencyKey>, Error> {
        self.checked.key(given)
    }

    /// Checks that Telnyx would accept the scheduled time now.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn check_schedule(&self, now: Timestamp) -> Result<(), Error> {
        self.checked.check_schedule(now)
    }
}

#[cfg(test)]
mod tests;
