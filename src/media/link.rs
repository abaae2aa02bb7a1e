//! When a leg's socket is connected to its peer, and when it hears everybody again.
//!
//! A connected socket costs no route look-up for each packet, but the kernel turns everybody else
//! away from it unseen: a peer that moved would never be heard. So it is connected only to a settled
//! source that speaks, and open again after half a second of silence. One that hears nothing from
//! the moment it is connected reached the peer under another of our addresses than the peer sends
//! to, and is left open for good.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The state of one leg's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Link {
    /// It hears everybody.
    #[default]
    Open,
    /// It hears this peer alone.
    Connected {
        /// The peer.
        to: SocketAddr,
        /// From when on.
        since: Instant,
    },
    /// It stays open.
    Shunned,
}

/// What is to be done to the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// Connect it, or have it stay open if that fails: [`Link::Shunned`].
    Connect(SocketAddr),
    /// Let it hear everybody.
    Disconnect,
}

impl Link {
    /// Follows what is known of the peer: its `settled` source, and when it was `heard`.
    pub(crate) fn follow(
        &mut self,
        settled: Option<SocketAddr>,
        heard: Option<Instant>,
        now: Instant,
    ) -> Option<Change> {
        let speaks = |since: Instant| now.saturating_duration_since(since) < SILENCE;
        match *self {
            Self::Open => {
                let to = settled.filter(|_| heard.is_some_and(speaks))?;
                *self = Self::Connected { to, since: now };
                Some(Change::Connect(to))
            }
            Self::Connected { to, since } => {
                let deaf = heard.is_none_or(|heard| heard <= since);
                if settled == Some(to) && speaks(if deaf { since } else { heard? }) {
                    return None;
                }
                *self = if deaf && settled == Some(to) { Self::Shunned } else { Self::Open };
                Some(Change::Disconnect)
            }
            Self::Shunned => None,
        }
    }

    /// Begins anew, with another peer or none.
    pub(crate) fn reset(&mut self) -> Option<Change> {
        let before = std::mem::take(self);
        matches!(before, Self::Connected { .. }).then_some(Change::Disconnect)
    }

    /// Where a packet to `destination` must be addressed; `None` if it goes there unaddressed.
    pub(crate) fn address(&self, destination: SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::Connected { to, .. } if *to == destination => None,
            _ => Some(destination),
        }
    }
}

const SILENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_peer_that_speaks_is_connected_and_let_go_after_half_a_second_of_silence() {
        let (start, mut link) = (Instant::now(), Link::default());
        let (one, two) = (at(start, 1_000), at(start, 1_100));

        assert_eq!(link.follow(None, Some(start), start), None);
        assert_eq!(link.follow(peer(), Some(start), one), None);
        assert_eq!(link.follow(peer(), Some(one), one), Some(Change::Connect(PEER)));
        assert_eq!(link.address(PEER), None);
        assert_eq!(link.follow(peer(), Some(two), at(start, 1_599)), None);
        assert_eq!(link.follow(peer(), Some(two), at(start, 1_600)), Some(Change::Disconnect));
        assert_eq!(link.address(PEER), Some(PEER));
        let three = at(start, 2_000);
        assert_eq!(link.follow(peer(), Some(three), three), Some(Change::Connect(PEER)));
    }

    #[test]
    fn a_socket_that_hears_nothing_once_it_is_connected_is_never_connected_again() {
        let (start, mut link) = (Instant::now(), Link::default());
        link.follow(peer(), Some(start), start);

        assert_eq!(link.follow(peer(), Some(start), at(start, 500)), Some(Change::Disconnect));
        let later = at(start, 600);
        assert_eq!(link.follow(peer(), Some(later), later), None);
        assert_eq!(link.reset(), None);
        assert_eq!(link.follow(peer(), Some(later), later), Some(Change::Connect(PEER)));
    }

    #[test]
    fn a_peer_that_is_no_longer_settled_or_another_one_is_let_go_at_once() {
        let start = Instant::now();
        for now_settled in [None, Some(SocketAddr::from(([198, 51, 100, 7], 4_002)))] {
            let mut link = Link::default();
            link.follow(peer(), Some(start), start);
            assert_eq!(link.follow(now_settled, Some(start), start), Some(Change::Disconnect));
        }
        let mut link = Link::default();
        link.follow(peer(), Some(start), start);
        assert_eq!(link.reset(), Some(Change::Disconnect));
    }

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 4_000);

    fn peer() -> Option<SocketAddr> {
        Some(PEER)
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }
}
