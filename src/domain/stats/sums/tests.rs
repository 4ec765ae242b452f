use super::*;
use proptest::prelude::*;

fn key(quarter: i64, direction: Direction, status: Status) -> SumKey {
    let (number, error) = ("+15551234567".to_owned(), String::new());
    SumKey { quarter, direction, status, number, error, currency: "USD".into() }
}

fn messages(count: u64, cost: &str) -> Sum {
    let cost = Amount::parse(cost).expect("an amount");
    Sum { messages: count, segments: count, cost, ..Sum::default() }
}

#[test]
fn amounts_are_added_exactly() {
    let shown = |text: &str| Amount::parse(text).map(Amount::to_text);
    for (text, as_shown) in [
        ("0", "0.00"),
        ("0.0051", "0.0051"),
        ("-1.5", "-1.50"),
        ("1.", "1.00"),
        ("0.0000000019", "0.000000001"),
    ] {
        assert_eq!(shown(text).as_deref(), Some(as_shown), "{text}");
    }
    for text in ["", ".", "-", "+1", "1e3", "0x1", "1,5", "1000001", "99999999999999999999", "١"] {
        assert_eq!(shown(text), None, "{text}");
    }
    let mut sum = Sum::default();
    (0..1_000).for_each(|_| sum.add(&messages(1, "0.1")));
    assert_eq!(sum.cost.to_text(), "100.00");
}

#[test]
fn a_time_on_a_bound_is_within_it() {
    let mut sum = Sum::default();
    for micros in [-5, 0, 5_000_000, 5_000_001, 60_000_000, 3_600_000_000, 3_600_000_001] {
        sum.add_time(micros);
    }
    assert_eq!(sum.times, [3, 1, 1, 0, 1, 1]);
}

#[test]
fn a_delivery_rate_is_that_of_messages_with_a_final_status() {
    let query = StatsQuery { by: StatsBy::Status, ..StatsQuery::default() };
    let mut collector = Collector::new(&query);
    for (status, count) in [
        (Status::Delivered, 5),
        (Status::Read, 1),
        (Status::DeliveryUnconfirmed, 1),
        (Status::DeliveryFailed, 2),
        (Status::Cancelled, 7),
        (Status::Sent, 9),
    ] {
        collector.add(&key(0, Direction::Outbound, status), &messages(count, "0.0040"));
    }
    collector.add(&key(0, Direction::Inbound, Status::Received), &messages(4, "0"));
    let stats = collector.finish(true, false);
    let total = &stats.total;
    assert_eq!(total.delivery_rate, Some(0.6666));
    assert_eq!((total.inbound, total.outbound, total.delivered), (4, 25, 6));
    assert_eq!((total.unconfirmed, total.failed, total.cancelled, total.open), (1, 2, 7, 9));
    assert_eq!(total.cost, [Cost { amount: "0.024".into(), currency: "USD".into() }]);
    let keys: Vec<_> = stats.rows.iter().map(|row| row.key.as_str()).collect();
    let expected = "sent delivery_unconfirmed cancelled delivery_failed delivered read received";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(stats.rows[0].counts.delivery_rate, None);
}

#[test]
fn days_begin_at_local_midnight_also_where_the_clocks_differ_by_quarters() {
    let days = |offset: &str, quarters: &[i64]| {
        let offsets = offset.parse().expect("an offset");
        let query = StatsQuery { offsets, ..StatsQuery::default() };
        let mut collector = Collector::new(&query);
        for quarter in quarters {
            let key = key(*quarter, Direction::Inbound, Status::Received);
            collector.add(&key, &messages(1, "0"));
        }
        let rows = collector.finish(true, false).rows;
        rows.into_iter().map(|row| (row.key, row.counts.inbound)).collect::<Vec<_>>()
    };
    let days_of = |found: &[(&str, u64)]| {
        found.iter().map(|(day, count)| ((*day).to_owned(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(days("+00:00", &[95, 96]), days_of(&[("1970-01-01", 1), ("1970-01-02", 1)]));
    // Kathmandu: its midnight is at 18:15 UTC.
    assert_eq!(days("+05:45", &[72, 73]), days_of(&[("1970-01-01", 1), ("1970-01-02", 1)]));
    assert_eq!(days("-01:00", &[3, 4]), days_of(&[("1969-12-31", 1), ("1970-01-01", 1)]));
    let changed = "+00:00,1970-01-01T22:00:00Z=+02:00";
    assert_eq!(days(changed, &[87, 88]), days_of(&[("1970-01-01", 1), ("1970-01-02", 1)]));
}

#[test]
fn errors_have_titles_and_hints_and_a_stop_is_told_apart() {
    let error = |code: Option<&str>, title: &str| MessageError {
        code: code.map(Into::into),
        title: title.into(),
        detail: None,
    };
    let query = StatsQuery { by: StatsBy::Error, limit: Some(1), ..StatsQuery::default() };
    let mut collector = Collector::new(&query);
    for (error, count) in [
        (error(Some("40002"), "Blocked as spam"), 1),
        (error(Some("40300"), "Blocked due to STOP message"), 3),
        (error(Some("40300"), "Number not assigned"), 2),
        (error(None, "Not sent in time"), 5),
    ] {
        let failed = key(0, Direction::Outbound, Status::DeliveryFailed);
        let key = SumKey { error: SumKey::error_key(&error), ..failed };
        collector.add(&key, &Sum { title: error.title, ..messages(count, "0") });
    }
    let stats = collector.finish(true, false);
    let of = |error: &ErrorCount| {
        let hint = error.hint.clone().unwrap_or_default();
        (error.code.clone().unwrap_or_default(), error.messages, hint)
    };
    let found: Vec<_> = stats.errors.iter().map(of).collect();
    assert_eq!(found[0], (String::new(), 5, String::new()));
    assert!(found[1].0 == "40300" && found[1].2.contains("START"), "{:?}", found[1]);
    assert!(found[2].0 == "40300" && found[2].2.contains("profile"), "{:?}", found[2]);
    assert!(found[3].2.contains("spam"), "{:?}", found[3]);
    // The two meanings of one code are one row.
    assert_eq!((stats.rows.len(), stats.more), (1, true));
    assert_eq!((stats.rows[0].key.as_str(), stats.rows[0].counts.failed), ("-", 5));
}

#[test]
fn of_days_the_last_ones_are_kept_and_of_others_the_largest() {
    let rows = |by: StatsBy| {
        let query = StatsQuery { by, limit: Some(1), ..StatsQuery::default() };
        let mut collector = Collector::new(&query);
        for (quarter, number, count) in [(0, "+1", 9), (100, "+2", 1)] {
            let inbound = key(quarter, Direction::Inbound, Status::Received);
            let key = SumKey { number: number.into(), ..inbound };
            collector.add(&key, &messages(count, "0"));
        }
        let stats = collector.finish(true, false);
        (stats.rows[0].key.clone(), stats.rows.len(), stats.more)
    };
    assert_eq!(rows(StatsBy::Day), ("1970-01-02".to_owned(), 1, true));
    assert_eq!(rows(StatsBy::Number), ("+1".to_owned(), 1, true));
}

proptest! {
    #[test]
    fn no_amount_panics(text in "\\PC{0,30}") {
        let _ = Amount::parse(&text).map(Amount::to_text);
    }
}
