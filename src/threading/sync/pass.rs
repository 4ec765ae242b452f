//! Which time a pass reads, and how it goes on: pure decisions, so that neither a clock nor a death in
//! between makes a gap.
//!
//! Positions are times of Telnyx's clock. A pass reads slices of time one after the other, each page by
//! page; it is complete once it has read the slice in which it began to read it. What appears later in
//! what was read already is found by the overlap of the next pass, or by the daily one through a week.

use crate::domain::Timestamp;
use crate::store::sync::{SourceProgress, SyncPass};

/// How much of what was read the next pass reads again.
const OVERLAP: i64 = 3_600;
/// What is read again once a day, since nobody says how late a record may appear.
const SWEEP: i64 = 7 * DAY;
const SWEEP_EVERY: i64 = DAY;
const DAY: i64 = 24 * 3_600;

/// How the items of a source are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceRange {
    /// How long Telnyx has what it lists; `None` for ever.
    pub(super) kept: Option<i64>,
    /// How long a slice is, in seconds; `None` for everything at once.
    pub(super) slice: Option<i64>,
}

impl SourceRange {
    /// What is listed by time, and kept for ten days.
    pub(super) const TEN_DAYS: Self = Self { kept: Some(10 * DAY), slice: Some(DAY) };
    /// What is kept for ever, and is not much.
    pub(super) const ALL: Self = Self { kept: None, slice: None };
}

/// The pass to make: the one that was interrupted, or a new one that begins an hour before the end of the
/// last one, or a week ago. `since` makes it begin earlier, never later. `now` is only used for what does
/// not depend on the second.
pub(super) fn next_pass(
    progress: &SourceProgress,
    since: Option<Timestamp>,
    range: SourceRange,
    now: Timestamp,
) -> SyncPass {
    let is_due =
        progress.swept_at.is_none_or(|swept_at| now.seconds_since(swept_at).abs() >= SWEEP_EVERY);
    let week = now.plus_seconds(-SWEEP);
    let base = match (progress.until, range.kept) {
        (Some(until), _) => {
            let overlapping = until.plus_seconds(-OVERLAP);
            if is_due { overlapping.min(week) } else { overlapping }
        }
        (None, Some(_)) => week,
        (None, None) => Timestamp::from_micros(0),
    };
    let oldest = range.kept.map(|seconds| now.plus_seconds(-seconds));
    let from = base.max(oldest.unwrap_or(base));
    match (progress.pass, since) {
        // What it has read is read; its end is open, so it reads what is new as well.
        (Some(pass), None) if oldest.is_none_or(|oldest| pass.slice >= oldest) => pass,
        (Some(pass), Some(since)) if since >= pass.slice => pass,
        (pass, since) => {
            let from = [since, pass.map(|pass| pass.slice)]
                .into_iter()
                .flatten()
                .fold(from, Timestamp::min)
                .max(oldest.unwrap_or(Timestamp::from_micros(0)));
            SyncPass { from, slice: from, page: 1, asked_at: None, is_sweep: from <= week }
        }
    }
}

/// The end of the slice that a pass is at; `None` for an open one.
pub(super) fn slice_end(pass: &SyncPass, range: SourceRange) -> Option<Timestamp> {
    range.slice.map(|seconds| pass.slice.plus_seconds(seconds))
}

