//! Registrations at trunks: the machines of `sip::registration`, what they send, and what is told of them.
//!
//! They follow the configuration by what they register, not by the name of the trunk: a reload that changes
//! nothing for a trunk leaves its binding alone, and one that changes the account takes the old binding back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use metrics::gauge;

use crate::call::Hop;
use crate::id::{CallId, ClientTx};
use crate::routing::Peer;
use crate::sip::build::Draft;
use crate::sip::message::{Message, Method};
use crate::sip::registration::{Account, Action, Registration, Route, Status};
use crate::sip::uri::Uri;

use super::bridge::Bridge;
use super::errands::Errand;
use super::requests::Waiting;
use super::world::World;

/// Every registration, those that are being taken back included.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    standing: BTreeMap<u64, Standing>,
    next: u64,
}

#[derive(Debug)]
struct Standing {
    trunk: String,
    machine: Registration,
    /// On the wall, when its status changed.
    changed_ms: i64,
    is_leaving: bool,
}

impl Registrations {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.standing.values().filter_map(|standing| standing.machine.next_deadline()).min()
    }

    /// Whether none is left to be taken back.
    pub(super) fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    /// The registration of `trunk`, and when its status changed.
    pub(super) fn of(&self, trunk: &str) -> Option<(&Registration, i64)> {
        let mut kept = self.standing.values().filter(|standing| !standing.is_leaving);
        kept.find(|standing| standing.trunk == trunk).map(|standing| (&standing.machine, standing.changed_ms))
    }

    /// Forgets those for which none of `wanted` stands; returns those whose binding has to be taken back.
    fn dismiss(&mut self, wanted: &[(String, Account)]) -> Vec<u64> {
        let mut leaving = Vec::new();
        self.standing.retain(|&id, standing| {
            let account = standing.machine.account();
            let is_wanted =
                wanted.iter().any(|(trunk, wanted)| *trunk == standing.trunk && wanted == account);
            if standing.is_leaving || is_wanted {
                return true;
            }
            // A new registration of the same Contact takes the binding over: taking it back could undo that.
            let is_same = |new: &Account| {
                (&new.address, &new.contact_user) == (&account.address, &account.contact_user)
            };
            standing.is_leaving = true;
            leaving.push(id);
            !wanted.iter().any(|(_, new)| is_same(new))
        });
        leaving
    }
}

impl<W: World> Bridge<W> {
    /// Registers where the configuration says, and nowhere else.
    pub(super) fn follow_registrations(&mut self) {
        let wanted = |peer: &Peer| Some((peer.name.clone(), peer.registration.clone()?));
        let wanted: Vec<_> = self.routes.peers().iter().filter_map(wanted).collect();
        for id in self.registrations.dismiss(&wanted) {
            self.step_registration(id, |machine, cx| machine.end(cx.now, cx.ids, cx.out));
        }
        for (trunk, account) in wanted {
            if self.registrations.of(&trunk).is_some() {
                continue;
            }
            let machine = Registration::new(account, self.now, &mut self.ids);
            show(&trunk, machine.status());
            let id = self.registrations.next;
            self.registrations.next += 1;
            let standing = Standing { trunk, machine, changed_ms: self.unix_ms, is_leaving: false };
            self.registrations.standing.insert(id, standing);
        }
    }

    /// Takes every binding back; [`Registrations::is_empty`] tells when that is done.
    pub(super) fn unregister(&mut self) {
        let ids: Vec<_> = self.registrations.standing.keys().copied().collect();
        for id in ids {
            self.step_registration(id, |machine, cx| machine.end(cx.now, cx.ids, cx.out));
        }
    }

    /// Does what is due.
    pub(super) fn on_registration_deadlines(&mut self) {
        let is_due = |standing: &Standing| standing.machine.next_deadline().is_some_and(|at| at <= self.now);
        let due = self.registrations.standing.iter().filter(|(_, standing)| is_due(standing));
        let due: Vec<_> = due.map(|(&id, _)| id).collect();
        for id in due {
            self.step_registration(id, |machine, cx| machine.on_deadline(cx.now, cx.ids, cx.out));
        }
    }

    /// A stream to `remote` is gone, and with it perhaps the only way by which a registrar reaches us.
    pub(super) fn on_registrar_stream_closed(&mut self, remote: SocketAddr) {
        for standing in self.registrations.standing.values_mut() {
            standing.machine.on_flow_lost(remote, self.now, &mut self.ids);
        }
    }

