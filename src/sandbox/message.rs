//! Messages as Telnyx writes them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::contact::{self, Keyword, OWN_NUMBER};
use super::refusal::ErrorObject;
use super::request::SendRequest;
use crate::clock;
use crate::domain::{Encoding, Segments};

/// The profile and organisation that everything in the sandbox belongs to.
const PROFILE: &str = "5a5db0c5-0000-4000-8000-000000000001";
const ORGANIZATION: &str = "5a5db0c5-0000-4000-8000-000000000002";
/// The picture that contacts send.
pub(super) const PICTURE: &[u8] = include_bytes!("picture.png");
/// The price of one part of an SMS and of an MMS, in hundred-thousandths of a dollar: the
/// carrier's fee and Telnyx's rate.
const SMS_PRICE: (u32, u32) = (305, 205);
const MMS_PRICE: (u32, u32) = (1_000, 1_500);

/// An instant in Telnyx's spelling: milliseconds and a numeric offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) DateTime<Utc>);

impl Time {
    /// This instant.
    pub(super) fn now() -> Self {
        Self(clock::now().to_utc())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, false))
    }
}

/// A sender or recipient. Only recipients have a status.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Party {
    pub(super) phone_number: String,
    carrier: &'static str,
    line_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
}

impl Party {
    fn new(phone_number: &str, carrier: &'static str, status: Option<&'static str>) -> Self {
        Self { phone_number: phone_number.to_owned(), carrier, line_type: "Wireless", status }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Media {
    url: String,
    content_type: Option<&'static str>,
    sha256: Option<String>,
    size: Option<usize>,
}

/// An amount of dollars, as a decimal string.
#[derive(Clone, Debug, Serialize)]
struct Money {
    amount: String,
    currency: &'static str,
}

impl Money {
    fn new(hundred_thousandths: u32) -> Self {
        let (whole, part) = (hundred_thousandths / 100_000, hundred_thousandths % 100_000);
        let exact = format!("{whole}.{part:05}");
        let amount = exact.trim_end_matches('0').trim_end_matches('.').to_owned();
        Self { amount, currency: "USD" }
    }
}

#[derive(Clone, Debug, Serialize)]
struct CostBreakdown {
    carrier_fee: Money,
    rate: Money,
}

/// What only inbound messages have.
#[derive(Clone, Debug, Serialize)]
struct InboundOnly {
    autoresponse_type: Option<&'static str>,
    is_spam: bool,
}

/// A message with every field of Telnyx's payload.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    record_type: &'static str,
    direction: &'static str,
    pub(super) id: Uuid,
    #[serde(rename = "type")]
    kind: &'static str,
    messaging_profile_id: String,
    organization_id: &'static str,
    pub(super) from: Party,
    pub(super) to: Vec<Party>,
    cc: Vec<Party>,
    pub(super) text: String,
    subject: Option<String>,
    media: Vec<Media>,
    webhook_url: Option<String>,
    webhook_failover_url: Option<String>,
    encoding: Encoding,
    parts: u32,
    num_chars: usize,
    smart_encoding_applied: bool,
    tags: Vec<String>,
    cost: Option<Money>,
    cost_breakdown: Option<CostBreakdown>,
    tcr_campaign_id: Option<&'static str>,
    tcr_campaign_billable: bool,
    tcr_campaign_registered: Option<&'static str>,
    received_at: Time,
    sent_at: Option<Time>,
    completed_at: Option<Time>,
    valid_until: Option<Time>,
    wait_seconds: Option<f32>,
    errors: Vec<ErrorObject>,
    #[serde(flatten)]
    inbound_only: Option<InboundOnly>,
}

/// What a contact sends.
pub(super) struct Inbound<'a> {
    /// The contact.
    pub(super) from: &'a str,
    /// One of our numbers.
    pub(super) to: &'a str,
    pub(super) text: String,
    /// Where the picture is fetched from that the contact sends along, if it does.
    pub(super) picture_url: Option<String>,
}

