//! What a media thread does for a side that no packet came for: silence to be sent, reports, and peers that
//! fell silent.
//!
//! Most of the time a side that comes by on the wheel has been sent packets meanwhile and needs nothing; that
//! is found out first, from little memory. With thousands of calls a look at all of a side finds nothing of
//! it in the cache.

use std::time::Duration;

use super::round::flush;
use super::{Place, Worker, entry};
use crate::media::forward::Reason;
use crate::media::link::Link;
use crate::media::mailbox::StreamId;
use crate::media::reports::Port;
use crate::media::{Event, Side};
use crate::rtp::rtcp::MAX_BYTES;
use crate::rtp::srtp::MAX_TRAILER;

impl Worker {
    /// One side of a stream is due.
    pub(super) fn on_timer(&mut self, due: u32) {
        let (id, side) = (due / 2, if due.is_multiple_of(2) { Side::Caller } else { Side::Callee });
        let (now, limit) = (self.anchor.now, self.setup.silence_timeout);
        let Some(Place::Here(stream)) = self.streams.get_mut(id as usize) else { return };
        if let Some(later) = stream.side(side).rests_until(now) {
            self.wheel.arm(due, later.max(now + SOONEST));
            return;
        }
        let silent = stream.falls_silent(side, limit, now);
        let missed = stream.falls_one_way(side, now);
        let call = stream.call;
        let (from, to) = stream.split(side);
        from.leg.pressed.on_time(now);
        while let Some(press) = from.leg.next_press(&mut to.leg) {
            (self.setup.events)(Event::Digit { call, side, press });
            to.next_look = None;
            self.wheel.arm(entry(id, side.other()), now);
        }
        if silent {
            (self.setup.events)(Event::Silent { call, side });
        }
        if let Some(cause) = missed {
            (self.setup.events)(Event::OneWay { call, side, cause });
        }
        self.follow_peer(id, side);
        self.report(id, side, false);
        self.attend(id, side);
    }

    /// Sends `side` the report that is due, or, if it `leaves`, the last one.
    pub(super) fn report(&mut self, id: StreamId, side: Side, leaves: bool) {
        let now = self.anchor.now;
        let Some(Place::Here(stream)) = self.streams.get_mut(id as usize) else { return };
        let answered = stream.is_answered();
        let half = stream.side(side);
        let Some((port, to)) = half.report_due(answered, leaves, now) else { return };
        let (reports, leg, mut bytes) = (&mut half.reports, &half.leg, [0; MAX_BYTES + MAX_TRAILER]);
        let mut length =
            if leaves { reports.goodbye(leg, now, &mut bytes) } else { reports.write(leg, now, &mut bytes) };
        if let Some(srtp) = half.leg.srtp.as_mut().filter(|_| length > 0) {
            length = srtp.outbound.protect_rtcp(&mut bytes, length).unwrap_or(0);
        }
        let (socket, to) = match port {
            Port::Rtp => (Some(half.sockets.rtp), half.link.address(to)),
            Port::Rtcp => (half.sockets.rtcp, Some(to)),
        };
        let Some(out) = socket.and_then(|socket| self.socket(socket)).filter(|_| length > 0) else { return };
        let report = &bytes[..length];
        let sent = to.map_or_else(|| out.socket.send(report), |to| out.socket.send_to(report, to));
        if sent.is_err() {
            self.totals.add_dropped(Reason::SendFailed, 1);
        }
    }

    /// Sends what `side` is due to be sent, and sees to it that the next is sent in time.
    fn attend(&mut self, id: StreamId, side: Side) {
        let now = self.anchor.now;
        let Some(Place::Here(stream)) = self.streams.get_mut(id as usize) else { return };
        self.batch.clear();
        let next = stream.make(side, now, &mut self.batch.made());
        let made = 0..self.batch.kept();
        let sent = flush(&mut self.batch, made, stream.side(side), &self.sockets);
        let half = stream.side(side);
        half.counters.publish_filled(half.leg.filled);
        self.totals.add_made(sent);
        let look = now + LOOK;
        half.next_look = Some(look);
        let due = next.map_or(look, |next| next.min(look)).max(now + SOONEST);
        self.wheel.arm(entry(id, side), due);
    }

    /// Looks at `side` before the next packet is waited for.
    pub(super) fn look_soon(&mut self, id: StreamId, side: Side) {
        self.with(id, |stream| stream.side(side).next_look = None);
        self.wheel.arm(entry(id, side), self.anchor.now);
    }

    /// Connects or disconnects the socket of `side` as its peer settled, moved or fell silent.
    pub(super) fn follow_peer(&mut self, id: StreamId, side: Side) {
        let now = self.anchor.now;
        let Some(stream) = self.stream(id) else { return };
        let half = stream.side(side);
        let (settled, heard, socket) = (half.settled(now), half.leg.heard, half.sockets.rtp);
        let change = half.link.follow(settled, heard, now);
        if !self.relink(socket, change) {
            self.with(id, |stream| stream.side(side).link = Link::Shunned);
        }
    }
}

/// How often each side is looked at: all it holds has gone cold by then, so that a look costs as much as two
/// packets.
const LOOK: Duration = Duration::from_millis(400);
/// A side is never looked at twice in a millisecond.
const SOONEST: Duration = Duration::from_millis(1);
