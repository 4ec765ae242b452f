//! The fold of delivery reports into the status of a message.
//!
//! A recipient has the highest status that any report gives it, and a message has the lowest status
//! of its recipients. A maximum and a minimum over a set depend neither on the order in which reports
//! arrive nor on how often they are repeated, and one more report can only raise them.

use std::collections::BTreeMap;

use super::{Status, Timestamp};

/// The part of a delivery report that decides a status.
///
/// Reports are ordered by their fields in turn: among reports with the same status the latest
/// decides, because its error is the one to show. The ids make the order total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reported<'a> {
    /// The status that it reports.
    pub status: Status,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Timestamp,
    /// The id of the event that carried it.
    pub event_id: &'a [u8],
    /// The recipient it is about; empty when the event names none.
    pub recipient: &'a str,
}

/// The report that decides the status of a message. `None` without reports, and while one of several
/// recipients has none: the message then keeps its status.
///
/// With at most one recipient, every report is about it, whatever number it names. With several, a
/// report that names none of them does not count: treated as a further recipient, it could lower the
/// status of the message.
pub fn deciding_report<'a>(
    recipients: &[String],
    reports: impl IntoIterator<Item = Reported<'a>>,
) -> Option<Reported<'a>> {
    if recipients.len() <= 1 {
        return reports.into_iter().max();
    }
    let mut highest: BTreeMap<&str, Option<Reported>> =
        recipients.iter().map(|number| (number.as_str(), None)).collect();
    for report in reports {
        if let Some(known) = highest.get_mut(report.recipient) {
            *known = Some(report).max(*known);
        }
    }
    // `None`, which is below every report, is a recipient without one.
    highest.into_values().min().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    const NUMBERS: [&str; 3] = ["+12125550001", "+12125550002", "+12125550003"];
    const EVENTS: [&[u8]; 5] = [b"e1", b"e2", b"e3", b"e4", b"e5"];

    fn recipients(count: usize) -> Vec<String> {
        NUMBERS[..count].iter().copied().map(str::to_owned).collect()
    }

    /// A report about one of the numbers, or one that names none, at one of few times.
    fn report() -> impl Strategy<Value = Reported<'static>> {
        let recipient = select(&["", NUMBERS[0], NUMBERS[1], NUMBERS[2]][..]);
        let parts = (select(&Status::ALL[2..13]), 0..3_i64, select(&EVENTS[..]), recipient);
        parts.prop_map(|(status, seconds, event_id, recipient)| {
            let occurred_at = Timestamp::from_micros(seconds * 1_000_000);
            Reported { status, occurred_at, event_id, recipient }
        })
    }

    fn reported(status: Status, seconds: i64, recipient: &'static str) -> Reported<'static> {
        let occurred_at = Timestamp::from_micros(seconds * 1_000_000);
        Reported { status, occurred_at, event_id: b"e1", recipient }
    }

    #[test]
    fn the_latest_of_equal_reports_decides() {
        let early = reported(Status::SendingFailed, 1, NUMBERS[0]);
        let late = reported(Status::SendingFailed, 2, NUMBERS[0]);
        let lower = reported(Status::Sent, 3, NUMBERS[0]);
        let decides = deciding_report(&recipients(1), [late, lower, early]);
        assert_eq!(decides, Some(late));
    }

    #[test]
    fn the_lowest_recipient_decides_once_all_have_a_report() {
        let delivered = reported(Status::Delivered, 1, NUMBERS[0]);
        let sent = reported(Status::Sent, 2, NUMBERS[1]);
        assert_eq!(deciding_report(&recipients(2), [delivered]), None);
        assert_eq!(deciding_report(&recipients(2), [delivered, sent]), Some(sent));
        let failed = reported(Status::DeliveryFailed, 0, NUMBERS[1]);
        assert_eq!(deciding_report(&recipients(2), [delivered, sent, failed]), Some(failed));
    }

    #[test]
    fn every_report_is_about_a_single_recipient() {
        let unnamed = reported(Status::Delivered, 1, "");
        let other = reported(Status::Sent, 2, NUMBERS[2]);
        for count in [0, 1] {
            assert_eq!(deciding_report(&recipients(count), [other, unnamed]), Some(unnamed));
        }
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(
            count in 0..=3_usize,
            (reports, shuffled) in vec(report(), 1..10)
                .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
            repeats in vec((any::<Index>(), any::<Index>()), 0..10),
        ) {
            let mut other = shuffled;
            for (what, at) in repeats {
                let report = *what.get(&reports);
                other.insert(at.index(other.len() + 1), report);
            }
            let recipients = recipients(count);
            let decides = deciding_report(&recipients, reports.iter().copied());
            prop_assert_eq!(deciding_report(&recipients, other), decides);
        }

        #[test]
        fn a_further_report_never_lowers_the_status(
            count in 0..=3_usize,
            reports in vec(report(), 1..10),
            further in report(),
        ) {
            let recipients = recipients(count);
            let before = deciding_report(&recipients, reports.iter().copied());
            let after = deciding_report(&recipients, reports.iter().copied().chain([further]));
            prop_assert!(after.map(|report| report.status) >= before.map(|report| report.status));
        }

        #[test]
        fn of_several_recipients_the_lowest_decides(
            count in 2..=3_usize,
            reports in vec(report(), 1..12),
        ) {
            let recipients = recipients(count);
            let status = |number: &String| {
                let about = reports.iter().filter(|report| report.recipient == number);
                about.map(|report| report.status).max()
            };
            let lowest = recipients.iter().map(status).min().flatten();
            let decides = deciding_report(&recipients, reports.iter().copied());
            prop_assert_eq!(decides.map(|report| report.status), lowest);
        }
    }
}
