//! Which refused calls are kept: as a transaction for 32 s, as a line in the log and as a record.
//!
//! Every call has a record, a refused one too. But whoever sends by UDP may have forged a peer's address, and
//! INVITEs that are refused for what is in them cost nothing to make; so each peer has a number of them that
//! ordinary calls never come near. Beyond it a refusal is answered and counted like any other, and nothing of
//! it is kept (RFC 3261 §8.2.7) but how many there were, for one line a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::call::admit::Refused;
use crate::call::record::{Direction, EndedBy, LegRecord, Record};
use crate::id::{PeerId, ServerTx};
use crate::routing::Kind;
use crate::sip::flow::{Flow, Transport};
use crate::sip::headers::Name;
use crate::sip::message::Message;

use super::bridge::Bridge;
use super::counters::Rejection;
use super::telemetry::Redact;
use super::world::World;

/// The refusals of every peer, those by each transport by themselves: what is forged comes by UDP, and must
/// not cost the others their records.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    peers: HashMap<(PeerId, Transport), Allowance>,
}

#[derive(Debug)]
struct Allowance {
    /// Of refusals that are kept, as it was at `counted`.
    left: u32,
    counted: Instant,
    /// Not kept, and not told of either.
    untold: u64,
    told: Option<Instant>,
}

impl Refusals {
    /// Whether one more refused call of `peer` is kept.
    pub(super) fn keeps(&mut self, peer: PeerId, transport: Transport, now: Instant) -> bool {
        let fresh = || Allowance { left: AT_ONCE, counted: now, untold: 0, told: None };
        self.peers.entry((peer, transport)).or_insert_with(fresh).take(now)
    }

    /// Whose refusals were not kept, and how many since they were told of last; once a minute at most.
    pub(super) fn news(&mut self, now: Instant) -> Vec<(PeerId, Transport, u64)> {
        let due = |told: Instant| now.saturating_duration_since(told) >= TOLD_EVERY;
        let untold = self.peers.iter_mut().filter(|(_, own)| own.untold > 0 && own.told.is_none_or(due));
        let told = untold.map(|(&(peer, transport), own)| {
            own.told = Some(now);
            (peer, transport, std::mem::take(&mut own.untold))
        });
        told.collect()
    }

    /// The peers are others from here on.
    pub(super) fn forget(&mut self) {
        self.peers.clear();
    }
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.counted).as_secs();
        let grown = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND);
        self.left = self.left.saturating_add(grown).min(AT_ONCE);
        self.counted += Duration::from_secs(seconds);
        let keeps = self.left > 0;
        self.left -= u32::from(keeps);
        self.untold += u64::from(!keeps);
        keeps
    }
}

impl<W: World> Bridge<W> {
    /// Refuses a call of `peer`; `hints` are further headers of the response.
    pub(super) fn refuse_call(
        &mut self,
        invite: &Message,
        tx: ServerTx,
        flow: Flow,
        peer: PeerId,
        refused: &Refused,
        hints: &[(Name, String)],
    ) {
        self.metrics.counters.rejected(rejection(refused));
        if let Refused::Spent(spent) = refused {
            self.complain_of_peer(flow.remote, spent, "call refused: its caller has had enough");
        }
        let record = self.record_of(invite, flow, peer, refused);
        self.metrics.counters.ended(&record);
        let (code, phrase) = (refused.status(), refused.reason_phrase());
        if !self.refusals.keeps(peer, flow.transport, self.now) {
            self.table.forget(tx);
            return self.answer_statelessly_with(invite, flow, code, &phrase, hints);
        }
        self.answer(invite, tx, flow, code, &phrase, hints);
        tracing::info!(
            call = %record.id,
            from = %Redact(&record.from),
            to = %Redact(&record.to),
            code,
            reason = %record.reason,
            "call refused"
        );
        self.world.record(record);
    }

