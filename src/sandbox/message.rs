//! Messages as Telnyx's JSON has them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::api_error::ErrorObject;
use super::contact::{self, Keyword, OWN_NUMBER};
use super::cost::{CostBreakdown, Money};
use super::request::MessageRequest;
use crate::clock;
use crate::domain::{Encoding, Segments};

/// The profile and organization of everything in the sandbox.
pub(super) const PROFILE: &str = "5a5db0c5-0000-4000-8000-000000000001";
pub(super) const ORGANIZATION: &str = "5a5db0c5-0000-4000-8000-000000000002";
/// The picture that contacts send.
pub(super) const PICTURE: &[u8] = include_bytes!("picture.png");

/// A time in Telnyx's format: milliseconds and a numeric offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct TelnyxTime(pub(super) DateTime<Utc>);

impl TelnyxTime {
    pub(super) fn now() -> Self {
        Self(clock::now().to_utc())
    }

    /// When the account was made.
    pub(super) fn start() -> Self {
        Self(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
    }

    /// Makes it earlier.
    pub(super) fn age_by(&mut self, by: Duration) {
        self.0 -= by;
    }
}

impl Serialize for TelnyxTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, false))
    }
}

/// A sender or a recipient. Only recipients have a status.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Party {
    pub(super) phone_number: String,
    carrier: &'static str,
    line_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

impl Party {
    /// A number of ours.
    fn own(phone_number: &str, status: Option<&'static str>) -> Self {
        Self::new(phone_number, "Telnyx", status)
    }

    fn contact(phone_number: &str, status: Option<&'static str>) -> Self {
        Self::new(phone_number, "Sandbox Mobile", status)
    }

    fn new(phone_number: &str, carrier: &'static str, status: Option<&'static str>) -> Self {
        Self { phone_number: phone_number.to_owned(), carrier, line_type: "Wireless", status }
    }
}

#[derive(Clone, Debug, Serialize)]
struct MediaFile {
    url: String,
    content_type: Option<&'static str>,
    sha256: Option<String>,
    size: Option<usize>,
}

impl MediaFile {
    /// A file of which only the URL is known.
    fn linked(url: String) -> Self {
        Self { url, content_type: None, sha256: None, size: None }
    }
}

/// The fields of inbound messages only.
#[derive(Clone, Debug, Serialize)]
struct InboundOnly {
    autoresponse_type: Option<&'static str>,
    is_spam: bool,
}

/// A message with all fields of Telnyx's payload.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SandboxMessage {
    record_type: &'static str,
    pub(super) direction: &'static str,
    pub(super) id: Uuid,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) messaging_profile_id: String,
    organization_id: &'static str,
    pub(super) from: Party,
    pub(super) to: Vec<Party>,
    cc: Vec<Party>,
    pub(super) text: String,
    subject: Option<String>,
    media: Vec<MediaFile>,
    webhook_url: Option<String>,
    webhook_failover_url: Option<String>,
    encoding: Encoding,
    pub(super) parts: u32,
    num_chars: usize,
    smart_encoding_applied: bool,
    tags: Vec<String>,
    cost: Option<Money>,
    cost_breakdown: Option<CostBreakdown>,
    tcr_campaign_id: Option<&'static str>,
    tcr_campaign_billable: bool,
    tcr_campaign_registered: Option<&'static str>,
    pub(super) received_at: TelnyxTime,
    pub(super) sent_at: Option<TelnyxTime>,
    pub(super) completed_at: Option<TelnyxTime>,
    valid_until: Option<TelnyxTime>,
    wait_seconds: Option<f32>,
    pub(super) errors: Vec<ErrorObject>,
    /// When it is to be sent, while it is scheduled.
    #[serde(skip)]
    send_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    inbound_only: Option<InboundOnly>,
}

/// What a contact sends.
pub(super) struct InboundDraft<'a> {
    pub(super) from: &'a str,
    /// A number of ours.
    pub(super) to: &'a str,
    pub(super) text: String,
    /// The URL of the attached picture, if there is one.
    pub(super) picture_url: Option<String>,
}

