//! Requests of ours that belong to no call: REGISTER to registrars, OPTIONS to the targets of peers.
//!
//! They take the same transaction table as calls; who waits for which answer is kept beside it, by number,
//! because what waits may be gone when the answer comes.

use crate::call::Hop;
use crate::id::ClientTx;
use crate::sip::build::Draft;
use crate::sip::flow::Flow;
use crate::sip::message::Message;

use super::bridge::Bridge;
use super::world::World;

/// Who waits for a client transaction that is of no call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Errand {
    /// The registration of this number.
    Register(u64),
    /// The watched target of this number.
    Probe(u64),
}

impl<W: World> Bridge<W> {
    /// Sends a request in a new client transaction.
    pub(super) fn run_errand(&mut self, errand: Errand, tx: ClientTx, hop: &Hop, draft: &Draft) {
        self.errands.insert(tx, errand);
        let Some(local) = self.world.local(hop.transport, hop.remote, hop.interface) else {
            return self.on_errand_lost(tx);
        };
        let bytes = draft.with_via(hop.transport, &local.sent_by, &self.ids.branch(tx));
        let (transport, remote, domain) = (hop.transport, hop.remote, hop.domain);
        let flow = Flow { transport, listener: local.listener, remote, connection: None, domain };
        self.table.request(tx, draft.method(), bytes, flow, self.now, &mut self.table_out);
        self.carry_out_table(None);
    }

    /// A response came to a request that may be an errand.
    pub(super) fn on_errand_answered(&mut self, tx: ClientTx, response: &Message) {
        match self.errands.get(&tx) {
            Some(Errand::Register(id)) => self.on_register_answered(*id, tx, response),
            Some(Errand::Probe(id)) => self.on_probe_answered(*id, tx, response),
            None => {}
        }
    }

    /// Nothing will come to a request that may be an errand.
    pub(super) fn on_errand_lost(&mut self, tx: ClientTx) {
        match self.errands.remove(&tx) {
            Some(Errand::Register(id)) => self.on_register_lost(id, tx),
            Some(Errand::Probe(id)) => self.on_probe_lost(id, tx),
            None => {}
        }
    }
}
