//! The one reader of the clock and of the operating system's randomness.
//!
//! Everything else takes time and seeds as arguments, so that a test can pass its own.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
