//! Made-up webhooks of many accounts, with the fields that Telnyx sends in the order in which it
//! sends them.

use fastrand::Rng;
use serde_json::{Value, json};

const CARRIERS: [&str; 12] = [
    "Verizon Wireless",
    "T-MOBILE USA, INC.",
    "AT&T Wireless",
    "US Cellular",
    "Bandwidth",
    "Twilio",
    "Google (Grand Central) BWI - Bandwidth.com - SVR",
    "Rogers Communications Canada Inc.",
    "BELL MOBILITY",
    "Vodafone",
    "Telefonica O2 Germany",
    "",
];
const LINE_TYPES: [&str; 5] = ["Wireless", "long_code", "VoIP", "Landline", ""];
const HOSTS: [&str; 6] = ["sms", "hooks", "api", "app", "messages", "example"];
const DOMAINS: [&str; 5] = ["com", "org", "net", "io", "co.uk"];
const PATHS: [&str; 4] = ["webhooks/sms", "webhooks", "telnyx/inbound", "v1/webhooks/sms"];
const WORDS: [&str; 48] = [
    "hello",
    "thanks",
    "yes",
    "no",
    "ok",
    "please",
    "call",
    "me",
    "when",
    "can",
    "you",
    "we",
    "the",
    "order",
    "is",
    "ready",
    "your",
    "appointment",
    "tomorrow",
    "at",
    "today",
    "I",
    "am",
    "on",
    "my",
    "way",
    "see",
    "soon",
    "code",
    "for",
    "delivery",
    "will",
    "be",
    "there",
    "what",
    "time",
    "are",
    "it",
    "to",
    "and",
    "in",
    "great",
    "sorry",
    "late",
    "not",
    "sure",
    "how",
    "much",
];

/// One account: what all of its events share.
struct Account {
    organization: String,
    profile: String,
    number: String,
    url: String,
    campaign: Option<String>,
}

/// Webhook bodies, as bytes.
pub(super) fn events(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(seed);
    let accounts: Vec<_> = (0..count / 20).map(|_| account(&mut rng)).collect();
    (0..count)
        .map(|_| {
            let account = &accounts[rng.usize(..accounts.len())];
            event(&mut rng, account).to_string().into_bytes()
        })
        .collect()
}

fn account(rng: &mut Rng) -> Account {
    Account {
        organization: id(rng),
        profile: id(rng),
        number: number(rng),
        url: format!(
            "https://{}.{}.{}/{}",
            pick(rng, &HOSTS),
            word(rng, 5..12),
            pick(rng, &DOMAINS),
            pick(rng, &PATHS)
        ),
        campaign: rng.bool().then(|| format!("C{}", word(rng, 6..7).to_uppercase())),
    }
}

fn event(rng: &mut Rng, account: &Account) -> Value {
    let at = 1_750_000_000_000 + rng.i64(0..100_000_000_000);
    let (event_type, payload) = match rng.u8(0..10) {
        0..5 => ("message.received", inbound(rng, account, at)),
        5..7 => ("message.sent", outbound(rng, account, at, "sent")),
        7..9 => ("message.finalized", outbound(rng, account, at, "delivered")),
        _ => ("message.finalized", failed(rng, account, at)),
    };
    json!({
        "data": {
            "event_type": event_type,
            "id": id(rng),
            "occurred_at": time(at + rng.i64(20..400)),
            "payload": payload,
            "record_type": "event",
        },
        "meta": {"attempt": 1, "delivered_to": account.url},
    })
}

fn inbound(rng: &mut Rng, account: &Account, at: i64) -> Value {
    let mut payload = message(rng, account, at);
    let media = rng.u8(0..10) == 0;
    payload["direction"] = "inbound".into();
    payload["autoresponse_type"] = Value::Null;
    payload["is_spam"] = false.into();
    payload["from"] = party(rng, None);
    payload["to"] = json!([{
        "carrier": "Telnyx",
        "line_type": "Wireless",
        "phone_number": account.number,
        "status": "webhook_delivered",
    }]);
    if media {
        payload["type"] = "MMS".into();
        payload["media"] = json!([{
            "content_type": pick(rng, &["image/jpeg", "image/png", "image/gif", "video/mp4"]),
            "sha256": hex(rng, 64),
            "size": rng.u32(9_000..900_000),
            "url": format!("https://media.telnyx.com/{}.jpg", id(rng)),
        }]);
    }
    payload
}

