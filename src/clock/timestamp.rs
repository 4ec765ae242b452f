//! Points in time with the resolution of the API: microseconds, in UTC.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time in microseconds since the Unix epoch.
///
/// Stored as an integer, because integers compare and sort the same in every database; displayed as
/// RFC 3339 in UTC with six fractional digits and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Clamps `micros` to the range of calendar dates.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        let (min, max) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
        Self(micros.clamp(min.timestamp_micros(), max.timestamp_micros()))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// The date and time in UTC.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The time `seconds` later, or earlier if negative.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_micros(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The time after `duration`.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// The time before `duration`.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// Whole seconds since `earlier`; negative if `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }

    /// Parses RFC 3339 and nothing else, as a caller has to write it. It must have a time zone:
    /// interpreted as UTC, a local time could be hours off.
    #[must_use]
    pub fn parse_with_zone(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc().into())
    }

    /// Deserializes an optional time from a caller, as [`parse_with_zone`](Self::parse_with_zone)
    /// has it.
    ///
    /// # Errors
    /// If it is not an RFC 3339 time.
    pub fn deserialize_with_zone<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Self>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let wrong = || serde::de::Error::custom("not an RFC 3339 time with a time zone");
        Self::parse_with_zone(&text).map(Some).ok_or_else(wrong)
    }

    /// Parses the formats that Telnyx uses: RFC 3339 with `Z` or an offset, with or without a
    /// fraction, with a space in place of `T`; without a time zone, it is UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let zoned = || {
            ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.f%z"]
                .iter()
                .find_map(|format| DateTime::parse_from_str(text, format).ok())
                .map(|time| time.to_utc().into())
        };
        let local = || {
            ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
                .map(|time| time.and_utc().into())
        };
        Self::parse_with_zone(text).or_else(zoned).or_else(local)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_formats_of_a_time_parse_to_the_same() {
        let expected = Timestamp::from_micros(1_795_352_400_588_000);
        for text in [
            "2026-11-22T13:00:00.588Z",
            "2026-11-22T13:00:00.588+00:00",
            "2026-11-22T15:00:00.588+02:00",
            "2026-11-22 13:00:00.588000+00:00",
            "2026-11-22T13:00:00.588",
            " 2026-11-22 13:00:00.588 ",
        ] {
            assert_eq!(Timestamp::parse(text), Some(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "2026-11-22T13:00:00.588000Z");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "1795352880", "2026-11-22"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_caller_has_to_name_the_time_zone() {
        let expected = Some(Timestamp::from_micros(1_795_352_400_000_000));
        for text in ["2026-11-22T13:00:00Z", "2026-11-22T15:00:00+02:00"] {
            assert_eq!(Timestamp::parse_with_zone(text), expected, "{text}");
        }
        for text in ["2026-11-22T13:00:00", "2026-11-22T15:00:00+0200", "2026-11-22"] {
            assert_eq!(Timestamp::parse_with_zone(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn displayed_times_parse_back(micros in 0_i64..4_000_000_000_000_000) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn no_integer_panics(micros: i64) {
            let _ = Timestamp::from_micros(micros).to_string();
        }
    }
}
