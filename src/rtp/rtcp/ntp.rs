//! Timestamps of the Network Time Protocol's format (RFC 3550 §4), made from monotonic time.
//!
//! The wall clock is read once, by whoever makes the [`NtpClock`]: afterwards it may be set without a round
//! trip coming out wrong, as only differences matter to those who get these.

use std::time::{Duration, Instant};

/// Seconds since 1900, 32 bits and 32 of a fraction; wraps in 2036.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ntp(pub u64);

/// What time it is on the wall at any [`Instant`].
#[derive(Clone, Copy, Debug)]
pub struct NtpClock {
    anchor: Instant,
    since_1970: Duration,
}

impl Ntp {
    /// Its middle 32 bits: 16 of seconds and 16 of a fraction, as in LSR.
    #[must_use]
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl NtpClock {
    /// The clock on which it was `since_1970` at `anchor`.
    #[must_use]
    pub fn new(anchor: Instant, since_1970: Duration) -> Self {
        Self { anchor, since_1970 }
    }

    /// The timestamp of `now`, which is not before the anchor.
    #[must_use]
    pub fn at(&self, now: Instant) -> Ntp {
        let since_1900 = self.since_1970 + now.saturating_duration_since(self.anchor) + FROM_1900_TO_1970;
        let fraction = (u64::from(since_1900.subsec_nanos()) << 32) / 1_000_000_000;
        Ntp(since_1900.as_secs() << 32 | fraction)
    }
}

/// `time` in units of 1/65536 s, as in DLSR.
pub(super) fn units(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// Units of 1/65536 s as a time.
pub(super) fn from_units(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

/// 70 years, 17 of them with a leap day.
const FROM_1900_TO_1970: Duration = Duration::from_secs(2_208_988_800);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3550 §6.4.1, figure 2, gives 10 Nov 1995 11:33:25.125 UTC as 0xb44db705:20000000.
    #[test]
    fn a_time_is_the_timestamp_of_rfc_3550s_example() {
        let anchor = Instant::now();
        let clock = NtpClock::new(anchor, Duration::from_secs(816_003_205 - 60));

        let ntp = clock.at(anchor + Duration::from_millis(60_125));

        assert_eq!(ntp, Ntp(0xb44d_b705_2000_0000));
        assert_eq!(ntp.middle(), 0xb705_2000);
    }

    #[test]
    fn after_2036_the_seconds_wrap() {
        let anchor = Instant::now();

        let ntp = NtpClock::new(anchor, Duration::from_secs((1 << 32) - 2_208_988_800 + 7)).at(anchor);

        assert_eq!(ntp, Ntp(7 << 32));
    }

    #[test]
    fn units_are_a_65536th_of_a_second_and_too_long_a_time_is_the_longest() {
        assert_eq!(units(Duration::from_millis(5_250)), 0x0005_4000);
        assert_eq!(from_units(0x0005_4000), Duration::from_millis(5_250));
        assert_eq!(units(Duration::from_secs(70_000)), u32::MAX);
    }
}
