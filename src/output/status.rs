//! Statuses in plain words.

use super::tone::Tone;
use super::{Style, escape};
use crate::domain::{Message, Status};

/// One word for a table; at most 11 columns.
#[must_use]
pub fn word(status: Status) -> &'static str {
    match status {
        Status::DeliveryUnconfirmed => "unconfirmed",
        Status::SendingFailed => "not sent",
        Status::DeliveryFailed => "undelivered",
        other => other.as_str(),
    }
}

/// The colour of a status.
pub(super) fn tone(status: Status) -> Tone {
    match status {
        Status::Received => Tone::Plain,
        Status::Delivered | Status::Read => Tone::Good,
        Status::Unknown => Tone::Doubt,
        failed if failed.is_failure() => Tone::Bad,
        _ => Tone::Quiet,
    }
}

/// The status of an outbound message for a person: a symbol, a few words, the reason of a failure.
/// `None` for an inbound message.
#[must_use]
pub fn phrase(message: &Message, style: &Style) -> Option<String> {
    let words = match message.status {
        Status::Received => return None,
        Status::Pending => "being sent to Telnyx".to_owned(),
        Status::Unknown => "unknown: it may have been sent".to_owned(),
        Status::Scheduled => match message.send_at {
            Some(at) => format!("scheduled for {}", style.zone.day_and_clock(at)),
            None => "scheduled".to_owned(),
        },
        Status::Queued => "queued at Telnyx".to_owned(),
        Status::Sending => "sending".to_owned(),
        Status::Sent => "sent".to_owned(),
        Status::DeliveryUnconfirmed => "sent, delivery never confirmed".to_owned(),
        Status::Expired => "expired before it was sent".to_owned(),
        Status::Cancelled => "cancelled, not sent".to_owned(),
        Status::SendingFailed => "not sent".to_owned(),
        Status::DeliveryFailed => "not delivered".to_owned(),
        Status::Delivered => "delivered".to_owned(),
        Status::Read => "read".to_owned(),
    };
    let mark = style.glyphs.mark(message.status);
    let reason =
        message.error.as_ref().map(|error| format!(": {}", escape::line(&error.to_string())));
    let parts = message.segments.filter(|count| *count > 1);
    let size = parts.map(|count| format!(" {} {count} segments", style.glyphs.dot));
    Some(format!("{mark} {words}{}{}", reason.unwrap_or_default(), size.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn words_fit_their_column() {
        assert!(Status::ALL.iter().all(|status| word(*status).width() <= 11));
    }
}
