//! Which source address is the peer's, and where it is sent to: symmetric RTP without letting
//! a stranger in (RFC 4961).
//!
//! ```text
//!             packet from the signalled address
//!   Open ───────────────────────────────────────────────► Locked
//!    └── 3 rising packets of another source, 5 ms apart, ──► │
//!        if it may (address private or nowhere, or silent    │ signalled address, within 5 s
//!        for 500 ms after answer)                            │ or after 2 s of silence;
//!                                                            │ 3 packets that continue the source,
//!                                                            │ after 2 s of silence
//!    ◄───────────────── new session description ─────────────┘──► Locked to that
//! ```
//!
//! The lock is on address and port, never on the SSRC: an SSRC is free to change, and anybody can write one.
//! Packets that only bring a source nearer to the lock are not the peer's yet, and are dropped like any
//! stranger's. Of those that come at once one counts: who speaks sends at most one in 10 ms, who sprays ports
//! sends what he has and goes on to the next. An unspecified address, or one of a group, is never sent to:
//! such a peer is sent its first packet once it was heard.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::rtp::sequence_distance;

/// The source of one leg's packets, as far as it is known.
#[derive(Clone, Debug)]
pub struct Latch {
    signalled: Signalled,
    lock: Option<Lock>,
    candidate: Option<Candidate>,
    /// From when on the silence of the signalled address tells: the answer, or the
    /// session description after it.
    watched_since: Option<Instant>,
}

/// The address that the peer's session description gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signalled {
    /// Where it says that it receives.
    pub address: SocketAddr,
    /// Whether that can be somewhere else as seen from us: private, or no place at all.
    translated: bool,
    /// Whether it is sent packets where its own come from.
    learn: bool,
}

/// Who sent a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The peer of this leg.
    Peer,
    /// Somebody else, or the peer from an address that has not proven itself yet.
    Stranger,
}

/// What the latch looks at in a packet.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Where the packet came from.
    pub source: SocketAddr,
    /// Its SSRC.
    pub ssrc: u32,
    /// Its sequence number.
    pub sequence: u16,
    /// Whether it can prove anything: its payload type was negotiated with the peer, and its source does not
    /// spray the other leg too.
    pub credible: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    source: SocketAddr,
    since: Instant,
    heard: Instant,
    ssrc: u32,
    sequence: u16,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    /// When the last one that counts came.
    at: Instant,
    packets: u8,
}

impl Signalled {
    /// `address` as the session description gives it. Without `learn` the peer is sent packets there and
    /// nowhere else: one that sends from another port than it receives on is heard from there all the same.
    #[must_use]
    pub fn new(address: SocketAddr, learn: bool) -> Self {
        let ip = address.ip().to_canonical();
        Self { address, translated: is_nowhere(ip) || is_private(ip), learn }
    }

    /// The address, if it can be sent to.
    pub(super) fn reachable(self) -> Option<SocketAddr> {
        (!is_nowhere(self.address.ip().to_canonical()) && self.address.port() != 0).then_some(self.address)
    }
}

impl Latch {
    /// Waits for the peer at `signalled`.
    #[must_use]
    pub fn new(signalled: Signalled) -> Self {
        Self { signalled, lock: None, candidate: None, watched_since: None }
    }

