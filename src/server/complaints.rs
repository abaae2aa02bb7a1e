//! Sources that the log complains about, once a minute each, in a table that cannot grow: whoever sends
//! rubbish decides how much of it, but not how much of it is written.
//!
//! A full table forgets everything older than a minute; if that frees nothing, further
//! sources are only counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Who was complained about when.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    logged: HashMap<IpAddr, Instant>,
    /// Found full of recent entries: not searched again before.
    full_until: Option<Instant>,
}

impl Complaints {
    /// Whether what came from `source` is worth a line in the log.
    pub(super) fn is_news(&mut self, source: IpAddr, now: Instant) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < AGAIN_AFTER;
        if self.logged.get(&source).is_some_and(recent) {
            return false;
        }
        if self.logged.len() >= MOST {
            if self.full_until.is_some_and(|until| now < until) {
                return false;
            }
            self.logged.retain(|_, at| recent(at));
            if self.logged.len() >= MOST {
                self.full_until = Some(now + SEARCHED_AFTER);
                return false;
            }
        }
        self.logged.insert(source, now);
        true
    }
}

const AGAIN_AFTER: Duration = Duration::from_secs(60);
const SEARCHED_AFTER: Duration = Duration::from_secs(5);
const MOST: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_news_once_a_minute() {
        let start = Instant::now();
        let mut complaints = Complaints::default();
        let source = IpAddr::from([198, 51, 100, 9]);

        let news: Vec<_> = [0, 1, 59, 60, 61]
            .map(|second| complaints.is_news(source, start + Duration::from_secs(second)))
            .to_vec();

        assert_eq!(news, [true, false, false, true, false]);
    }

    #[test]
    fn a_flood_of_sources_does_not_grow_the_table() {
        let start = Instant::now();
        let mut complaints = Complaints::default();

        for source in 0..100_000_u32 {
            complaints.is_news(IpAddr::from(source.to_be_bytes()), start);
        }

        assert_eq!(complaints.logged.len(), MOST);
        assert!(complaints.is_news(IpAddr::from([203, 0, 113, 1]), start + AGAIN_AFTER));
    }
}