/// A message that was accepted earlier.
pub(super) struct AcceptedDraft<'a> {
    pub(super) id: Uuid,
    pub(super) from: &'a str,
    /// The recipients.
    pub(super) to: Vec<&'a str>,
    pub(super) text: &'a str,
    pub(super) subject: Option<String>,
    pub(super) media_urls: Vec<String>,
    pub(super) tags: Vec<String>,
}

impl SandboxMessage {
    /// An SMS with the fields that both directions have.
    fn new(direction: &'static str, from: Party, to: Party, text: String) -> Self {
        Self {
            record_type: "message",
            direction,
            id: Uuid::new_v4(),
            kind: "SMS",
            messaging_profile_id: PROFILE.to_owned(),
            organization_id: ORGANIZATION,
            from,
            to: vec![to],
            cc: Vec::new(),
            num_chars: text.chars().count(),
            text,
            subject: None,
            media: Vec::new(),
            webhook_url: None,
            webhook_failover_url: None,
            encoding: Encoding::Gsm7,
            parts: 1,
            smart_encoding_applied: false,
            tags: Vec::new(),
            cost: None,
            cost_breakdown: None,
            tcr_campaign_id: None,
            tcr_campaign_billable: false,
            tcr_campaign_registered: None,
            received_at: TelnyxTime::now(),
            sent_at: None,
            completed_at: None,
            valid_until: None,
            wait_seconds: None,
            errors: Vec::new(),
            send_at: None,
            inbound_only: None,
        }
    }

    /// An accepted request, queued or scheduled.
    pub(super) fn outbound(request: &MessageRequest, profile_url: Option<&str>) -> Self {
        let status = if request.send_at.is_some() { "scheduled" } else { "queued" };
        let from = Party::own(request.from.as_deref().unwrap_or(OWN_NUMBER), None);
        let to = Party::contact(&request.to, Some(status));
        let message = Self::new("outbound", from, to, request.text.clone());
        let profile_url = profile_url.filter(|_| request.use_profile_webhooks);
        let cost = CostBreakdown::new(request.is_mms, request.parts);
        let valid_from = request.send_at.unwrap_or(message.received_at.0);
        let media = request.media_urls.iter().cloned().map(MediaFile::linked);
        Self {
            kind: if request.is_mms { "MMS" } else { "SMS" },
            messaging_profile_id: request
                .messaging_profile_id
                .clone()
                .unwrap_or_else(|| PROFILE.to_owned()),
            subject: request.subject.clone(),
            media: media.collect(),
            webhook_url: request.webhook_url.clone().or(profile_url.map(str::to_owned)),
            webhook_failover_url: request.webhook_failover_url.clone(),
            encoding: request.encoding,
            parts: request.parts,
            tags: request.tags.clone(),
            cost: Some(cost.total()),
            cost_breakdown: Some(cost),
            valid_until: Some(TelnyxTime(valid_from + TimeDelta::hours(1))),
            wait_seconds: Some(0.0),
            send_at: request.send_at,
            ..message
        }
    }

    /// A message that was accepted earlier, as a report on it has it.
    pub(super) fn accepted(draft: AcceptedDraft<'_>) -> Self {
        let size = Segments::for_text(draft.text);
        let from = Party::own(draft.from, None);
        let (first, rest) = draft.to.split_first().unwrap_or((&"", &[]));
        let to = Party::contact(first, Some("queued"));
        let mut message = Self::new("outbound", from, to, draft.text.to_owned());
        message.to.extend(rest.iter().map(|number| Party::contact(number, Some("queued"))));
        let cost = CostBreakdown::new(!draft.media_urls.is_empty(), size.segments.max(1));
        let media = draft.media_urls.into_iter().map(MediaFile::linked);
        Self {
            id: draft.id,
            kind: if media.len() > 0 { "MMS" } else { "SMS" },
            subject: draft.subject,
            media: media.collect(),
            encoding: size.encoding,
            parts: size.segments.max(1),
            tags: draft.tags,
            cost: Some(cost.total()),
            cost_breakdown: Some(cost),
            wait_seconds: Some(0.0),
            ..message
        }
    }