fn outbound(rng: &mut Rng, account: &Account, at: i64, status: &str) -> Value {
    let mut payload = message(rng, account, at);
    payload["direction"] = "outbound".into();
    payload["from"] =
        json!({"carrier": "Telnyx", "line_type": "Wireless", "phone_number": account.number});
    payload["to"] = json!([party(rng, Some(status))]);
    payload["sent_at"] = time(at + rng.i64(30..200)).into();
    payload["cost"] = json!({"amount": "0.0051", "currency": "USD"});
    payload["cost_breakdown"] = json!({
        "carrier_fee": {"amount": pick(rng, &["0.00305", "0.00300", "0.00200"]), "currency": "USD"},
        "rate": {"amount": pick(rng, &["0.00205", "0.00400"]), "currency": "USD"},
    });
    payload["tags"] = json!([format!("convo:{}", id(rng))]);
    if status == "delivered" {
        payload["completed_at"] = time(at + rng.i64(900..9_000)).into();
    }
    payload
}

fn failed(rng: &mut Rng, account: &Account, at: i64) -> Value {
    let mut payload = outbound(rng, account, at, "delivery_failed");
    let (code, title) = *rng
        .choice(&[
            ("40008", "Undeliverable"),
            ("40001", "Not routable"),
            ("40002", "Blocked as spam - temporary"),
            ("40010", "Not 10DLC registered"),
            ("40300", "Blocked due to STOP message"),
        ])
        .unwrap_or(&("40008", "Undeliverable"));
    payload["errors"] = json!([{
        "code": code,
        "detail": "The recipient server, carrier, or destination phone was unable to accept the message.",
        "meta": {"url": format!("https://developers.telnyx.com/docs/overview/errors/{code}")},
        "title": title,
    }]);
    payload["completed_at"] = time(at + rng.i64(900..9_000)).into();
    payload
}

/// What messages of both directions have.
fn message(rng: &mut Rng, account: &Account, at: i64) -> Value {
    json!({
        "cc": [],
        "completed_at": null,
        "cost": null,
        "cost_breakdown": null,
        "encoding": pick(rng, &["GSM-7", "GSM-7", "GSM-7", "UCS-2"]),
        "errors": [],
        "id": message_id(rng, at),
        "media": [],
        "messaging_profile_id": account.profile,
        "organization_id": account.organization,
        "parts": rng.u8(1..3),
        "received_at": time(at),
        "record_type": "message",
        "sent_at": null,
        "subject": pick(rng, &["", ""]),
        "tags": [],
        "tcr_campaign_billable": account.campaign.is_some(),
        "tcr_campaign_id": account.campaign,
        "tcr_campaign_registered": account.campaign.as_ref().map(|_| "REGISTERED"),
        "text": text(rng),
        "type": "SMS",
        "valid_until": null,
        "webhook_failover_url": null,
        "webhook_url": account.url,
    })
}

fn party(rng: &mut Rng, status: Option<&str>) -> Value {
    let mut party = json!({
        "carrier": pick(rng, &CARRIERS),
        "line_type": pick(rng, &LINE_TYPES),
        "phone_number": number(rng),
    });
    if let Some(status) = status {
        party["status"] = status.into();
    }
    party
}

fn pick<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    rng.choice(choices).copied().unwrap_or_default()
}

fn text(rng: &mut Rng) -> String {
    let words: Vec<_> = (0..rng.usize(1..20)).map(|_| pick(rng, &WORDS)).collect();
    words.join(" ")
}

fn word(rng: &mut Rng, length: std::ops::Range<usize>) -> String {
    (0..rng.usize(length)).map(|_| rng.lowercase()).collect()
}

fn number(rng: &mut Rng) -> String {
    format!("+1{}", rng.u64(2_000_000_000..10_000_000_000))
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

/// A random UUID, as Telnyx makes for events, accounts and profiles.
fn id(rng: &mut Rng) -> String {
    let tail = hex(rng, 12);
    format!("{}-{}-4{}-{}{}-{tail}", hex(rng, 8), hex(rng, 4), hex(rng, 3), "a", hex(rng, 3))
}

/// The id of a message: `403`, the upper nine hexadecimal digits of its time in milliseconds, and
/// random digits.
fn message_id(rng: &mut Rng, at: i64) -> String {
    let clock = format!("403{:09x}", at >> 8);
    format!("{}-{}-4{}-a{}-{}", &clock[..8], &clock[8..], hex(rng, 3), hex(rng, 3), hex(rng, 12))
}

fn time(millis: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}
