//! One leg's RTCP session of two members: what we report to the peer, and what it reports of us (RFC 3550
//! §6.4).
//!
//! The peer's reports describe the stream that it was sent, and are the only source of its loss and of the
//! round trip: the peer names our last sender report and how long it held it, and what is left of the time
//! since is on the wire.

use std::time::{Duration, Instant};

use super::ntp::{NtpClock, from_units, units};
use super::read::{Compound, NotRtcp, Packet, ReportBlock, SenderInfo};
use super::schedule::Schedule;
use super::write::{Cname, Report};
use crate::rtp::stats::{Reception, SourceReception};

/// What we know and tell of one leg's streams.
#[derive(Clone, Debug)]
pub struct Session {
    ssrc: u32,
    cname: Cname,
    clock: NtpClock,
    schedule: Schedule,
    packets: u32,
    octets: u32,
    /// Packets sent by the time of the last report, and of the one before.
    reported: [u32; 2],
    /// The source as of the last report.
    prior: Option<SourceReception>,
    /// The last sender report of the peer.
    heard: Option<Heard>,
    peer: Option<PeerReport>,
}

/// The leg at the time of a report.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The time.
    pub now: Instant,
    /// The same time on the clock of what the leg is sent.
    pub timestamp: u32,
    /// What came from the peer.
    pub reception: &'a Reception,
}

/// How the peer receives what it is sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PeerReport {
    /// The part lost between its last two reports, 0 to 1.
    pub loss: f32,
    /// Packets lost altogether; less than 0 if it counts duplicates as received.
    pub lost: i32,
    /// Interarrival jitter in timestamp ticks.
    pub jitter_ticks: u32,
    /// From us to it and back, without what it waited; the last that is known.
    pub round_trip: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    ssrc: u32,
    middle: u32,
    at: Instant,
}

impl Session {
    /// Of the leg that is sent packets of `ssrc`.
    #[must_use]
    pub fn new(ssrc: u32, cname: Cname, clock: NtpClock) -> Self {
        Self {
            ssrc,
            cname,
            clock,
            schedule: Schedule::Idle,
            packets: 0,
            octets: 0,
            reported: [0; 2],
            prior: None,
            heard: None,
            peer: None,
        }
    }

    /// The peer can be sent reports; `random` decides when the first is due.
    pub fn start(&mut self, now: Instant, random: u64) {
        self.schedule.start(now, random as u32);
    }

    /// The leg was sent so many RTP packets, with so many octets of payload in all.
    ///
    /// Hot path.
    pub fn on_sent(&mut self, packets: usize, octets: usize) {
        self.packets = self.packets.wrapping_add(packets as u32);
        self.octets = self.octets.wrapping_add(octets as u32);
    }

    /// Takes what the peer reports.
    ///
    /// # Errors
    ///
    /// Why it is no report; nothing of it was taken.
    pub fn on_datagram(&mut self, datagram: &[u8], now: Instant) -> Result<(), NotRtcp> {
        for packet in Compound::parse(datagram)?.packets() {
            match packet {
                Packet::SenderReport { ssrc, sender, blocks } => {
                    self.heard = Some(Heard { ssrc, middle: sender.ntp.middle(), at: now });
                    blocks.iter().for_each(|block| self.on_block(block, now));
                }
                Packet::ReceiverReport { blocks, .. } => {
                    blocks.iter().for_each(|block| self.on_block(block, now));
                }
                Packet::Goodbye(sources) => {
                    self.heard = self.heard.filter(|heard| sources.iter().all(|left| left != heard.ssrc));
                }
                Packet::Other => {}
            }
        }
        Ok(())
    }