    /// Says of how many refused calls nothing is kept.
    pub(super) fn tell_of_refusals(&mut self) {
        for (peer, transport, calls) in self.refusals.news(self.now) {
            let (peer, transport) = (&self.routes.peer(peer).name, transport.via());
            tracing::warn!(%peer, transport, calls, "calls refused without a record: too many of them");
        }
    }

    /// A call that never was still has a record, with the sentence that the peer was told.
    fn record_of(&mut self, invite: &Message, flow: Flow, peer: PeerId, refused: &Refused) -> Record {
        let now = self.unix_ms;
        let peer = self.routes.peer(peer);
        let (direction, trunk, retell) = match peer.kind {
            Kind::Trunk => (Direction::ToRetell, peer.name.clone(), String::new()),
            Kind::Retell => (Direction::ToTrunk, String::new(), peer.name.clone()),
        };
        let from = invite.from().ok().and_then(|from| from.uri.user).unwrap_or_default();
        let leg = LegRecord {
            call_id: invite.call_id().map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default(),
            peer: peer.name.clone(),
            remote: flow.remote.to_string(),
            sip_code: refused.status(),
            to: peer.number_dialled(invite),
            ..LegRecord::default()
        };
        Record {
            id: self.ids.call(),
            direction,
            from,
            to: peer.number_dialled(invite),
            trunk,
            retell,
            started_ms: now,
            answered_ms: None,
            ended_ms: now,
            ended_by: EndedBy::Trunkline,
            sip_code: refused.status(),
            reason: refused.to_string(),
            hints: Vec::new(),
            legs: vec![leg],
        }
    }
}

fn rejection(refused: &Refused) -> Rejection {
    match refused {
        Refused::TooManyHops => Rejection::Hops,
        Refused::Header(_) => Rejection::Malformed,
        Refused::Extension(_) | Refused::Interval(_) => Rejection::Extension,
        Refused::Body(_)
        | Refused::NoOffer
        | Refused::Unreadable(_)
        | Refused::Unusable(_)
        | Refused::Cleartext => Rejection::Media,
        Refused::Full(_) => Rejection::Capacity,
        Refused::Spent(_) => Rejection::Cap,
        Refused::Route(refusal) if refusal.status() == 404 => Rejection::NoRoute,
        Refused::Route(_) => Rejection::Rule,
    }
}

/// Refusals of one peer that are kept however fast they come.
const AT_ONCE: u32 = 1_000;
/// And then in a second: half a gigabyte of records a day.
const PER_SECOND: u32 = 10;
const TOLD_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_are_kept_at_once_and_then_ten_a_second() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let mut kept = |ms| {
            let now = start + Duration::from_millis(ms);
            (0..2_000).filter(|_| refusals.keeps(PEER, Transport::Udp, now)).count()
        };

        assert_eq!([0, 900, 1_000, 2_500, 3_000].map(&mut kept), [1_000, 0, 10, 10, 10]);
        assert_eq!(kept(86_400_000), 1_000);
    }

    #[test]
    fn each_peer_and_each_transport_has_its_own() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        while refusals.keeps(PEER, Transport::Udp, now) {}

        assert!(refusals.keeps(PEER, Transport::Tcp, now));
        assert!(refusals.keeps(PeerId(1), Transport::Udp, now));
        refusals.forget();
        assert!(refusals.keeps(PEER, Transport::Udp, now));
    }

    #[test]
    fn those_not_kept_are_told_of_together_once_a_minute() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(refusals.keeps(PEER, Transport::Udp, start));
        assert_eq!(refusals.news(start), []);
        while refusals.keeps(PEER, Transport::Udp, start) {}

        assert_eq!(refusals.news(start), [(PEER, Transport::Udp, 1)]);
        for _ in 0..5 {
            refusals.keeps(PEER, Transport::Udp, start);
        }
        assert_eq!(refusals.news(at(59)), []);
        assert_eq!(refusals.news(at(60)), [(PEER, Transport::Udp, 5)]);
        assert_eq!(refusals.news(at(600)), []);
    }

    const PEER: PeerId = PeerId(0);
}