    /// Where to send: the locked source, before that the signalled address; `None` if that can't be sent to.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        let learned = self.lock.filter(|_| self.signalled.learn).map(|lock| lock.source);
        learned.or_else(|| self.signalled.reachable())
    }

    /// The locked source, once there is nobody left who could take the lock from it while it speaks.
    #[must_use]
    pub fn settled(&self, now: Instant) -> Option<SocketAddr> {
        let lock = self.lock?;
        let young = if same(self.signalled.address, lock.source) { PROBATION } else { TAKE_BACK };
        (now.saturating_duration_since(lock.since) >= young).then_some(lock.source)
    }

    /// The call was answered at `now`.
    pub fn on_answer(&mut self, now: Instant) {
        self.watched_since = Some(now);
    }

    /// The peer sent another session description; one that moves nothing keeps the lock.
    pub fn on_description(&mut self, signalled: Signalled, now: Instant) {
        if signalled != self.signalled {
            let watched_since = self.watched_since.map(|_| now);
            *self = Self { signalled, lock: None, candidate: None, watched_since };
        }
    }

    /// A packet from `source` came to another leg too, whose peer it is not: one that only just proved itself
    /// here did so by spraying ports.
    pub fn on_seen_elsewhere(&mut self, source: SocketAddr, now: Instant) {
        let signalled = self.signalled.address;
        self.lock = self.lock.filter(|lock| {
            let young = now.saturating_duration_since(lock.since) < TAKE_BACK;
            !young || !same(lock.source, source) || same(lock.source, signalled)
        });
    }

    /// The source that is the peer's, once one is.
    #[must_use]
    pub fn locked(&self) -> Option<SocketAddr> {
        self.lock.map(|lock| lock.source)
    }

    /// Where packets go that do not go where the session description says.
    #[must_use]
    pub fn moved(&self) -> Option<SocketAddr> {
        self.destination().filter(|&to| !same(to, self.signalled.address))
    }

    /// Whether `source` is the peer's; before one is, the signalled address.
    #[must_use]
    pub fn is_peer(&self, source: SocketAddr) -> bool {
        same(self.lock.map_or(self.signalled.address, |lock| lock.source), source)
    }

    /// Tells whose packet this is, and learns from it.
    ///
    /// Hot path: a packet of the locked source costs one comparison.
    pub fn on_packet(&mut self, seen: Seen, now: Instant) -> Sender {
        let Some(lock) = &mut self.lock else { return self.open(seen, now) };
        if same(lock.source, seen.source) {
            lock.heard = now;
            lock.ssrc = seen.ssrc;
            lock.sequence = seen.sequence;
            return Sender::Peer;
        }
        let lock = *lock;
        self.elsewhere(lock, seen, now)
    }

    fn open(&mut self, seen: Seen, now: Instant) -> Sender {
        let silent = |since: Instant| now.saturating_duration_since(since) >= SILENT_AFTER_ANSWER;
        if same(self.signalled.address, seen.source) {
            self.lock_to(seen, now)
        } else if self.signalled.translated || self.watched_since.is_some_and(silent) {
            self.prove(seen, now)
        } else {
            Sender::Stranger
        }
    }

    fn elsewhere(&mut self, lock: Lock, seen: Seen, now: Instant) -> Sender {
        let gone = now.saturating_duration_since(lock.heard) >= GONE;
        let young = now.saturating_duration_since(lock.since) < TAKE_BACK;
        if same(self.signalled.address, seen.source) && (young || gone) {
            self.lock_to(seen, now)
        } else if gone && seen.ssrc == lock.ssrc && rises(lock.sequence, seen.sequence) {
            self.prove(seen, now)
        } else {
            Sender::Stranger
        }
    }

    fn prove(&mut self, seen: Seen, now: Instant) -> Sender {
        if !seen.credible {
            return Sender::Stranger;
        }
        let packets = match self.candidate {
            Some(known)
                if same(known.source, seen.source)
                    && known.ssrc == seen.ssrc
                    && rises(known.sequence, seen.sequence) =>
            {
                if now.saturating_duration_since(known.at) < APART {
                    return Sender::Stranger;
                }
                known.packets + 1
            }
            _ => 1,
        };
        if packets >= PROOF {
            return self.lock_to(seen, now);
        }
        let Seen { source, ssrc, sequence, .. } = seen;
        self.candidate = Some(Candidate { source, ssrc, sequence, at: now, packets });
        Sender::Stranger
    }

    fn lock_to(&mut self, seen: Seen, now: Instant) -> Sender {
        let Seen { source, ssrc, sequence, .. } = seen;
        self.lock = Some(Lock { source, since: now, heard: now, ssrc, sequence });
        self.candidate = None;
        Sender::Peer
    }
}

