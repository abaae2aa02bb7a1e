//! One call's media as its thread holds it: both legs, their counters, and when silence is too long.
//!
//! No packet buffers: those belong to the thread. Silence counts from the answer, not while the side is held
//! or said itself that it does not send, and is reported once for a side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::LegCounters;
use super::latch::{Latch, Signalled};
use super::leg::{Leg, Outbox, Peer};
use super::link::Link;
use super::mailbox::SideSockets;
use super::reports::{Port, Reports};
use super::{LegMedia, OneWay, Side};
use crate::id::CallId;
use crate::rtp::filler::Filler;
use crate::rtp::g711::Law;
use crate::rtp::payload::PayloadTypes;

/// A call with its two sides, the caller's first.
pub(crate) struct Stream {
    pub(crate) call: CallId,
    sides: [Half; 2],
    answered: Option<Instant>,
}

/// One side.
pub(crate) struct Half {
    pub(crate) leg: Leg,
    pub(crate) reports: Reports,
    pub(crate) counters: Arc<LegCounters>,
    pub(crate) sockets: SideSockets,
    /// When they were lent: what arrived before is a former call's.
    pub(crate) lent: Instant,
    /// Whether the RTP socket is connected.
    pub(crate) link: Link,
    /// When all of it is looked at next; `None` is as soon as it can be.
    pub(crate) next_look: Option<Instant>,
    signalled: Option<Signalled>,
    fill_ms: u32,
    /// The law of the tones that are listened for.
    tones: Option<Law>,
    /// How long it may be silent once it was heard, if not as long as others.
    dead_after: Option<Duration>,
    held: bool,
    /// From when on its silence counts, if that is after the answer.
    watched_since: Option<Instant>,
    reported: bool,
    missed: bool,
}

impl Half {
    pub(crate) fn new(
        leg: Leg,
        reports: Reports,
        counters: Arc<LegCounters>,
        sockets: SideSockets,
        lent: Instant,
    ) -> Self {
        Self {
            leg,
            reports,
            counters,
            sockets,
            lent,
            link: Link::Open,
            next_look: None,
            signalled: None,
            fill_ms: 0,
            tones: None,
            dead_after: None,
            held: false,
            watched_since: None,
            reported: false,
            missed: false,
        }
    }

    /// Takes what came to `port` and is no RTP; false if it is not the peer's report.
    pub(crate) fn on_report(
        &mut self,
        datagram: &mut [u8],
        source: SocketAddr,
        port: Port,
        now: Instant,
    ) -> bool {
        let Leg { peer: Some(peer), srtp, .. } = &mut self.leg else { return false };
        let length = srtp.as_mut().map_or(Ok(datagram.len()), |srtp| srtp.inbound.unprotect_rtcp(datagram));
        let Ok(length) = length else { return false };
        let taken = self.reports.on_datagram(&datagram[..length], source, port, &peer.latch, now);
        if taken {
            self.leg.heard = Some(now);
            self.counters.publish_reported(&self.reports);
        }
        taken
    }

    /// Where a report of ours goes, if one is due, or if `leaves`, for the last one.
    pub(crate) fn report_due(
        &mut self,
        answered: bool,
        leaves: bool,
        now: Instant,
    ) -> Option<(Port, SocketAddr)> {
        let peer = self.leg.peer.as_ref().filter(|_| answered)?;
        self.reports.start(now);
        (leaves || self.reports.is_due(now)).then(|| self.reports.way(&peer.latch))?
    }

    /// Until when there is nothing to look at or to send, packets having come since that was last reckoned
    /// with; `None` if there is now.
    ///
    /// Hot path: a side that is filled for comes by here more often than it is looked at.
    pub(crate) fn rests_until(&self, now: Instant) -> Option<Instant> {
        let look = self.next_look?;
        let until = self.leg.next_deadline(now).map_or(look, |due| due.min(look));
        (until > now).then_some(until)
    }

    /// The source that is its peer's beyond doubt.
    pub(crate) fn settled(&self, now: Instant) -> Option<SocketAddr> {
        self.leg.peer.as_ref()?.latch.settled(now)
    }

