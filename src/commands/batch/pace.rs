//! At which pace texts go out: a rate for each number of ours, which gives way when Telnyx asks for it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::PhoneNumber;

/// How far behind its schedule a number may be and still catch up.
const LAG: Duration = Duration::from_secs(1);
/// The slowest that a number becomes, as a part of its rate.
const SLOWEST: f64 = 1.0 / 64.0;
/// By how much a number becomes faster again with each text that is taken.
const RECOVERY: f64 = 1.1;
/// The shortest pause after Telnyx asked for a slower pace.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest, so that a run goes on trying.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// So many texts in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    per_second: f64,
}

impl Rate {
    /// What Telnyx sends by default from a number of this kind, without queueing: six a minute from a long
    /// code and from an alphanumeric sender, twenty a second from a toll-free number. A short code may send
    /// more than the fifty a second that an account may.
    pub(super) fn of_sender(number: &PhoneNumber) -> Self {
        const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];
        let number = number.as_str();
        let is_toll_free = number.strip_prefix("+1").is_some_and(|national| {
            national.len() == 10 && TOLL_FREE.iter().any(|code| national.starts_with(code))
        });
        let is_short = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_toll_free {
            return Self { per_second: 20.0 };
        }
        Self { per_second: if is_short { 50.0 } else { 0.1 } }
    }

    fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }

    /// How long so many texts take.
    pub(super) fn time_for(self, texts: u64) -> Duration {
        // Exact up to 2^53.
        Duration::try_from_secs_f64(texts as f64 / self.per_second).unwrap_or(Duration::MAX)
    }

    /// That of several numbers together.
    pub(super) fn sum(rates: impl Iterator<Item = Self>) -> Option<Self> {
        let per_second: f64 = rates.map(|rate| rate.per_second).sum();
        (per_second > 0.0).then_some(Self { per_second })
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give a rate such as 6/min, 1/s or 300/h, up to 1000/s".to_owned();
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let seconds = match unit.trim() {
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        let is_plain = |b: u8| b.is_ascii_digit() || b == b'.';
        let count = count.trim();
        let count: f64 = Some(count)
            .filter(|count| count.bytes().all(is_plain))
            .and_then(|count| count.parse().ok())
            .ok_or_else(wrong)?;
        let per_second = count / seconds;
        // At least one a day.
        let is_possible = (1.0 / 86_401.0..=1_000.0).contains(&per_second);
        if is_possible { Ok(Self { per_second }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("s", 1.0), ("min", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
        let (unit, seconds) = units
            .into_iter()
            .find(|(_, s)| self.per_second * s >= 0.999)
            .unwrap_or(("d", 86_400.0));
        let count = (self.per_second * seconds * 10.0).round() / 10.0;
        write!(f, "{count}/{unit}")
    }
}

/// A time for people, in its one or two largest units.
pub(super) fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// When the next text from each number may go.
#[derive(Debug)]
pub(super) struct LanePacer {
    /// The rate that was asked for; that of each number's kind otherwise.
    rate: Option<Rate>,
    lanes: HashMap<PhoneNumber, Lane>,
}

/// The schedule of one number.
#[derive(Debug)]
struct Lane {
    interval: Duration,
    /// The part of its rate at which it sends now.
    part: f64,
    next: Instant,
    /// Before then it is not slowed down again: what was under way is told the same.
    slowed_until: Instant,
}

impl LanePacer {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, lanes: HashMap::new() }
    }

    /// The rate of a number.
    pub(super) fn rate_of(&self, number: &PhoneNumber) -> Rate {
        self.rate.unwrap_or_else(|| Rate::of_sender(number))
    }

    fn lane(&mut self, number: &PhoneNumber, now: Instant) -> &mut Lane {
        let interval = self.rate_of(number).interval();
        let new = || Lane { interval, part: 1.0, next: now, slowed_until: now };
        self.lanes.entry(number.clone()).or_insert_with(new)
    }

    /// The one of some numbers that may send first; of those that may at the same time, the first.
    pub(super) fn first_free<'a>(
        &mut self,
        numbers: &'a [PhoneNumber],
        now: Instant,
    ) -> Option<&'a PhoneNumber> {
        numbers.iter().min_by_key(|number| self.lane(number, now).next)
    }

    /// Takes the next place in the schedule of a number; returns when that is.
    pub(super) fn take(&mut self, number: &PhoneNumber, now: Instant) -> Instant {
        let lane = self.lane(number, now);
        // What was late for a moment is made up for, so that the pace is held; a long pause is not.
        let earliest = now.checked_sub(LAG).unwrap_or(now);
        let at = lane.next.max(earliest);
        lane.next = at + lane.interval.div_f64(lane.part);
        at
    }

    /// Halves the pace of a number, and lets it pause.
    pub(super) fn slow_down(&mut self, number: &PhoneNumber, wait: Option<Duration>, now: Instant) {
        let lane = self.lane(number, now);
        let pause = wait.unwrap_or_default().clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        lane.next = lane.next.max(now + pause);
        if now >= lane.slowed_until {
            lane.part = (lane.part / 2.0).max(SLOWEST);
            lane.slowed_until = now + pause;
        }
    }

    /// Brings a number nearer to its rate again, after a text was taken.
    pub(super) fn speed_up(&mut self, number: &PhoneNumber, now: Instant) {
        let lane = self.lane(number, now);
        if now >= lane.slowed_until {
            lane.part = (lane.part * RECOVERY).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> PhoneNumber {
        PhoneNumber::parse_sender(text).expect("a sender")
    }

    #[test]
    fn a_rate_is_read_and_written() {
        for (text, shown) in [
            ("6/min", "6/min"),
            ("1/s", "1/s"),
            ("300/h", "5/min"),
            ("30/h", "30/h"),
            ("0.5/s", "30/min"),
            ("1000/s", "1000/s"),
            ("1/d", "1/d"),
        ] {
            assert_eq!(text.parse::<Rate>().expect(text).to_string(), shown, "{text}");
        }
        for bad in ["", "6", "6/", "/s", "0/s", "-1/s", "6/w", "1001/s", "0.1/d", "inf/s", "nan/s"]
        {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_kind_of_sender_has_its_rate() {
        for (sender, rate) in [
            ("+15551234567", "6/min"),
            ("+18005551234", "20/s"),
            ("+448005551234", "6/min"),
            ("72975", "50/s"),
            ("ACME", "6/min"),
        ] {
            assert_eq!(Rate::of_sender(&number(sender)).to_string(), rate, "{sender}");
        }
        let both = Rate::sum(["1/s", "2/s"].iter().map(|rate| rate.parse().expect("a rate")));
        assert_eq!(both.expect("a rate").time_for(30), Duration::from_secs(10));
    }

    #[test]
    fn texts_are_spaced_and_small_delays_are_made_up_for() {
        let (own, start) = (number("+15551234567"), Instant::now());
        let mut pacer = LanePacer::new("10/s".parse().ok());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(pacer.take(&own, at(0)), at(0));
        assert_eq!(pacer.take(&own, at(0)), at(100));
        assert_eq!(pacer.take(&own, at(450)), at(200), "late, so at once");
        assert_eq!(pacer.take(&own, at(450)), at(300));
        assert_eq!(pacer.take(&own, at(9_000)), at(8_000), "a long pause is not made up for");
    }

    #[test]
    fn numbers_take_turns() {
        let (numbers, now) = ([number("+15551234567"), number("+15557654321")], Instant::now());
        let mut pacer = LanePacer::new("1/s".parse().ok());
        let mut turns = Vec::new();
        for _ in 0..4 {
            let next = pacer.first_free(&numbers, now).expect("one").clone();
            pacer.take(&next, now);
            turns.push(next);
        }
        assert_eq!(turns, [&numbers[..], &numbers[..]].concat());
    }

    #[test]
    fn a_number_is_slowed_down_once_for_all_that_is_under_way_and_recovers() {
        let (own, start) = (number("+15551234567"), Instant::now());
        let mut pacer = LanePacer::new("10/s".parse().ok());
        pacer.take(&own, start);
        for _ in 0..5 {
            pacer.slow_down(&own, Some(Duration::from_secs(2)), start);
        }
        let resumed = start + Duration::from_secs(2);
        assert_eq!(pacer.take(&own, start), resumed);
        assert_eq!(pacer.take(&own, start), resumed + Duration::from_millis(200));
        for _ in 0..8 {
            pacer.speed_up(&own, resumed);
        }
        let later = resumed + Duration::from_secs(60);
        let first = pacer.take(&own, later);
        assert_eq!(pacer.take(&own, later) - first, Duration::from_millis(100));
    }
}
