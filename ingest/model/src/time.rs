//! Moments as UTC microseconds since 1970, the one time type of the lake.
//!
//! In: RFC 3339 text, CloudTrail's `eventTime`, epoch milliseconds, the stamp in a delivery key. Out: a number that
//! sorts, and RFC 3339 text. Text that is no time is `None`; the caller says where it stood.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

/// UTC microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// One second in [`Micros`].
pub const SECOND: Micros = 1_000_000;
/// One hour in [`Micros`].
pub const HOUR: Micros = 3_600 * SECOND;
/// One day in [`Micros`].
pub const DAY: Micros = 24 * HOUR;

/// The present moment of this machine's clock.
pub fn now() -> Micros {
    Utc::now().timestamp_micros()
}

/// Parses `2026-08-01T12:00:00Z`, with fractions and offsets allowed.
pub fn parse_rfc3339(text: &str) -> Option<Micros> {
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.timestamp_micros())
}

/// Parses what people type for `--since` and `--until`: RFC 3339, `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM`, as UTC.
pub fn parse_human(text: &str) -> Option<Micros> {
    let text = text.trim();
    if let Some(at) = parse_rfc3339(text) {
        return Some(at);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
    }
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|at| at.and_utc().timestamp_micros())
}

/// The stamp of a CloudTrail object key: `YYYYMMDDTHHmmZ` (the `Z` is missing in some copies).
pub fn parse_delivery_stamp(text: &str) -> Option<Micros> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    ["%Y%m%dT%H%M", "%Y%m%dT%H%M%S"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|at| at.and_utc().timestamp_micros())
}

/// RFC 3339 in UTC, whole seconds: `2026-08-01T12:00:00Z`. Moments outside chrono's years print as a number.
pub fn to_rfc3339(at: Micros) -> String {
    DateTime::<Utc>::from_timestamp_micros(at)
        .map_or_else(|| format!("{at}us"), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The UTC day, `2026-08-01`, that partitions the tables.
pub fn utc_day(at: Micros) -> String {
    DateTime::<Utc>::from_timestamp_micros(at)
        .map_or_else(|| "1970-01-01".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_it_promises() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01Z"), Some(SECOND));
        assert_eq!(parse_human("1970-01-02"), Some(DAY));
        assert_eq!(parse_human("1970-01-01T01:00"), Some(HOUR));
        assert_eq!(parse_delivery_stamp("19700101T0100Z"), Some(HOUR));
        assert_eq!(parse_delivery_stamp("19700101T0100"), Some(HOUR));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn prints_what_it_reads() {
        let at = parse_rfc3339("2026-08-01T12:34:56Z").expect("a time");
        assert_eq!(to_rfc3339(at), "2026-08-01T12:34:56Z");
        assert_eq!(utc_day(at), "2026-08-01");
    }
}