    /// For how long nothing came that was expected, counted from `last` at the earliest.
    fn silent_for(&self, answered: Instant, last: Option<Instant>, now: Instant) -> Option<Duration> {
        let expected = !self.held && self.leg.peer.as_ref().is_some_and(|peer| peer.sends);
        let since = [Some(answered), self.watched_since, last].into_iter().flatten().max()?;
        expected.then(|| now.saturating_duration_since(since))
    }

    fn cause(&self) -> OneWay {
        let (heard, strangers) = (self.leg.reception.received() > 0, self.leg.strangers.packets() > 0);
        match self.leg.spoke {
            Some(_) => OneWay::Stopped,
            None if heard => OneWay::NotUnderstood,
            None if strangers => OneWay::OnlyStrangers,
            None if self.counters.was_used() => OneWay::NotUnderstood,
            None => OneWay::NeverHeard,
        }
    }
}

impl Stream {
    pub(crate) fn new(call: CallId, sides: [Half; 2]) -> Self {
        Self { call, sides, answered: None }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    pub(crate) fn side(&mut self, side: Side) -> &mut Half {
        &mut self.sides[side as usize]
    }

    /// The side that receives a packet, then the one it is for.
    pub(crate) fn split(&mut self, from: Side) -> (&mut Half, &mut Half) {
        let [caller, callee] = &mut self.sides;
        match from {
            Side::Caller => (caller, callee),
            Side::Callee => (callee, caller),
        }
    }

    /// The sockets of both sides.
    pub(crate) fn sockets(&self) -> [(Side, SideSockets); 2] {
        [Side::Caller, Side::Callee].map(|side| (side, self.sides[side as usize].sockets))
    }

    /// A session description of `side` was read at `at`. A hold that gives no address (`c=0.0.0.0`, port 0)
    /// says nothing of where its peer is: it is heard from there as soon as it resumes.
    pub(crate) fn describe(&mut self, side: Side, signalled: Signalled, media: &LegMedia, at: Instant) {
        let answered = self.answered;
        let half = self.side(side);
        let payload_types = PayloadTypes {
            audio: media.audio_payload_type,
            event: media.dtmf_payload_type,
            our_event: media.our_dtmf_payload_type,
        };
        let LegMedia { sends, receives, law, ptime_ms, fill_ms, dead_after_s, .. } = *media;
        let back = half.leg.peer.as_ref().is_some_and(|peer| !peer.sends && sends);
        if back || half.leg.peer.is_none() || half.signalled != Some(signalled) {
            half.watched_since = Some(at);
        }
        half.signalled = Some(signalled);
        half.dead_after = (dead_after_s > 0).then(|| Duration::from_secs(dead_after_s.into()));
        half.reports.describe(media);
        half.leg.secure(media.srtp.as_deref());
        let tones = media.inband_dtmf.then_some(law);
        if half.tones != tones {
            half.tones = tones;
            half.leg.listen_for_tones(tones);
        }
        half.leg.play_digits(media.plays_digits);
        if !sends {
            half.leg.reception.on_hold();
        }
        if let Some(answered) = answered {
            half.leg.reception.on_answer(answered);
        }
        if half.fill_ms != fill_ms {
            (half.fill_ms, half.leg.filler) = (fill_ms, Filler::new(fill_ms));
        }
        if let Some(peer) = &mut half.leg.peer {
            if receives || signalled.reachable().is_some() {
                peer.latch.on_description(signalled, at);
            }
            (peer.payload_types, peer.law, peer.ptime_ms) = (payload_types, law, ptime_ms);
            (peer.sends, peer.receives) = (sends, receives);
        } else {
            let mut latch = Latch::new(signalled);
            if answered.is_some() {
                latch.on_answer(at);
            }
            half.leg.peer = Some(Peer { latch, payload_types, law, ptime_ms, sends, receives });
        }
        if back {
            self.split(side).1.leg.outbound.on_resume();
        }
    }

    /// Whoever was at `side` is gone; the next one gets numbers and counters of its own.
    pub(crate) fn clear(&mut self, side: Side, leg: Leg, reports: Reports, counters: Arc<LegCounters>) {
        let half = self.side(side);
        *half = Half { link: half.link, ..Half::new(leg, reports, counters, half.sockets, half.lent) };
    }

    pub(crate) fn on_answer(&mut self, at: Instant) {
        self.answered = Some(at);
        for leg in self.sides.iter_mut().map(|half| &mut half.leg) {
            leg.reception.on_answer(at);
            if let Some(peer) = &mut leg.peer {
                peer.latch.on_answer(at);
            }
        }
    }

    pub(crate) fn hold(&mut self, side: Side, held: bool, at: Instant) {
        let half = self.side(side);
        if half.held && !held {
            half.watched_since = Some(at);
        }
        half.held = held;
        half.leg.reception.on_hold();
    }

    /// Makes the packets that `side` is due to be sent; returns when the next ones may be.
    pub(crate) fn make(&mut self, side: Side, now: Instant, out: &mut impl Outbox) -> Option<Instant> {
        let answered = self.answered.is_some();
        let leg = &mut self.side(side).leg;
        leg.make(answered, now, out);
        leg.next_deadline(now)
    }

    /// Whether nothing came from `side` for `common`, or for its own time once it was heard; true once.
    pub(crate) fn falls_silent(&mut self, side: Side, common: Option<Duration>, now: Instant) -> bool {
        let Some(answered) = self.answered else { return false };
        let half = self.side(side);
        let own = half.dead_after.filter(|_| half.leg.heard.is_some());
        let Some(limit) = own.or(common) else { return false };
        let silent = !half.reported
            && half.silent_for(answered, half.leg.heard, now).is_some_and(|since| since >= limit);
        half.reported |= silent;
        silent
    }
}

impl Stream {
    /// Why `side` is missed, once the other one was heard alone for [`ONE_WAY`]; told once.
    pub(crate) fn falls_one_way(&mut self, side: Side, now: Instant) -> Option<OneWay> {
        let answered = self.answered?;
        let (half, other) = self.split(side);
        let other_spoke = other.leg.spoke.filter(|&at| now.saturating_duration_since(at) < ONE_WAY)?;
        let silent = half.silent_for(answered, half.leg.spoke, now)? >= ONE_WAY;
        if half.missed || !silent || other_spoke < answered {
            return None;
        }
        half.missed = true;
        Some(half.cause())
    }
}

/// How long one direction may carry nothing.
const ONE_WAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::forward::{Outbox, Reason, Verdict, forward};
    use super::*;
    use crate::rtp::continuity::Position;
    use crate::rtp::packet::{self, Header};
    use crate::rtp::rtcp::{Cname, NtpClock, Session};
    use crate::rtp::stats::Arrival;

