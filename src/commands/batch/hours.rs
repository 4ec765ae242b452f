//! Between which hours texts go out: `09:00-20:00`, in the local time zone or in a given one.

use std::fmt;
use std::str::FromStr;

use chrono::{FixedOffset, Local, NaiveTime, Timelike};
use chrono_tz::Tz;

use crate::domain::Timestamp;

const DAY_MINUTES: u32 = 24 * 60;

/// A part of the day, which may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    /// Minutes after midnight.
    from: u32,
    until: u32,
    /// `None` for the local time zone.
    zone: Option<HoursZone>,
}

/// A time zone that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoursZone {
    /// `+02:00`.
    Offset(FixedOffset),
    /// `Europe/Berlin`, with its summer time.
    Named(Tz),
}

impl Hours {
    /// The seconds until they begin; 0 if it is between them. With `is_utc`, they are those of UTC unless
    /// they have a zone.
    pub(super) fn seconds_to_wait(self, now: Timestamp, is_utc: bool) -> u64 {
        let utc = now.to_utc();
        let time = match self.zone {
            Some(HoursZone::Named(zone)) => utc.with_timezone(&zone).time(),
            Some(HoursZone::Offset(offset)) => utc.with_timezone(&offset).time(),
            None if is_utc => utc.time(),
            None => utc.with_timezone(&Local).time(),
        };
        self.seconds_from(time)
    }

    fn seconds_from(self, time: NaiveTime) -> u64 {
        let second = time.num_seconds_from_midnight();
        let minute = second / 60;
        let is_between = if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        };
        if is_between {
            return 0;
        }
        let begin = self.from * 60;
        let day = DAY_MINUTES * 60;
        u64::from((begin + day - second) % day)
    }
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "give the hours as 09:00-20:00, in the local time zone, or with a zone: \
             09:00-20:00@Europe/Berlin, 09:00-20:00@+02:00"
                .to_owned()
        };
        let (hours, zone) = match text.split_once('@') {
            Some((hours, zone)) => (hours, Some(zone)),
            None => (text, None),
        };
        let zone = zone.map(HoursZone::parse).transpose().map_err(|()| wrong())?;
        let (from, until) = hours.split_once('-').ok_or_else(wrong)?;
        let (from, until) = (minute(from), minute(until));
        let (from, until) = (from.ok_or_else(wrong)?, until.ok_or_else(wrong)?);
        if from == until || from == DAY_MINUTES {
            return Err(wrong());
        }
        Ok(Self { from, until, zone })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{}-{}", time(self.from), time(self.until))?;
        match self.zone {
            None => Ok(()),
            Some(HoursZone::Offset(offset)) => write!(f, "@{offset}"),
            Some(HoursZone::Named(zone)) => write!(f, "@{zone}"),
        }
    }
}

impl HoursZone {
    fn parse(text: &str) -> Result<Self, ()> {
        if let Ok(offset) = text.parse() {
            return Ok(Self::Offset(offset));
        }
        let name = if text == "Z" { "UTC" } else { text };
        name.parse().map(Self::Named).map_err(drop)
    }
}

/// The minute of a time of day, of which 24:00 is the end.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| match text.len() {
        1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<u32>().ok(),
        _ => None,
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MINUTES).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(hours: &str, time: &str) -> u64 {
        let at = Timestamp::parse(&format!("2026-11-30T{time}Z")).expect("a time");
        hours.parse::<Hours>().expect(hours).seconds_to_wait(at, true)
    }

    #[test]
    fn it_is_between_them_or_they_are_waited_for() {
        for (hours, time, seconds) in [
            ("09:00-20:00", "09:00:00", 0),
            ("9:00-20:00", "19:59:59", 0),
            ("09:00-20:00", "20:00:00", 13 * 3_600),
            ("09:00-20:00", "08:59:30", 30),
            ("22:00-06:00", "23:00:00", 0),
            ("22:00-06:00", "05:59:59", 0),
            ("22:00-06:00", "06:00:00", 16 * 3_600),
            ("00:00-24:00", "23:59:59", 0),
            ("09:00-20:00@+02:00", "07:00:00", 0),
            ("09:00-20:00@-05:00", "13:00:00", 3_600),
            ("09:00-20:00@UTC", "10:00:00", 0),
            ("09:00-20:00@Z", "08:00:00", 3_600),
            ("09:00-20:00@Europe/Berlin", "07:00:00", 3_600),
            ("09:00-20:00@America/New_York", "13:00:00", 3_600),
        ] {
            assert_eq!(wait(hours, time), seconds, "{hours} {time}");
        }
    }

    #[test]
    fn a_named_zone_has_its_summer_time() {
        let hours: Hours = "09:00-20:00@Europe/Berlin".parse().expect("hours");
        let at = |time| Timestamp::parse(time).expect("a time");
        assert_eq!(hours.seconds_to_wait(at("2026-07-01T07:00:00Z"), true), 0);
        assert_eq!(hours.seconds_to_wait(at("2026-12-01T07:00:00Z"), true), 3_600);
        assert_eq!(hours.to_string().parse(), Ok(hours));
    }

    #[test]
    fn what_is_not_a_part_of_the_day_is_refused() {
        for bad in [
            "",
            "09:00",
            "9-20",
            "09:00-09:00",
            "24:00-09:00",
            "09:60-10:00",
            "25:00-26:00",
            "09:00-20:00@",
            "09:00-20:00@Mars",
            "+9:00-10:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }
}