    /// A target of `trunk` that did not answer its probes answers them again.
    pub(super) fn on_target_return(&mut self, trunk: &str) {
        let concerned = |standing: &&mut Standing| standing.trunk == trunk;
        for standing in self.registrations.standing.values_mut().filter(concerned) {
            standing.machine.on_return(self.now, &mut self.ids);
        }
    }

    /// The addresses of a registrar are known.
    pub(super) fn on_registrar_hops(&mut self, id: u64, hops: Vec<Hop>) {
        self.step_registration(id, |machine, cx| machine.on_hops(hops, cx.now, cx.ids, cx.out));
    }

    pub(super) fn on_register_answered(&mut self, id: u64, tx: ClientTx, response: &Message) {
        self.step_registration(id, |machine, cx| machine.on_response(tx, response, cx.now, cx.ids, cx.out));
    }

    pub(super) fn on_register_lost(&mut self, id: u64, tx: ClientTx) {
        self.step_registration(id, |machine, cx| machine.on_lost(tx, cx.now, cx.ids, cx.out));
    }

    /// Where the first request of `call` to its callee goes in place of `target`: to the first router that
    /// the callee's registrar named (RFC 3608 §6.1).
    pub(super) fn next_hop_of(&self, call: CallId, target: Uri) -> Uri {
        let routes = self.calls.get(&call).map(|entry| entry.routes.peer(entry.call.callee()));
        let direct = routes.filter(|callee| !callee.has_outbound_proxy());
        let first = direct.and_then(|callee| self.service_routes(callee).first());
        first.map_or(target, |route| route.uri.clone())
    }

    /// The INVITE of a new dialog with the routers in it that the callee's registrar named.
    pub(super) fn by_service_route(&self, callee: &Peer, draft: Draft) -> Draft {
        if draft.method() != Method::Invite {
            return draft;
        }
        draft.with_routes(self.service_routes(callee).iter().map(|route| &*route.value))
    }

    fn service_routes(&self, peer: &Peer) -> &[Route] {
        self.registrations.of(&peer.name).map_or(&[], |(machine, _)| machine.service_routes())
    }

    fn step_registration(&mut self, id: u64, step: impl FnOnce(&mut Registration, &mut Cx<'_>)) {
        let Some(standing) = self.registrations.standing.get_mut(&id) else { return };
        let mut out = Vec::new();
        step(&mut standing.machine, &mut Cx { now: self.now, ids: &mut self.ids, out: &mut out });
        for action in out {
            self.act_for_registration(id, action);
        }
        self.registrations.standing.retain(|_, standing| !standing.machine.is_gone());
    }

    fn act_for_registration(&mut self, id: u64, action: Action) {
        match action {
            Action::Resolve(registrar) => {
                let Some(standing) = self.registrations.standing.get(&id) else { return };
                let waiting = Waiting::for_registrar(id, &standing.trunk, &registrar);
                self.look_up(registrar, waiting);
            }
            Action::Send { tx, hop, draft } => self.run_errand(Errand::Register(id), tx, &hop, &draft),
            Action::Changed(status) => self.on_registration_changed(id, status),
        }
    }

    fn on_registration_changed(&mut self, id: u64, status: Status) {
        let Some(standing) = self.registrations.standing.get_mut(&id) else { return };
        standing.changed_ms = self.unix_ms;
        let (trunk, machine) = (&standing.trunk, &standing.machine);
        match (status, machine.binding(), machine.trouble()) {
            (Status::Registered, Some((until, hop)), _) => {
                let expires_s = until.saturating_duration_since(self.now).as_secs();
                let (registrar, transport) = (hop.remote, hop.transport.via());
                tracing::info!(%trunk, %registrar, transport, expires_s, "registered");
            }
            (Status::Failed, _, Some(reason)) => {
                let what = "not registered: calls from this trunk may not arrive; tried again";
                tracing::warn!(%trunk, %reason, "{what}");
            }
            (status, ..) => tracing::info!(%trunk, state = status.label(), "registration"),
        }
        let (trunk, is_leaving) = (trunk.clone(), standing.is_leaving);
        if !is_leaving || self.registrations.of(&trunk).is_none() {
            show(&trunk, status);
        }
    }
}

/// What a machine needs for one step.
struct Cx<'a> {
    now: Instant,
    ids: &'a mut crate::id::Ids,
    out: &'a mut Vec<Action>,
}

/// Sets the metrics of one trunk.
fn show(trunk: &str, status: Status) {
    for state in Status::ALL {
        let value = if state == status { 1.0 } else { 0.0 };
        gauge!("trunkline_registrations", "trunk" => trunk.to_owned(), "state" => state.label()).set(value);
    }
}
