//! The account's number and messaging profile: `GET /v2/phone_numbers/messaging`, and `GET` and `PATCH
//! /v2/messaging_profiles/{id}`.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::OWN_NUMBER;
use super::api_error::{ApiError, INVALID_ENUM, NOT_FOUND, json as respond};
use super::fields::Fields;
use super::message::{ORGANIZATION, PROFILE, TelnyxTime};
use super::state::SandboxState;

/// The versions of webhooks that Telnyx has.
const VERSIONS: [&str; 3] = ["1", "2", "2010-04-01"];
/// Entries of a page, unless the request says otherwise; and at most.
const PAGE: u64 = 20;
const MAX_PAGE: u64 = 250;

/// What can be changed of the one messaging profile.
#[derive(Clone, Debug)]
pub(super) struct SandboxProfile {
    name: String,
    is_enabled: bool,
    pub(super) webhook_url: Option<String>,
    failover_url: Option<String>,
    webhook_version: String,
    created_at: TelnyxTime,
    updated_at: TelnyxTime,
}

impl SandboxProfile {
    pub(super) fn new(webhook_url: Option<String>) -> Self {
        let now = TelnyxTime::now();
        Self {
            name: "Sandbox".to_owned(),
            is_enabled: true,
            webhook_url,
            failover_url: None,
            webhook_version: "2".to_owned(),
            created_at: now,
            updated_at: now,
        }
    }

    /// As Telnyx's JSON has it.
    fn to_json(&self) -> Value {
        json!({
            "record_type": "messaging_profile",
            "id": PROFILE,
            "organization_id": ORGANIZATION,
            "name": self.name,
            "enabled": self.is_enabled,
            "webhook_url": self.webhook_url,
            "webhook_failover_url": self.failover_url,
            "webhook_api_version": self.webhook_version,
            "health_webhook_url": null,
            "whitelisted_destinations": ["US", "CA"],
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "number_pool_settings": null,
            "url_shortener_settings": null,
            "alpha_sender": null,
            "ai_assistant_id": null,
            "resource_group_id": null,
            "daily_spend_limit": "0.00",
            "daily_spend_limit_enabled": false,
            "mms_fall_back_to_sms": false,
            "mms_transcoding": false,
            "mobile_only": false,
            "redaction_enabled": false,
            "redaction_level": 2,
            "smart_encoding": false,
            "v1_secret": "sandbox",
        })
    }

    /// Applies the fields of a `PATCH`; null removes a URL. What the sandbox does not simulate is
    /// accepted and ignored.
    fn change(&mut self, body: &[u8]) -> Result<(), ApiError> {
        let fields = Fields::parse(body)?;
        let mut changed = self.clone();
        if let Some(name) = fields.text("name")? {
            changed.name = name;
        }
        if let Some(is_enabled) = fields.flag("enabled")? {
            changed.is_enabled = is_enabled;
        }
        if let Some(version) = fields.text("webhook_api_version")? {
            if !VERSIONS.contains(&version.as_str()) {
                let detail = "'webhook_api_version' must be 1, 2 or 2010-04-01.";
                return Err(ApiError::new(INVALID_ENUM, detail).at("/webhook_api_version"));
            }
            changed.webhook_version = version;
        }
        if fields.has("webhook_url") {
            changed.webhook_url = fields.url("webhook_url")?;
        }
        if fields.has("webhook_failover_url") {
            changed.failover_url = fields.url("webhook_failover_url")?;
        }
        changed.updated_at = TelnyxTime::now();
        *self = changed;
        Ok(())
    }
}

/// The page of the list of numbers that a query asks for. There is one number.
pub(super) fn numbers(query: &str) -> Response<Bytes> {
    let parameter = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let count = |name, usual| {
        parameter(name).and_then(|value| value.parse().ok()).filter(|n| *n > 0).unwrap_or(usual)
    };
    let (page, size) = (count("page[number]", 1), count("page[size]", PAGE).min(MAX_PAGE));
    let number = parameter("filter[phone_number]");
    let profile = parameter("filter[messaging_profile_id]");
    let is_meant = number.is_none_or(|number| number.split(',').any(|one| one == OWN_NUMBER))
        && profile.is_none_or(|profile| profile == PROFILE);
    let total = u64::from(is_meant);
    let data = if is_meant && page == 1 { vec![own_number()] } else { Vec::new() };
    let meta = json!({
        "page_number": page, "page_size": size, "total_pages": total, "total_results": total,
    });
    respond(StatusCode::OK, &json!({ "data": data, "meta": meta }))
}

fn own_number() -> Value {
    let features = json!({
        "domestic_two_way": true, "international_inbound": true, "international_outbound": true,
    });
    let health = json!({
        "message_count": 0, "inbound_outbound_ratio": 0.0, "success_ratio": 1.0, "spam_ratio": 0.0,
    });
    let since = TelnyxTime::start();
    json!({
        "record_type": "messaging_settings",
        "id": "5000000000000000001",
        "organization_id": ORGANIZATION,
        "phone_number": OWN_NUMBER,
        "messaging_profile_id": PROFILE,
        "country_code": "US",
        "type": "longcode",
        "messaging_product": "A2P",
        "traffic_type": "A2P",
        "eligible_messaging_products": ["A2P"],
        "features": { "sms": features, "mms": features },
        "health": health,
        "tags": [],
        "created_at": since,
        "updated_at": since,
    })
}

/// The profile, changed before if there is a body.
pub(super) fn profile(
    state: &SandboxState,
    id: &str,
    change: Option<&[u8]>,
) -> Result<Response<Bytes>, ApiError> {
    if id != PROFILE {
        return Err(ApiError::new(NOT_FOUND, "There is no messaging profile with this id."));
    }
    let mut memory = state.memory();
    if let Some(body) = change {
        memory.profile.change(body)?;
    }
    Ok(respond(StatusCode::OK, &json!({ "data": memory.profile.to_json() })))
}
