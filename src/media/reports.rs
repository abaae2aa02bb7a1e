//! RTCP of one leg: whose reports are believed, and where ours go (RFC 3550 §6, RFC 3605, RFC 5761).
//!
//! A report is the peer's only if it comes from where the peer's RTP comes from: from the very source on the
//! RTP port, from its address on the RTCP port, where the first port that reports is the one. Before any RTP
//! came, only the address in the session description counts. A report of anybody else could keep a dead call
//! alive, or lie about its quality.

use std::net::SocketAddr;
use std::time::Instant;

use super::latch::{Latch, Signalled};
use super::leg::Leg;
use super::{LegMedia, Rtcp};
use crate::rtp::rtcp::{PeerReport, Session, View, is_rtcp};

/// The reports of one leg, both ways.
#[derive(Debug)]
pub(crate) struct Reports {
    session: Session,
    /// For the intervals; of splitmix64.
    random: u64,
    mode: Rtcp,
    signalled: Option<Signalled>,
    /// Where the peer's reports come from.
    learned: Option<SocketAddr>,
}

/// Which of a leg's two ports a report came to, or leaves from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    Rtp,
    Rtcp,
}

impl Reports {
    /// None go out until [`Self::describe`] and [`Self::start`]; `seed` decides when.
    pub(crate) fn new(session: Session, seed: u64) -> Self {
        Self { session, random: seed, mode: Rtcp::Never, signalled: None, learned: None }
    }

    /// The peer's session description was read.
    pub(crate) fn describe(&mut self, media: &LegMedia) {
        let signalled = Some(Signalled::new(media.remote_rtcp, media.learn));
        if self.signalled != signalled {
            (self.signalled, self.learned) = (signalled, None);
        }
        self.mode = media.rtcp;
    }

    /// The call is answered: from here on reports go out, unless the peer is to be sent none.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.mode != Rtcp::Never && self.session.next_deadline().is_none() {
            let random = self.draw();
            self.session.start(now, random);
        }
    }

    /// So many packets of `bytes` in all were sent to the peer.
    pub(crate) fn on_sent(&mut self, packets: usize, bytes: usize) {
        self.session.on_sent(packets, bytes.saturating_sub(packets * RTP_HEADER));
    }

    /// Takes a datagram that came to `port`; false if it is not the peer's report.
    pub(crate) fn on_datagram(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        port: Port,
        latch: &Latch,
        now: Instant,
    ) -> bool {
        is_rtcp(datagram)
            && self.is_peer(source, port, latch)
            && self.session.on_datagram(datagram, now).is_ok()
    }

    fn is_peer(&mut self, source: SocketAddr, port: Port, latch: &Latch) -> bool {
        match port {
            Port::Rtp => latch.is_peer(source),
            Port::Rtcp => {
                let signalled = self.signalled.map(|signalled| signalled.address) == Some(source);
                let known = match latch.locked() {
                    Some(locked) => locked.ip() == source.ip(),
                    None => signalled,
                };
                let first =
                    self.learned.is_none_or(|learned| learned == source || learned.ip() != source.ip());
                let is_peer = known && (signalled || first);
                self.learned = if is_peer { Some(source) } else { self.learned };
                is_peer
            }
        }
    }

    /// The port that reports leave from, and where to.
    pub(crate) fn way(&self, latch: &Latch) -> Option<(Port, SocketAddr)> {
        match self.mode {
            Rtcp::Never => None,
            Rtcp::Muxed => Some((Port::Rtp, latch.destination()?)),
            Rtcp::Separate => {
                let signalled = self.signalled.and_then(Signalled::reachable);
                let beside = latch
                    .moved()
                    .and_then(|source| Some(SocketAddr::new(source.ip(), source.port().checked_add(1)?)));
                Some((Port::Rtcp, self.learned.or(beside).or(signalled)?))
            }
        }
    }

    /// Writes the report that is due, if one is; returns its length.
    pub(crate) fn write(&mut self, leg: &Leg, now: Instant, bytes: &mut [u8]) -> usize {
        let random = self.draw();
        self.session.on_time(view(leg, now), random, bytes)
    }

    /// Whether a report is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.session.next_deadline().is_some_and(|due| due <= now)
    }

    /// Writes the farewell, if the peer ever heard of us; returns its length.
    pub(crate) fn goodbye(&mut self, leg: &Leg, now: Instant, bytes: &mut [u8]) -> usize {
        self.session.goodbye(view(leg, now), bytes)
    }

    /// What the peer says of what it is sent.
    pub(crate) fn peer(&self) -> Option<PeerReport> {
        self.session.peer()
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

fn view(leg: &Leg, now: Instant) -> View<'_> {
    View { now, timestamp: leg.outbound.timestamp_at(now), reception: &leg.reception }
}

