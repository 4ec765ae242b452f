//! Filters of forwarded events, in the notation of the query of `/events`.

use percent_encoding::percent_decode_str;

use crate::domain::{Direction, FeedFilter, FeedKind, PhoneNumber, Selector, Status};

/// Parses a filter such as `kind=message&direction=inbound`. A plus sign is itself, as numbers have it.
pub(super) fn parse(text: &str) -> Result<FeedFilter, String> {
    let mut filter = FeedFilter::default();
    for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8().map_err(|_| "is not UTF-8")?;
        if value.is_empty() {
            return Err(format!("has no value for '{name}'"));
        }
        set(&mut filter, name, &value)?;
    }
    Ok(filter)
}

fn set(filter: &mut FeedFilter, name: &str, value: &str) -> Result<(), String> {
    match name {
        "contact" => filter.contact = Some(Selector::new(value)),
        "number" => {
            let number = PhoneNumber::parse_sender(value).map_err(|error| error.to_string());
            filter.number = Some(number.map_err(|why| format!("has a bad 'number': {why}"))?);
        }
        "direction" => {
            let direction = Direction::parse(value);
            filter.direction =
                Some(direction.ok_or("has a 'direction' that is not inbound or outbound")?);
        }
        "kind" => {
            let kinds = value.split(',').map(FeedKind::parse).collect::<Option<_>>();
            filter.kinds =
                kinds.ok_or("has a 'kind' that is not message, status, opt_out or removed")?;
        }
        "status" => {
            for word in value.split(',') {
                let one = Status::ALL.into_iter().find(|known| known.as_str() == word);
                let group = one.map(|status| vec![status]).or_else(|| Status::group(word));
                filter.statuses.extend(group.ok_or("has a 'status' that does not exist")?);
            }
        }
        _ => {
            return Err(
                "has a filter other than contact, number, direction, kind and status".into()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_written_like_the_query_of_events() {
        let filter =
            parse("contact=+12125551234&number=%2B15551234567&direction=inbound&status=failed");
        let filter = filter.expect("a filter");
        assert_eq!(filter.contact, Some(Selector::new("+12125551234")));
        assert_eq!(filter.number.map(|number| number.to_string()).as_deref(), Some("+15551234567"));
        assert_eq!(filter.direction, Some(Direction::Inbound));
        assert_eq!(filter.statuses.len(), 3);
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for text in
            ["colour=red", "kind", "kind=", "kind=test", "direction=up", "number=12", "a=%FF"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
