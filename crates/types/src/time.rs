//! Time as nanoseconds since the Unix epoch, UTC.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One millisecond in nanoseconds.
pub const MILLI: i64 = 1_000_000;
/// One second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;
/// One minute in nanoseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour in nanoseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// One day in nanoseconds.
pub const DAY: i64 = 24 * HOUR;

/// A moment: nanoseconds since 1970-01-01T00:00:00Z. In JSON it is RFC 3339 with nine decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// RFC 3339 in UTC with nanoseconds, e.g. `2026-01-02T03:04:05.000000006Z`.
    pub fn rfc3339(self) -> String {
        let (s, ns) = (self.0.div_euclid(SECOND), self.0.rem_euclid(SECOND) as u32);
        match chrono::DateTime::from_timestamp(s, ns) {
            Some(t) => t.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true),
            None => String::new(),
        }
    }

    /// Reads RFC 3339 with any offset; `None` where the text is not such a time or lies outside 1677..2262.
    pub fn parse(text: &str) -> Option<Time> {
        chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt().map(Time)
    }

    /// Start of the bucket of `width_ns` that this moment lies in.
    pub fn floor(self, width_ns: i64) -> Time {
        Time(self.0 - self.0.rem_euclid(width_ns))
    }

    /// This moment moved by `ns` (negative: back), saturating at the ends of the range.
    pub fn plus(self, ns: i64) -> Time {
        Time(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this moment (negative if it is later).
    pub fn since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Time, D::Error> {
        let text = String::deserialize(d)?;
        Time::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("not an RFC 3339 time: {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_to_the_nanosecond() {
        let t = Time(1_767_323_045_000_000_006);
        assert_eq!(t.rfc3339(), "2026-01-02T03:04:05.000000006Z");
        assert_eq!(Time::parse(&t.rfc3339()), Some(t));
        assert_eq!(Time::parse("2026-01-02T04:04:05.000000006+01:00"), Some(t));
        assert_eq!(Time::parse("yesterday"), None);
    }

    #[test]
    fn floor_goes_down_before_the_epoch_too() {
        assert_eq!(Time(-1).floor(10), Time(-10));
        assert_eq!(Time(19).floor(10), Time(10));
    }
}
