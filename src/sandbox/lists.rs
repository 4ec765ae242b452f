//! Telnyx's lists: deliveries of webhooks, detail records of messages, and opt-outs.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::api_error::{ApiError, BAD_REQUEST, MISSING_PARAMETER, json};
use super::message::SandboxMessage;
use super::state::{Block, Memory};

/// The pages of a list.
struct PageSizes {
    default: usize,
    max: usize,
}

/// The parameters of a request.
pub(super) struct ListQuery(Vec<(String, String)>);

impl ListQuery {
    pub(super) fn parse(raw: &str) -> Self {
        Self(url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        let invalid =
            || ApiError::new(BAD_REQUEST, format!("The parameter {name} is not a date-time."));
        let parse = |text: &str| DateTime::parse_from_rfc3339(text).map_err(|_| invalid());
        Ok(self.get(name).map(parse).transpose()?.map(|time| time.to_utc()))
    }

    fn number(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        let invalid =
            |_| ApiError::new(BAD_REQUEST, format!("The parameter {name} is not a number."));
        self.get(name).map_or(Ok(default), |text| text.parse().map_err(invalid))
    }

    /// One page of some items.
    fn page<T: Serialize>(
        &self,
        items: &[T],
        PageSizes { default, max }: PageSizes,
    ) -> Result<Response<Bytes>, ApiError> {
        let number = self.number("page[number]", 1)?;
        let size = self.number("page[size]", default)?;
        if number == 0 || !(1..=max).contains(&size) {
            let detail = format!("page[number] begins with 1, page[size] is 1 to {max}.");
            return Err(ApiError::new(BAD_REQUEST, detail));
        }
        let page: Vec<_> =
            items.iter().skip((number - 1).saturating_mul(size)).take(size).collect();
        let meta = json!({
            "page_number": number,
            "page_size": size,
            "total_pages": items.len().div_ceil(size),
            "total_results": items.len(),
        });
        Ok(json(StatusCode::OK, &json!({ "data": page, "meta": meta })))
    }
}

/// `GET /v2/webhook_deliveries`, newest first.
pub(super) fn deliveries(memory: &Memory, query: &ListQuery) -> Result<Response<Bytes>, ApiError> {
    let status = query.get("filter[status][eq]");
    let (from, to) =
        (query.time("filter[started_at][gte]")?, query.time("filter[started_at][lte]")?);
    let mut found: Vec<_> = memory
        .deliveries
        .values()
        .filter(|one| status.is_none_or(|status| one.status() == status))
        .filter(|one| from.is_none_or(|from| one.started_at.0 >= from))
        .filter(|one| to.is_none_or(|to| one.started_at.0 <= to))
        .collect();
    found.reverse();
    query.page(&found, PageSizes { default: 20, max: 250 })
}

/// `GET /v2/detail_records` of messages.
pub(super) fn records(memory: &Memory, query: &ListQuery) -> Result<Response<Bytes>, ApiError> {
    if query.get("filter[record_type]") != Some("messaging") {
        let detail = "The sandbox has filter[record_type]=messaging only.";
        return Err(ApiError::new(MISSING_PARAMETER, detail));
    }
    let (from, before) =
        (query.time("filter[created_at][gte]")?, query.time("filter[created_at][lt]")?);
    let direction = query.get("filter[direction]");
    let mut found: Vec<_> = memory
        .messages
        .values()
        .filter(|one| direction.is_none_or(|direction| one.direction == direction))
        .filter(|one| from.is_none_or(|from| one.received_at.0 >= from))
        .filter(|one| before.is_none_or(|before| one.received_at.0 < before))
        .collect();
    found.sort_by_key(|one| (one.received_at.0, one.id));
    if query.get("sort") != Some("created_at") {
        found.reverse();
    }
    let records: Vec<_> = found.into_iter().map(record).collect();
    query.page(&records, PageSizes { default: 20, max: 50 })
}

fn record(message: &SandboxMessage) -> Value {
    let status = match message.status() {
        "delivered" => "delivered",
        "delivery_failed" | "sending_failed" => "failed",
        "delivery_unconfirmed" => "dlr_unconfirmed",
        _ => "received",
    };
    let errors: Vec<_> = message.errors.iter().map(|error| error.code).collect();
    json!({
        "record_type": "message_detail_record",
        "uuid": message.id,
        "direction": message.direction,
        "cli": message.from.phone_number,
        "cld": message.to.first().map(|to| &to.phone_number),
        "created_at": message.received_at,
        "sent_at": message.sent_at,
        "completed_at": message.completed_at,
        "updated_at": message.completed_at.or(message.sent_at).unwrap_or(message.received_at),
        "message_type": message.kind,
        "status": status,
        "errors": errors,
        "parts": message.parts,
        "profile_id": message.messaging_profile_id,
        "tags": "",
    })
}

/// `GET /v2/messaging_optouts`: the blocks that are in force.
pub(super) fn opt_outs(memory: &Memory, query: &ListQuery) -> Result<Response<Bytes>, ApiError> {
    let (from, to) = (query.time("created_at[gte]")?, query.time("created_at[lte]")?);
    let sender = query.get("filter[from]");
    let found: Vec<_> = memory
        .blocked
        .values()
        .filter(|one| from.is_none_or(|from| one.created_at.0 >= from))
        .filter(|one| to.is_none_or(|to| one.created_at.0 <= to))
        .filter(|one| sender.is_none_or(|sender| one.own == sender))
        .map(opt_out)
        .collect();
    query.page(&found, PageSizes { default: 20, max: 250 })
}

fn opt_out(block: &Block) -> Value {
    json!({
        "from": block.own,
        "to": block.contact,
        "messaging_profile_id": block.profile,
        "keyword": block.keyword,
        // The example in Telnyx's document has a space here, and its schema a date-time.
        "created_at": block.created_at.0.to_rfc3339_opts(SecondsFormat::Micros, false),
    })
}