/// Records that a page was read, the last of its slice or not. `asked_at` is when, by Telnyx's clock.
/// Returns whether the pass is complete.
pub(super) fn advance(
    progress: &mut SourceProgress,
    mut pass: SyncPass,
    range: SourceRange,
    is_last: bool,
    asked_at: Timestamp,
) -> bool {
    let begun = *pass.asked_at.get_or_insert(asked_at);
    if !is_last {
        pass.page += 1;
        progress.pass = Some(pass);
        return false;
    }
    match slice_end(&pass, range).filter(|end| *end <= begun) {
        Some(next) => {
            progress.pass = Some(SyncPass { slice: next, page: 1, asked_at: None, ..pass });
            false
        }
        None => {
            progress.pass = None;
            // Telnyx's clock may have been set back: what was read stays read.
            progress.until = Some(progress.until.map_or(begun, |until| until.max(begun)));
            if pass.is_sweep {
                progress.swept_at = Some(begun);
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SyncSource;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_795_000_000_000_000).plus_seconds(seconds)
    }

    fn new() -> SourceProgress {
        SourceProgress::new(SyncSource::Records)
    }

    fn from(progress: &SourceProgress, since: Option<i64>, now: i64) -> i64 {
        let pass = next_pass(progress, since.map(at), SourceRange::TEN_DAYS, at(now));
        pass.slice.seconds_since(at(0))
    }

    #[test]
    fn a_pass_begins_before_the_end_of_the_last_one() {
        assert_eq!(from(&new(), None, 0), -7 * DAY);
        assert_eq!(from(&new(), Some(-10 * DAY), 0), -10 * DAY);
        assert_eq!(from(&new(), Some(-HOUR), 0), -7 * DAY, "never later than without since");
        let known = SourceProgress { until: Some(at(0)), swept_at: Some(at(0)), ..new() };
        assert_eq!(from(&known, None, 600), -HOUR);
        assert_eq!(from(&known, Some(-2 * DAY), 600), -2 * DAY);
        assert_eq!(from(&known, None, DAY), -6 * DAY, "the daily week");
        assert_eq!(from(&known, None, 30 * DAY), 20 * DAY, "Telnyx has no more");
        let (all, now) = (SourceRange::ALL, at(0));
        assert_eq!(next_pass(&new(), None, all, now).slice, Timestamp::from_micros(0));
        assert_eq!(next_pass(&known, None, all, at(30 * DAY)).slice, at(-HOUR));
    }

    #[test]
    fn an_interrupted_pass_goes_on_where_it_was() {
        let pass = SyncPass {
            from: at(-7 * DAY),
            slice: at(-3 * DAY),
            page: 4,
            asked_at: Some(at(0)),
            is_sweep: true,
        };
        let known = SourceProgress { until: Some(at(-DAY)), pass: Some(pass), ..new() };
        assert_eq!(next_pass(&known, None, SourceRange::TEN_DAYS, at(HOUR)), pass);
        assert_eq!(next_pass(&known, Some(at(-DAY)), SourceRange::TEN_DAYS, at(HOUR)), pass);
        assert_eq!(from(&known, Some(-9 * DAY), 0), -9 * DAY);
        assert_eq!(from(&known, None, 9 * DAY), -DAY, "its place is no longer kept");
    }

    /// Reads as Telnyx lists, with deaths in between, and returns the items that were seen.
    fn read(
        items: &[i64],
        deaths: &[bool],
        mut telnyx_now: i64,
        skew: i64,
        progress: &mut SourceProgress,
    ) -> Vec<i64> {
        const PAGE: usize = 3;
        let mut deaths = deaths.iter().copied();
        let (range, mut seen) = (SourceRange::TEN_DAYS, Vec::new());
        loop {
            let pass = next_pass(progress, None, range, at(telnyx_now + skew));
            let (mut pass, mut ended) = (pass, false);
            while !ended {
                let (slice, end) = (pass.slice, slice_end(&pass, range).expect("slices"));
                let listed: Vec<_> = items
                    .iter()
                    .copied()
                    .filter(|item| *item <= telnyx_now && (slice..end).contains(&at(*item)))
                    .collect();
                let begin = usize::try_from(pass.page - 1).expect("small") * PAGE;
                seen.extend(listed.iter().skip(begin).take(PAGE));
                if deaths.next().unwrap_or(false) {
                    break;
                }
                let is_last = listed.len() <= begin + PAGE;
                ended = advance(progress, pass, range, is_last, at(telnyx_now));
                if let Some(next) = progress.pass {
                    pass = next;
                }
                telnyx_now += 1;
            }
            if ended {
                return seen;
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_missed_whatever_the_clocks_and_the_deaths(
            mut items in proptest::collection::vec(-6 * DAY..DAY, 0..60),
            deaths in proptest::collection::vec(any::<bool>(), 0..30),
            skew in -HOUR..HOUR,
            pause in 0..DAY,
        ) {
            items.sort_unstable();
            let mut progress = new();
            let mut seen = read(&items, &deaths, 0, skew, &mut progress);
            seen.extend(read(&items, &deaths, pause.max(200), skew, &mut progress));
            for item in items.iter().filter(|item| **item <= pause) {
                prop_assert!(seen.contains(item), "{item}");
            }
        }
    }
}