/// Of a packet of ours.
const RTP_HEADER: usize = 12;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::latch::Seen;
    use crate::rtp::continuity::Position;
    use crate::rtp::rtcp::{Cname, Compound, MAX_BYTES, NtpClock, Packet};

    #[test]
    fn reports_begin_with_the_answer_and_say_whose_they_are() {
        let (mut reports, start) = reports(Rtcp::Separate);
        let (leg, mut bytes) = (leg(), [0; MAX_BYTES]);
        assert!(!reports.is_due(start + Duration::from_secs(60)));

        reports.start(start);
        let first = (0..100)
            .map(|n| start + Duration::from_millis(100 * n))
            .find(|&now| reports.is_due(now) && reports.write(&leg, now, &mut bytes) > 0);

        assert!(first.is_some_and(|at| at - start <= Duration::from_secs(5)));
        let length = reports.goodbye(&leg, start + Duration::from_secs(9), &mut bytes);
        let last = Compound::parse(&bytes[..length]).unwrap().packets().last();
        assert!(matches!(last, Some(Packet::Goodbye(_))));
    }

    #[test]
    fn a_peer_that_is_to_be_sent_none_is_sent_none() {
        let (mut reports, start) = reports(Rtcp::Never);

        reports.start(start);

        assert!(!reports.is_due(start + Duration::from_secs(60)));
        assert_eq!(reports.way(&latch()), None);
        assert_eq!(reports.goodbye(&leg(), start, &mut [0; MAX_BYTES]), 0);
    }

    #[test]
    fn before_any_rtp_only_the_signalled_address_reports_and_afterwards_that_of_the_rtp() {
        let (mut reports, start) = reports(Rtcp::Separate);
        let mut latch = latch();

        assert!(!takes(&mut reports, "198.51.100.7:9", Port::Rtcp, &latch, start));
        assert!(takes(&mut reports, "198.51.100.7:4001", Port::Rtcp, &latch, start));
        latch.on_answer(start);
        let later = start + Duration::from_secs(1);
        speak_from_elsewhere(&mut latch, later);

        assert!(!takes(&mut reports, "198.51.100.7:4001", Port::Rtcp, &latch, later));
        assert!(takes(&mut reports, "203.0.113.9:911", Port::Rtcp, &latch, later));
        assert!(!takes(&mut reports, "203.0.113.9:912", Port::Rtcp, &latch, later));
        assert_eq!(reports.way(&latch), Some((Port::Rtcp, "203.0.113.9:911".parse().unwrap())));
    }

    #[test]
    fn on_the_rtp_port_the_source_of_the_rtp_reports_and_nobody_else() {
        let (mut reports, start) = reports(Rtcp::Muxed);
        let latch = latch();

        assert!(takes(&mut reports, "198.51.100.7:4000", Port::Rtp, &latch, start));
        assert!(!takes(&mut reports, "198.51.100.7:4001", Port::Rtp, &latch, start));
        assert_eq!(reports.way(&latch), Some((Port::Rtp, "198.51.100.7:4000".parse().unwrap())));
    }

    #[test]
    fn a_peer_behind_nat_is_sent_reports_beside_its_rtp_until_it_reported_itself() {
        let (reports, start) = reports(Rtcp::Separate);
        let mut latch = latch();
        assert_eq!(reports.way(&latch), Some((Port::Rtcp, "198.51.100.7:4001".parse().unwrap())));

        latch.on_answer(start);
        speak_from_elsewhere(&mut latch, start + Duration::from_secs(1));

        assert_eq!(reports.way(&latch), Some((Port::Rtcp, "203.0.113.9:701".parse().unwrap())));
    }

    /// For as long as it takes to be believed.
    fn speak_from_elsewhere(latch: &mut Latch, mut at: Instant) {
        for sequence in 1..4 {
            let source = "203.0.113.9:700".parse().unwrap();
            latch.on_packet(Seen { source, ssrc: 1, sequence, credible: true }, at);
            at += Duration::from_millis(20);
        }
    }

    fn takes(reports: &mut Reports, source: &str, port: Port, latch: &Latch, now: Instant) -> bool {
        let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 9];
        reports.on_datagram(&receiver_report, source.parse().unwrap(), port, latch, now)
    }

    fn reports(rtcp: Rtcp) -> (Reports, Instant) {
        let start = Instant::now();
        let clock = NtpClock::new(start, Duration::from_secs(1_700_000_000));
        let mut reports = Reports::new(Session::new(1, Cname::from_random(7), clock), 3);
        reports.describe(&LegMedia { rtcp, ..LegMedia::new("198.51.100.7:4000".parse().unwrap(), 0) });
        (reports, start)
    }

    fn latch() -> Latch {
        Latch::new(Signalled::new("198.51.100.7:4000".parse().unwrap(), true))
    }

    fn leg() -> Leg {
        Leg::new(Position { ssrc: 1, sequence: 1, timestamp: 1 })
    }
}