    /// The same message, with files at some URLs.
    pub(super) fn with_media(self, urls: Vec<String>) -> Self {
        let kind = if urls.is_empty() { self.kind } else { "MMS" };
        Self { kind, media: urls.into_iter().map(MediaFile::linked).collect(), ..self }
    }

    /// A message from a contact.
    pub(super) fn inbound(draft: InboundDraft<'_>, profile_url: Option<&str>) -> Self {
        let InboundDraft { from, to, text, picture_url } = draft;
        let size = Segments::for_text(&text);
        let media: Vec<_> = picture_url.map(picture).into_iter().collect();
        let keyword = Keyword::from_text(&text).map(Keyword::as_str);
        let to = Party::own(to, Some("webhook_delivered"));
        Self {
            kind: if media.is_empty() { "SMS" } else { "MMS" },
            subject: Some(String::new()),
            media,
            webhook_url: profile_url.map(str::to_owned),
            encoding: size.encoding,
            parts: size.segments.max(1),
            inbound_only: Some(InboundOnly { autoresponse_type: keyword, is_spam: false }),
            ..Self::new("inbound", Party::contact(from, None), to, text)
        }
    }

    /// Its approximate size in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(String::len).sum();
        let media: usize = self.media.iter().map(|media| media.url.len()).sum();
        size_of::<Self>() + self.text.len() + tags + media
    }

    /// The contact's reply to an outbound message.
    pub(super) fn reply(&self, picture_url: &str, profile_url: Option<&str>) -> Self {
        let reply = InboundDraft {
            from: self.to.first().map_or("", |to| &to.phone_number),
            to: &self.from.phone_number,
            text: contact::reply(&self.text, self.media.len()),
            picture_url: (!self.media.is_empty() || contact::asks_for_picture(&self.text))
                .then(|| picture_url.to_owned()),
        };
        Self::inbound(reply, profile_url)
    }

    /// Whether it was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.to.iter().any(|to| to.status == Some("cancelled"))
    }

    /// The status of its first recipient.
    pub(super) fn status(&self) -> &'static str {
        self.to.first().and_then(|to| to.status).unwrap_or_default()
    }

    /// Makes it as old as if all of it had happened earlier.
    pub(super) fn age_by(&mut self, by: Duration) {
        self.received_at.age_by(by);
        let others = [&mut self.sent_at, &mut self.completed_at, &mut self.valid_until];
        for time in others.into_iter().flatten() {
            time.age_by(by);
        }
    }

    pub(super) fn mark_sent(&mut self) {
        self.set_status("sent");
        self.sent_at = Some(TelnyxTime::now());
        self.valid_until = None;
    }

    /// Sets the final status.
    pub(super) fn finalize(&mut self, status: &'static str, error: Option<ErrorObject>) {
        self.set_status(status);
        self.completed_at = Some(TelnyxTime::now());
        self.errors.extend(error);
        if self.sent_at.is_none() {
            // What was never sent is free of charge.
            self.cost = None;
            self.cost_breakdown = None;
        }
    }

    /// Whether it is scheduled for after a time.
    pub(super) fn is_scheduled_after(&self, time: DateTime<Utc>) -> bool {
        self.send_at.is_some_and(|at| at > time)
    }

    fn set_status(&mut self, status: &'static str) {
        for to in &mut self.to {
            to.status = Some(status);
        }
        self.wait_seconds = None;
        self.send_at = None;
    }
}

fn picture(url: String) -> MediaFile {
    let hash = Sha256::digest(PICTURE).iter().map(|byte| format!("{byte:02x}")).collect();
    MediaFile {
        url,
        content_type: Some("image/png"),
        sha256: Some(hash),
        size: Some(PICTURE.len()),
    }
}