/// Address and port; an IPv6 scope is known for received packets only.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}

fn rises(from: u16, to: u16) -> bool {
    (1..=MAX_RISE).contains(&sequence_distance(from, to))
}

/// Addresses that mean something else, or nothing, outside their own network (RFC 1918,
/// 6598, 3927, 4193, 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = (first, second & 0xC0) == (100, 64);
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

/// Addresses that no single peer can be at: what is sent to a group or a whole network multiplies.
fn is_nowhere(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast() || ip.octets()[0] == 0);
    ip.is_unspecified() || ip.is_multicast() || broadcast
}

const SILENT_AFTER_ANSWER: Duration = Duration::from_millis(500);
const TAKE_BACK: Duration = Duration::from_secs(5);
/// How long the signalled address itself keeps the lock before it counts as settled.
const PROBATION: Duration = Duration::from_secs(1);
const GONE: Duration = Duration::from_secs(2);
/// Packets that prove a source which was not signalled.
const PROOF: u8 = 3;
/// Half of the shortest packet, for what the network may have pushed together.
const APART: Duration = Duration::from_millis(5);
/// A minute of 20 ms packets: more than any silence that a call survives.
const MAX_RISE: i32 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "198.51.100.7:4000";
    const NAT: &str = "203.0.113.9:61000";
    const STRANGER: &str = "192.0.2.66:6666";
    const NOWHERE: [&str; 7] = [
        "0.0.0.0:4000",
        "[::]:4000",
        "0.1.2.3:4000",
        "224.0.0.5:4000",
        "255.255.255.255:4000",
        "[ff02::1]:4000",
        "[::ffff:224.0.0.5]:4000",
    ];

    #[test]
    fn the_signalled_address_locks_at_its_first_packet() {
        let mut leg = Leg::signalled(PEER);

        assert_eq!(leg.destination(), PEER);
        assert!(leg.admits(PEER, 1, 500));
        assert_eq!(leg.destination(), PEER);
    }

    #[test]
    fn the_lock_is_on_the_port_too_and_leaves_the_ssrc_free() {
        let mut leg = Leg::signalled(PEER);
        leg.admits(PEER, 1, 500);

        assert!(!leg.admits("198.51.100.7:4002", 1, 501));
        assert!(leg.admits(PEER, 2, 9_000));
    }

    #[test]
    fn another_source_never_locks_before_the_answer_while_the_signalled_address_is_public() {
        let mut leg = Leg::signalled(PEER);
        leg.pass(10_000);

        assert!(!leg.admits_any(STRANGER, 1, 1..50));
        assert_eq!(leg.destination(), PEER);
    }

    #[test]
    fn another_source_locks_at_its_third_packet_when_the_address_was_silent_for_500_ms_after_answer() {
        let mut leg = Leg::signalled(PEER);
        leg.answer();

        leg.pass(404);
        assert!(!leg.admits_any(NAT, 1, 1..20));
        leg.pass(1);
        assert_eq!(leg.admits_each(NAT, 1, [20, 21, 22]), [false, false, true]);
        assert_eq!(leg.destination(), NAT);
    }

    #[test]
    fn a_private_address_or_one_that_is_nowhere_lets_another_source_prove_itself_at_once() {
        let private =
            ["192.168.1.20:4000", "100.64.0.9:4000", "[fd00::5]:4000", "127.0.0.1:4000", "[::1]:4000"];
        for address in private.into_iter().chain(NOWHERE) {
            let mut leg = Leg::signalled(address);

            assert_eq!(leg.admits_each(NAT, 1, [1, 2, 3]), [false, false, true], "{address}");
        }
    }

    #[test]
    fn a_peer_that_is_not_to_be_learned_is_heard_from_elsewhere_and_sent_to_where_it_said() {
        let mut leg = Leg::new(PEER, false);
        leg.answer();
        leg.pass(500);

        assert!(leg.admits_any(NAT, 1, 1..4));
        assert_eq!(leg.destination(), PEER);
    }

    #[test]
    fn proof_needs_one_ssrc_rising_numbers_and_a_credible_packet() {
        let mut leg = Leg::signalled("192.168.1.20:4000");

        assert!(!leg.admits_any(NAT, 1, [7, 7, 7, 6, 5, 4]));
        assert!(![1, 2, 3, 4].into_iter().any(|ssrc| leg.admits_any(NAT, ssrc, [ssrc as u16])));
        for n in 1..9 {
            leg.pass(20);
            assert!(!leg.admits_as(NAT, 1, n, false));
        }
    }

    #[test]
    fn of_packets_that_come_at_once_only_one_proves_anything() {
        let mut leg = Leg::signalled("192.168.1.20:4000");

        assert!(!(1..100).any(|n| leg.admits(NAT, 1, n)));
        leg.pass(4);
        assert!(!(100..200).any(|n| leg.admits(NAT, 1, n)));

        assert_eq!(leg.admits_each(NAT, 1, [200, 201]), [false, true]);
    }

    #[test]
    fn single_packets_sprayed_from_many_ports_prove_nothing() {
        let mut leg = Leg::signalled("192.168.1.20:4000");

        let admitted = (1_000..2_000).any(|port| leg.admits_any(&format!("192.0.2.66:{port}"), 1, [port]));

        assert!(!admitted);
    }

    #[test]
    fn the_signalled_address_takes_the_lock_back_within_5_s_and_not_later() {
        let mut early = Leg::stolen();
        early.keep(STRANGER, 4_980);
        assert!(early.admits(PEER, 9, 1));
        assert!(!early.admits_any(STRANGER, 1, 900..950));

        let mut late = Leg::stolen();
        late.keep(STRANGER, 5_000);
        assert!(!late.admits_any(PEER, 9, 1..50));
    }

    #[test]
    fn a_source_that_only_just_proved_itself_is_none_once_it_sends_to_another_leg_too() {
        let mut sprayer = Leg::stolen();
        let mut peer = Leg::signalled(PEER);
        peer.admits(PEER, 1, 500);

        for leg in [&mut sprayer, &mut peer] {
            leg.latch.on_seen_elsewhere(NAT.parse().unwrap(), leg.now);
        }
        assert!(sprayer.admits(STRANGER, 1, 3));
        for (leg, source) in [(&mut sprayer, STRANGER), (&mut peer, PEER)] {
            leg.latch.on_seen_elsewhere(source.parse().unwrap(), leg.now);
        }

        assert_eq!(sprayer.destination(), PEER);
        assert!(!sprayer.admits(STRANGER, 1, 4));
        assert!(peer.admits(PEER, 1, 501));
    }

    #[test]
    fn strangers_are_nothing_once_the_peer_is_known() {
        let mut leg = Leg::signalled(PEER);
        leg.answer();
        leg.admits(PEER, 1, 500);

        leg.pass(1_700);

        assert!(!leg.admits_any(STRANGER, 1, 501..560));
        assert_eq!(leg.destination(), PEER);
    }

    #[test]
    fn a_peer_that_moves_is_followed_after_2_s_if_it_continues_its_source() {
        let mut leg = Leg::signalled(PEER);
        leg.admits(PEER, 1, 500);

        leg.pass(2_000);

        assert!(!leg.admits_any(STRANGER, 2, 501..520));
        assert!(!leg.admits_any(STRANGER, 1, 400..420));
        assert_eq!(leg.admits_each(NAT, 1, [501, 502, 503]), [false, false, true]);
        assert_eq!(leg.destination(), NAT);
    }

    #[test]
    fn the_signalled_address_is_heard_again_when_the_locked_source_is_gone() {
        let mut leg = Leg::stolen();
        leg.keep(STRANGER, 60_000);

        leg.pass(2_000);

        assert!(leg.admits(PEER, 9, 1));
    }

    #[test]
    fn a_new_description_learns_again_and_an_unchanged_one_keeps_the_lock() {
        let mut leg = Leg::signalled("192.168.1.20:4000");
        leg.admits_any(NAT, 1, 1..4);

        leg.describe("192.168.1.20:4000");
        assert!(leg.admits(NAT, 1, 4));
        leg.describe(PEER);
        assert_eq!(leg.destination(), PEER);
        assert!(!leg.admits_any(NAT, 1, 5..50));
        assert!(leg.admits(PEER, 1, 51));
    }

    #[test]
    fn nothing_is_sent_to_an_address_that_is_nowhere_nor_to_port_0() {
        for address in NOWHERE.into_iter().chain(["198.51.100.7:0"]) {
            let latch = Latch::new(Signalled::new(address.parse().unwrap(), true));

            assert_eq!(latch.destination(), None, "{address}");
        }
    }

    #[test]
    fn a_lock_is_settled_after_a_second_or_once_it_can_not_be_taken_back() {
        let mut signalled = Leg::signalled(PEER);
        signalled.admits(PEER, 1, 500);
        let mut other = Leg::stolen();

        let settled = |leg: &mut Leg, ms| {
            leg.pass(ms);
            leg.latch.settled(leg.now).map(|source| source.to_string())
        };

        assert_eq!([settled(&mut signalled, 999), settled(&mut signalled, 1)], [None, Some(PEER.to_owned())]);
        assert_eq!([settled(&mut other, 4_999), settled(&mut other, 1)], [None, Some(STRANGER.to_owned())]);
        assert_eq!(settled(&mut Leg::signalled(PEER), 60_000), None);
    }

    struct Leg {
        latch: Latch,
        now: Instant,
        next: u16,
    }

    impl Leg {
        fn new(address: &str, learn: bool) -> Self {
            let signalled = Signalled::new(address.parse().unwrap(), learn);
            Self { latch: Latch::new(signalled), now: Instant::now(), next: 0 }
        }

        fn signalled(address: &str) -> Self {
            Self::new(address, true)
        }

        /// Answered, silent, and then locked to a stranger.
        fn stolen() -> Self {
            let mut leg = Self::signalled(PEER);
            leg.answer();
            leg.pass(500);
            assert!(leg.admits_any(STRANGER, 1, 0..3));
            leg.next = 3;
            leg
        }

        fn pass(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        /// `source` goes on sending for `ms`.
        fn keep(&mut self, source: &str, ms: u64) {
            for _ in 0..ms / 20 {
                self.pass(20);
                self.next += 1;
                assert!(self.admits(source, 1, self.next));
            }
        }

        fn answer(&mut self) {
            self.latch.on_answer(self.now);
        }

        fn describe(&mut self, address: &str) {
            let signalled = Signalled::new(address.parse().unwrap(), true);
            self.latch.on_description(signalled, self.now);
        }

        fn destination(&self) -> String {
            self.latch.destination().unwrap().to_string()
        }

        fn admits(&mut self, source: &str, ssrc: u32, sequence: u16) -> bool {
            self.admits_as(source, ssrc, sequence, true)
        }

        fn admits_as(&mut self, source: &str, ssrc: u32, sequence: u16, credible: bool) -> bool {
            let seen = Seen { source: source.parse().unwrap(), ssrc, sequence, credible };
            self.latch.on_packet(seen, self.now) == Sender::Peer
        }

        /// The packets come as close together as they may.
        fn admits_any(&mut self, source: &str, ssrc: u32, sequences: impl IntoIterator<Item = u16>) -> bool {
            sequences.into_iter().fold(false, |any, sequence| {
                self.now += APART;
                any | self.admits(source, ssrc, sequence)
            })
        }

        fn admits_each<const N: usize>(&mut self, source: &str, ssrc: u32, sequences: [u16; N]) -> [bool; N] {
            sequences.map(|sequence| self.admits_any(source, ssrc, [sequence]))
        }
    }
}
