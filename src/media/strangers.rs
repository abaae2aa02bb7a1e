//! Who sent a leg packets without being its peer: counted, and the last few remembered.
//!
//! A source that sends to both legs of a call sprays ports; it may not prove itself the peer of
//! either, however patiently it counts up (see [`super::latch`]). Its port counts: two far ends
//! may be behind one address.

use std::net::SocketAddr;

/// The strangers of one leg.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strangers {
    packets: u64,
    /// The last ones, each once.
    seen: [Option<SocketAddr>; REMEMBERED],
    oldest: u8,
}

impl Strangers {
    /// Counts a packet from `source`.
    pub fn on_packet(&mut self, source: SocketAddr) {
        self.packets += 1;
        if self.includes(source) {
            return;
        }
        let place = usize::from(self.oldest) % REMEMBERED;
        self.seen[place] = Some(source);
        self.oldest = (place as u8 + 1) % REMEMBERED as u8;
    }

    /// Whether `source` is one of the last.
    #[must_use]
    pub fn includes(&self, source: SocketAddr) -> bool {
        self.seen.contains(&Some(source))
    }

    /// How many packets they sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }
}

const REMEMBERED: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_are_remembered_and_every_packet_is_counted() {
        let mut strangers = Strangers::default();
        let source = |n: u16| SocketAddr::from(([192, 0, 2, 66], n));

        for n in [1, 2, 1, 3, 4, 1, 5] {
            strangers.on_packet(source(n));
        }

        assert_eq!([1, 2, 3, 4, 5].map(|n| strangers.includes(source(n))), [false, true, true, true, true]);
        assert_eq!(strangers.packets(), 7);
    }
}
