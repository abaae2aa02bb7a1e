//! Hold, in all its dialects (RFC 3264 §8.4, RFC 6337 §5.3): `sendonly`, `inactive`,
//! `recvonly`, `c=0.0.0.0`, port 0.
//!
//! It stops here: the other leg hears nothing of it by SIP. The holder gets the direction that answers its
//! own, and the packets that this direction allows; time-outs for its silence rest until it is back. Profile
//! `hold`: `terminate`, the other side hears silence meanwhile, for an agent would answer the music; `pass`,
//! it hears what the holder sends.

use crate::id::LegId;
use crate::routing::config::Treatment;
use crate::sdp::negotiate::Accepted;
use crate::sdp::session::Direction;

use crate::call::Call;
use crate::call::contract::{Action, Cx};
use crate::call::leg_media::leg_media;

impl Call {
    /// Relays to and from `leg` as was agreed with it last, held or not.
    pub(in crate::call) fn relay_as_agreed(&mut self, leg: LegId, cx: &mut Cx<'_>) {
        if let Some(agreed) = self.exchange(leg).agreed().cloned() {
            self.relay_as(leg, &agreed, cx);
        }
    }

    /// The same with what an early dialog of `leg` agreed.
    pub(in crate::call) fn relay_as(&mut self, leg: LegId, agreed: &Accepted, cx: &mut Cx<'_>) {
        let side = Self::side(leg);
        let peer = cx.routes.peer(self.peer(leg).unwrap_or(self.plan.callee));
        let mut media = leg_media(agreed, peer);
        media.sends &= !is_held(agreed) || peer.profile.hold == Treatment::Pass;
        cx.out.push(Action::SetLeg(side, media));
        cx.out.push(Action::SetHeld(side, is_held(agreed)));
    }
}

fn is_held(agreed: &Accepted) -> bool {
    agreed.audio.direction != Direction::SendRecv
}