    const LIMIT: Duration = Duration::from_secs(60);
    const PEER: &str = "198.51.100.7:4000";

    #[test]
    fn silence_counts_from_the_answer_and_is_reported_once_for_each_side() {
        let (mut stream, start) = connected();

        assert_eq!(silent(&mut stream, at(start, 500)), []);
        stream.on_answer(at(start, 500));
        assert_eq!(silent(&mut stream, at(start, 559)), []);
        assert_eq!(silent(&mut stream, at(start, 560)), [Side::Caller, Side::Callee]);
        assert_eq!(silent(&mut stream, at(start, 900)), []);
    }

    #[test]
    fn a_side_rests_until_its_next_look_and_no_longer_than_it_has_packets() {
        let (mut stream, start) = connected();
        let half = stream.side(Side::Callee);

        let never_looked_at = half.rests_until(start);
        half.next_look = Some(at(start, 400));
        let unfilled = half.rests_until(start);
        half.leg.filler = Filler::new(100);
        half.leg.filler.start(start);
        half.leg.filler.on_packet(160, at(start, 150));
        let silence_due = half.leg.filler.next_deadline().unwrap();

        assert_eq!((never_looked_at, unfilled), (None, Some(at(start, 400))));
        assert!(silence_due < at(start, 400));
        assert_eq!(half.rests_until(at(start, 150)), Some(silence_due));
        assert_eq!(half.rests_until(silence_due), None);
    }

    #[test]
    fn a_side_that_was_heard_is_not_silent() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        stream.side(Side::Caller).leg.heard = Some(at(start, 30));