    /// When to call [`Self::on_time`]; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.schedule.next_deadline()
    }

    /// Writes the report that is due to `bytes`, of [`MAX_BYTES`](super::MAX_BYTES) at least; returns its
    /// length, 0 if none is due.
    pub fn on_time(&mut self, view: View<'_>, random: u64, bytes: &mut [u8]) -> usize {
        if !self.schedule.is_due(view.now, [random as u32, (random >> 32) as u32]) {
            return 0;
        }
        let report = self.report(view, false);
        self.reported = [self.packets, self.reported[0]];
        self.prior = view.reception.source();
        report.write(bytes)
    }

    /// Ends the session, and writes the farewell to `bytes`, of [`MAX_BYTES`](super::MAX_BYTES) at least;
    /// returns its length, 0 if the peer never heard of us.
    ///
    /// Two members need not wait before they say it (RFC 3550 §6.3.7).
    pub fn goodbye(&mut self, view: View<'_>, bytes: &mut [u8]) -> usize {
        let was_heard = match self.schedule {
            Schedule::Idle => false,
            Schedule::Running { initial, .. } => !initial || self.packets > 0,
        };
        self.schedule = Schedule::Idle;
        if was_heard { self.report(view, true).write(bytes) } else { 0 }
    }

    /// What the peer said last of what it is sent.
    #[must_use]
    pub fn peer(&self) -> Option<PeerReport> {
        self.peer
    }

    /// A sender report as long as anything was sent in the last two intervals (RFC 3550 §6.4).
    fn report(&self, view: View<'_>, goodbye: bool) -> Report {
        let sends = self.packets != self.reported[1];
        let sender = sends.then(|| SenderInfo {
            ntp: self.clock.at(view.now),
            timestamp: view.timestamp,
            packets: self.packets,
            octets: self.octets,
        });
        Report { ssrc: self.ssrc, cname: self.cname, sender, block: self.block(view), goodbye }
    }

    /// On the source, if it was heard since the last report (RFC 3550 §6.4, A.3).
    fn block(&self, view: View<'_>) -> Option<ReportBlock> {
        let source = view.reception.source()?;
        let prior = self.prior.filter(|prior| prior.ssrc == source.ssrc && prior.expected <= source.expected);
        let (expected, received) = prior.map_or((0, 0), |prior| (prior.expected, prior.received));
        if prior.is_some() && source.received == received {
            return None;
        }
        let heard = self.heard.filter(|heard| heard.ssrc == source.ssrc);
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: fraction_lost(
                source.expected - expected,
                source.received.saturating_sub(received),
            ),
            lost: i32::try_from(source.expected.saturating_sub(source.received)).unwrap_or(i32::MAX),
            highest: source.highest,
            jitter_ticks: source.jitter_ticks,
            last_report: heard.map_or(0, |heard| heard.middle),
            delay: heard.map_or(0, |heard| units(view.now.saturating_duration_since(heard.at))),
        })
    }

    fn on_block(&mut self, block: ReportBlock, now: Instant) {
        if block.ssrc != self.ssrc {
            return;
        }
        let former = self.peer.and_then(|peer| peer.round_trip);
        self.peer = Some(PeerReport {
            loss: f32::from(block.fraction_lost) / 256.0,
            lost: block.lost,
            jitter_ticks: block.jitter_ticks,
            round_trip: self.round_trip(block, now).or(former),
        });
    }

    /// RFC 3550 §6.4.1, DLSR; a little less than nothing is rounding.
    fn round_trip(&self, block: ReportBlock, now: Instant) -> Option<Duration> {
        if block.last_report == 0 {
            return None;
        }
        let arrival = self.clock.at(now).middle();
        let round_trip = arrival.wrapping_sub(block.last_report).wrapping_sub(block.delay).cast_signed();
        (-MAX_ROUNDING..=MAX_ROUND_TRIP)
            .contains(&round_trip)
            .then(|| from_units(round_trip.max(0).cast_unsigned()))
    }
}

/// 256ths, RFC 3550 A.3.
fn fraction_lost(expected: u64, received: u64) -> u8 {
    let lost = expected.saturating_sub(received);
    (lost * 256).checked_div(expected).map_or(0, |fraction| u8::try_from(fraction).unwrap_or(u8::MAX))
}

/// 10 s in 1/65536 s: the peer that claims more is wrong.
const MAX_ROUND_TRIP: i32 = 10 << 16;
/// 1 ms.
const MAX_ROUNDING: i32 = 66;

#[cfg(test)]
mod tests;
