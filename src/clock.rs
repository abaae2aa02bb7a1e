//! The one reader of the clock and of the operating system's randomness.
//!
//! Everything else takes time and seeds as arguments, so that a test can pass its own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic and wall-clock time of one moment: turns the kernel's receive times into monotonic ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// Monotonic time.
    pub now: Instant,
    /// The same moment since the Unix epoch.
    pub unix: Duration,
}

/// Monotonic time.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch; 0 if the system clock stands before it.
#[must_use]
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |past| i64::try_from(past.as_millis()).unwrap_or(i64::MAX))
}

/// Both clocks, read one after the other.
#[must_use]
pub fn anchor() -> Anchor {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Anchor { now: Instant::now(), unix }
}

impl Anchor {
    /// The monotonic time of the moment `unix`; that of the anchor if the two are too far apart to believe
    /// it, as when the wall clock was set in between.
    #[must_use]
    pub fn at(&self, unix: Duration) -> Instant {
        let near = |apart: &Duration| *apart < FARTHEST;
        match self.unix.checked_sub(unix) {
            Some(before) => Some(before).filter(near).and_then(|before| self.now.checked_sub(before)),
            None => Some(unix.saturating_sub(self.unix)).filter(near).map(|after| self.now + after),
        }
        .unwrap_or(self.now)
    }
}

/// 32 bytes from the operating system.
///
/// # Errors
///
/// The operating system's, when it has no randomness to give.
pub fn seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

/// A datagram that waited longer than this for its thread is as good as new.
const FARTHEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_around_the_anchor_keep_their_distance_and_far_ones_are_taken_for_the_anchors_own() {
        let anchor =
            Anchor { now: Instant::now() + Duration::from_secs(60), unix: Duration::from_secs(1_000) };
        let at = |ms| anchor.at(Duration::from_millis(ms));

        assert_eq!(at(999_980), anchor.now - Duration::from_millis(20));
        assert_eq!(at(1_000_003), anchor.now + Duration::from_millis(3));
        assert_eq!([at(0), at(2_000_000)], [anchor.now; 2]);
    }
}