        assert_eq!(silent(&mut stream, at(start, 89)), [Side::Callee]);
        assert_eq!(silent(&mut stream, at(start, 90)), [Side::Caller]);
    }

    #[test]
    fn a_side_with_a_time_of_its_own_is_dead_after_it_once_it_was_heard() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        let remote = "198.51.100.7:4000".parse().unwrap();
        let media = LegMedia { dead_after_s: 10, ..LegMedia::new(remote, 0) };
        stream.describe(Side::Callee, Signalled::new(remote, true), &media, start);

        assert_eq!(silent(&mut stream, at(start, 30)), [], "it was not heard yet");
        stream.side(Side::Callee).leg.heard = Some(at(start, 40));
        assert_eq!(silent(&mut stream, at(start, 49)), []);
        assert_eq!(silent(&mut stream, at(start, 50)), [Side::Callee]);
    }

    #[test]
    fn a_held_side_may_be_silent_and_its_time_begins_anew_afterwards() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        stream.side(Side::Callee).leg.heard = Some(at(start, 1_000));

        stream.hold(Side::Caller, true, at(start, 10));
        assert_eq!(silent(&mut stream, at(start, 600)), []);
        stream.hold(Side::Caller, false, at(start, 600));
        assert_eq!(silent(&mut stream, at(start, 659)), []);
        assert_eq!(silent(&mut stream, at(start, 660)), [Side::Caller]);
    }

    #[test]
    fn a_refreshed_description_that_changes_nothing_does_not_put_the_time_out_off() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        stream.side(Side::Callee).leg.heard = Some(at(start, 1_000));

        describe(&mut stream, Side::Caller, true, at(start, 50));

        assert_eq!(silent(&mut stream, at(start, 60)), [Side::Caller]);
    }

    #[test]
    fn a_side_that_says_it_does_not_send_is_not_waited_for() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        stream.side(Side::Callee).leg.heard = Some(at(start, 1_000));
        describe(&mut stream, Side::Caller, false, at(start, 50));

        assert_eq!(silent(&mut stream, at(start, 600)), []);
        describe(&mut stream, Side::Caller, true, at(start, 600));

        assert_eq!(silent(&mut stream, at(start, 659)), []);
        assert_eq!(silent(&mut stream, at(start, 660)), [Side::Caller]);
    }

    #[test]
    fn a_side_whose_audio_is_missing_while_the_other_speaks_is_told_once_with_what_is_likely() {
        let (mut stream, start) = connected();
        stream.on_answer(at(start, 10));
        stream.side(Side::Caller).leg.spoke = Some(at(start, 14));
        stream.side(Side::Callee).leg.heard = Some(at(start, 14));

        assert_eq!(stream.falls_one_way(Side::Callee, at(start, 14)), None);
        stream.side(Side::Caller).leg.spoke = Some(at(start, 15));
        assert_eq!(stream.falls_one_way(Side::Caller, at(start, 15)), None);
        assert_eq!(stream.falls_one_way(Side::Callee, at(start, 15)), Some(OneWay::NeverHeard));
        assert_eq!(stream.falls_one_way(Side::Callee, at(start, 16)), None);
    }

    #[test]
    fn audio_is_not_missed_where_none_is_expected_nor_when_both_are_silent() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        assert_eq!(stream.falls_one_way(Side::Callee, at(start, 60)), None);

        stream.side(Side::Caller).leg.spoke = Some(at(start, 60));
        stream.hold(Side::Callee, true, start);

        assert_eq!(stream.falls_one_way(Side::Callee, at(start, 60)), None);
    }

    #[test]
    fn what_is_likely_depends_on_what_came_before() {
        let cause = |spoke: Option<u64>, strangers, unread, others| {
            let (mut stream, start) = connected();
            stream.on_answer(start);
            stream.side(Side::Caller).leg.spoke = Some(at(start, 30));
            let missed = stream.side(Side::Callee);
            missed.leg.spoke = spoke.map(|seconds| at(start, seconds));
            (0..strangers).for_each(|_| missed.leg.strangers.on_packet(([192, 0, 2, 66], 6_666).into()));
            let position = Position { ssrc: 1, sequence: 1, timestamp: 1 };
            let arrival = Arrival { position, is_audio: false, bytes: 172, at: start };
            (0..others).for_each(|_| missed.leg.reception.on_packet(arrival));
            missed.counters.publish_received(&missed.leg, unread);
            stream.falls_one_way(Side::Callee, at(start, 30))
        };

        assert_eq!(cause(None, 0, 0, 0), Some(OneWay::NeverHeard));
        assert_eq!(cause(None, 3, 3, 0), Some(OneWay::OnlyStrangers));
        assert_eq!(cause(None, 0, 3, 0), Some(OneWay::NotUnderstood), "under another key");
        assert_eq!(cause(None, 3, 4, 1), Some(OneWay::NotUnderstood), "under another payload type");
        assert_eq!(cause(Some(25), 3, 3, 0), Some(OneWay::Stopped));
        assert_eq!(cause(Some(26), 0, 0, 0), None);
    }

    #[test]
    fn a_holder_is_heard_at_its_first_packet_back_though_its_clock_stood_still_and_the_hold_gave_no_address()
    {
        for hold in ["0.0.0.0:4000", "198.51.100.7:0", PEER] {
            let (mut stream, start) = connected();
            stream.on_answer(start);
            let spoken = [100, 101, 102, 103].map(|number| says(&mut stream, number, paced(start, number)));
            assert_eq!(spoken.map(|verdict| matches!(verdict, Verdict::Send(_))), [false, false, true, true]);

            let media = LegMedia { sends: false, receives: false, ..LegMedia::new(hold.parse().unwrap(), 0) };
            stream.describe(Side::Caller, Signalled::new(media.remote, true), &media, at(start, 2));
            stream.side(Side::Callee).leg.outbound.fill(at(start, 3));
            describe(&mut stream, Side::Caller, true, at(start, 3));

            assert!(matches!(says(&mut stream, 104, at(start, 3)), Verdict::Send(_)), "{hold}");
        }
    }

    #[test]
    fn a_peer_that_moves_is_not_heard_from_where_it_was() {
        let (mut stream, start) = connected();
        stream.on_answer(start);
        for number in [100, 101, 102] {
            says(&mut stream, number, paced(start, number));
        }

        let media = LegMedia::new("203.0.113.80:7000".parse().unwrap(), 0);
        stream.describe(Side::Caller, Signalled::new(media.remote, true), &media, at(start, 2));

        assert_eq!(says(&mut stream, 103, at(start, 2)), Verdict::Drop(Reason::Stranger));
    }

    /// When a packet of that number comes, 20 ms after the one before.
    fn paced(start: Instant, number: u16) -> Instant {
        at(start, 1) + Duration::from_millis(20) * (u32::from(number) - 100)
    }

    /// What becomes of audio of the caller, which speaks from behind a NAT.
    fn says(stream: &mut Stream, number: u16, now: Instant) -> Verdict {
        let mut datagram = [0; 172];
        let position = Position { ssrc: 7, sequence: number, timestamp: u32::from(number) * 160 };
        let header = Header { payload_type: 0, marker: false, position };
        packet::write(&mut datagram, header, 160, |payload| payload.fill(0x11));
        let (from, to) = stream.split(Side::Caller);
        let nat = "203.0.113.9:61000".parse().unwrap();
        forward(&mut datagram, nat, now, &mut from.leg, &mut to.leg, &mut Nowhere)
    }

    struct Nowhere;

    impl Outbox for Nowhere {
        fn put(&mut self, _write: impl FnOnce(&mut [u8]) -> usize) -> bool {
            false
        }
    }

    fn silent(stream: &mut Stream, now: Instant) -> Vec<Side> {
        [Side::Caller, Side::Callee]
            .into_iter()
            .filter(|&side| stream.falls_silent(side, Some(LIMIT), now))
            .collect()
    }

    fn connected() -> (Stream, Instant) {
        let start = Instant::now();
        let half = || {
            let first = Position { ssrc: 1, sequence: 1, timestamp: 1 };
            let clock = NtpClock::new(start, Duration::ZERO);
            let reports = Reports::new(Session::new(1, Cname::from_random(0), clock), 0);
            Half::new(Leg::new(first), reports, Arc::default(), SideSockets { rtp: 0, rtcp: None }, start)
        };
        let mut stream = Stream::new(CallId(1), [half(), half()]);
        describe(&mut stream, Side::Caller, true, start);
        describe(&mut stream, Side::Callee, true, start);
        (stream, start)
    }

    fn describe(stream: &mut Stream, side: Side, sends: bool, at: Instant) {
        let remote = PEER.parse().unwrap();
        let media = LegMedia { sends, ..LegMedia::new(remote, 0) };
        stream.describe(side, Signalled::new(remote, true), &media, at);
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }
}