impl Message {
    /// An accepted request, waiting in the queue or for its time.
    pub(super) fn outbound(request: &SendRequest, profile_url: Option<&str>) -> Self {
        let now = clock::now().to_utc();
        let media = request.media_urls.iter().map(|url| Media {
            url: url.clone(),
            content_type: None,
            sha256: None,
            size: None,
        });
        let status = if request.send_at.is_some() { "scheduled" } else { "queued" };
        let prices = if request.is_mms { MMS_PRICE } else { SMS_PRICE };
        let (fee, rate) = (prices.0 * request.parts, prices.1 * request.parts);
        let profile_url = profile_url.filter(|_| request.use_profile_webhooks);
        Self {
            record_type: "message",
            direction: "outbound",
            id: Uuid::new_v4(),
            kind: if request.is_mms { "MMS" } else { "SMS" },
            messaging_profile_id: request
                .messaging_profile_id
                .clone()
                .unwrap_or_else(|| PROFILE.to_owned()),
            organization_id: ORGANIZATION,
            from: Party::new(request.from.as_deref().unwrap_or(OWN_NUMBER), "Telnyx", None),
            to: vec![Party::new(&request.to, "Sandbox Mobile", Some(status))],
            cc: Vec::new(),
            text: request.text.clone(),
            subject: request.subject.clone(),
            media: media.collect(),
            webhook_url: request.webhook_url.clone().or(profile_url.map(str::to_owned)),
            webhook_failover_url: request.webhook_failover_url.clone(),
            encoding: request.encoding,
            parts: request.parts,
            num_chars: request.text.chars().count(),
            smart_encoding_applied: false,
            tags: request.tags.clone(),
            cost: Some(Money::new(fee + rate)),
            cost_breakdown: Some(CostBreakdown {
                carrier_fee: Money::new(fee),
                rate: Money::new(rate),
            }),
            tcr_campaign_id: None,
            tcr_campaign_billable: false,
            tcr_campaign_registered: None,
            received_at: Time(now),
            sent_at: None,
            completed_at: None,
            valid_until: Some(Time(request.send_at.unwrap_or(now) + TimeDelta::hours(1))),
            wait_seconds: Some(0.0),
            errors: Vec::new(),
            inbound_only: None,
        }
    }

    /// A message from a contact.
    pub(super) fn inbound(inbound: Inbound<'_>, profile_url: Option<&str>) -> Self {
        let Inbound { from, to, text, picture_url } = inbound;
        let size = Segments::of(&text);
        let media: Vec<_> = picture_url.map(picture).into_iter().collect();
        Self {
            record_type: "message",
            direction: "inbound",
            id: Uuid::new_v4(),
            kind: if media.is_empty() { "SMS" } else { "MMS" },
            messaging_profile_id: PROFILE.to_owned(),
            organization_id: ORGANIZATION,
            from: Party::new(from, "Sandbox Mobile", None),
            to: vec![Party::new(to, "Telnyx", Some("webhook_delivered"))],
            cc: Vec::new(),
            subject: Some(String::new()),
            media,
            webhook_url: profile_url.map(str::to_owned),
            webhook_failover_url: None,
            encoding: size.encoding,
            parts: size.segments.max(1),
            num_chars: text.chars().count(),
            smart_encoding_applied: false,
            tags: Vec::new(),
            cost: None,
            cost_breakdown: None,
            tcr_campaign_id: None,
            tcr_campaign_billable: false,
            tcr_campaign_registered: None,
            received_at: Time::now(),
            sent_at: None,
            completed_at: None,
            valid_until: None,
            wait_seconds: None,
            errors: Vec::new(),
            inbound_only: Some(InboundOnly {
                autoresponse_type: Keyword::of(&text).map(Keyword::as_str),
                is_spam: false,
            }),
            text,
        }
    }

    /// About how many bytes it holds in memory.
    pub(super) fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(String::len).sum();
        let media: usize = self.media.iter().map(|media| media.url.len()).sum();
        size_of::<Self>() + self.text.len() + tags + media
    }

    /// The other party's number of an outbound message.
    pub(super) fn contact(&self) -> &str {
        self.to.first().map_or("", |to| &to.phone_number)
    }

    /// The contact's answer to an outbound message.
    pub(super) fn answered(&self, picture_url: &str, profile_url: Option<&str>) -> Self {
        let answer = Inbound {
            from: self.contact(),
            to: &self.from.phone_number,
            text: contact::reply(&self.text, self.media.len()),
            picture_url: (!self.media.is_empty()).then(|| picture_url.to_owned()),
        };
        Self::inbound(answer, profile_url)
    }

    /// Hands it to the carrier.
    pub(super) fn send(&mut self) {
        self.set_status("sent");
        self.sent_at = Some(Time::now());
        self.valid_until = None;
    }

    /// Closes it with its final status.
    pub(super) fn finish(&mut self, status: &'static str, error: Option<ErrorObject>) {
        self.set_status(status);
        self.completed_at = Some(Time::now());
        self.errors.extend(error);
        if self.sent_at.is_none() {
            // What was never sent costs nothing.
            self.cost = None;
            self.cost_breakdown = None;
        }
    }

    fn set_status(&mut self, status: &'static str) {
        for to in &mut self.to {
            to.status = Some(status);
        }
        self.wait_seconds = None;
    }
}

/// The picture as a contact's phone sends it.
fn picture(url: String) -> Media {
    let hash = Sha256::digest(PICTURE).iter().map(|byte| format!("{byte:02x}")).collect();
    Media { url, content_type: Some("image/png"), sha256: Some(hash), size: Some(PICTURE.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_an_exact_decimal() {
        for (hundred_thousandths, amount) in
            [(510, "0.0051"), (5_100, "0.051"), (305, "0.00305"), (100_000, "1"), (0, "0")]
        {
            assert_eq!(Money::new(hundred_thousandths).amount, amount);
        }
    }
}
