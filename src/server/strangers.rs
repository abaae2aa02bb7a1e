//! Sources that no peer allows: answered with nothing, logged once a minute each, in a table that cannot grow.
//!
//! A full table forgets everything older than a minute; if that frees nothing, further strangers are only counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Who was logged when.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    logged: HashMap<IpAddr, Instant>,
}

impl Strangers {
    /// Whether a message from `source` is worth a line in the log.
    pub(super) fn is_news(&mut self, source: IpAddr, now: Instant) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < AGAIN_AFTER;
        if self.logged.get(&source).is_some_and(recent) {
            return false;
        }
        if self.logged.len() >= MOST {
            self.logged.retain(|_, at| recent(at));
        }
        if self.logged.len() >= MOST {
            return false;
        }
        self.logged.insert(source, now);
        true
    }
}

const AGAIN_AFTER: Duration = Duration::from_secs(60);
const MOST: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_news_once_a_minute() {
        let start = Instant::now();
        let mut strangers = Strangers::default();
        let source = IpAddr::from([198, 51, 100, 9]);

        let news: Vec<_> = [0, 1, 59, 60, 61]
            .map(|second| strangers.is_news(source, start + Duration::from_secs(second)))
            .to_vec();

        assert_eq!(news, [true, false, false, true, false]);
    }

    #[test]
    fn a_flood_of_sources_does_not_grow_the_table() {
        let start = Instant::now();
        let mut strangers = Strangers::default();

        for source in 0..100_000_u32 {
            strangers.is_news(IpAddr::from(source.to_be_bytes()), start);
        }

        assert_eq!(strangers.logged.len(), MOST);
        assert!(strangers.is_news(IpAddr::from([203, 0, 113, 1]), start + AGAIN_AFTER));
    }
}
