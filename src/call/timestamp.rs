//! Wall-clock times as users read them: RFC 3339, UTC, milliseconds.
//!
//! Only writes what it is handed: the milliseconds since the Unix epoch were read by whoever owns the clock.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// `2026-11-21T09:30:00.125Z` for milliseconds since the Unix epoch; a time that no calendar
/// holds reads as the epoch.
#[must_use]
pub fn rfc3339(unix_ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(RFC3339_MILLISECONDS)
        .expect("every part of the format is a part of a date and a time")
}

const RFC3339_MILLISECONDS: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_exactly_three_digits_of_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_253_400_007), "2026-11-21T09:30:00.007Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_time_outside_the_calendar_is_written_all_the_same() {
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
