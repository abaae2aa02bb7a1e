//! Carrying out what calls and transactions ask for.
//!
//! A call's actions are carried out in order; what answers them (addresses, ports, counters) goes to the end
//! of `inbox`, so no call is entered while another input of it is being worked on.

use std::time::Duration;

use bytes::Bytes;

use crate::call::record::Record;
use crate::call::{Action, Cx, Input};
use crate::id::{CallId, ClientTx};
use crate::routing::limits::Verdict;
use crate::rtp::leg::{ReserveError, Side};
use crate::sip::flow::Flow;
use crate::sip::message::Method;
use crate::sip::transaction::Action as TableAction;

use super::bridge::Bridge;
use super::counters::{Rejection, Way};
use super::requests::{Cause, TCP_FOR_LARGE, Waiting};
use super::telemetry::Redact;
use super::world::World;

impl<W: World> Bridge<W> {
    /// Tells calls what waits for them, until nothing does.
    pub(super) fn work(&mut self) {
        if std::mem::replace(&mut self.working, true) {
            return;
        }
        while let Some((id, input)) = self.inbox.pop_front() {
            self.tell(id, input);
        }
        self.working = false;
    }

    fn tell(&mut self, id: CallId, input: Input) {
        let Some(entry) = self.calls.get_mut(&id) else { return self.orphaned(input) };
        let routes = entry.routes.clone();
        let mut out = std::mem::take(&mut self.call_out);
        let mut cx = Cx {
            now: self.now,
            unix_ms: self.unix_ms,
            ids: &mut self.ids,
            routes: &routes,
            settings: &self.settings,
            out: &mut out,
        };
        let call = &mut entry.call;
        entry.span.in_scope(|| call.on(input, &mut cx));
        self.carry_out(id, &mut out);
        self.call_out = out;
    }

    /// An input for a call that is gone; a request still deserves its answer.
    fn orphaned(&mut self, input: Input) {
        if let Input::Request { tx, message, flow, .. } = input {
            self.answer(&message, tx, flow, 481, "", &[]);
        }
    }

    /// Carries out the actions of one input, then notes when the call wants to be woken, or drops it.
    pub(super) fn carry_out(&mut self, id: CallId, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            self.act(id, action);
        }
        let Some(entry) = self.calls.get_mut(&id) else { return };
        if entry.call.is_gone() {
            self.calls.remove(&id);
            return;
        }
        let wanted = entry.call.next_deadline();
        entry.scheduled = self.deadlines.note(id, entry.scheduled, wanted);
    }

    fn act(&mut self, id: CallId, action: Action) {
        match action {
            Action::Respond { tx, code, bytes } => {
                self.metrics.counters.response(code);
                self.table.respond(tx, code, bytes, self.now, &mut self.table_out);
                self.carry_out_table(None);
            }
            Action::Admit(peer) => {
                let Some(entry) = self.calls.get(&id) else { return };
                let peer = entry.routes.peer(peer);
                let verdict = self.routes.peer_named(&peer.name).map_or_else(
                    || Verdict::Admitted,
                    |now| self.call_limits.reach(id, &now.name, now.limit, self.now),
                );
                self.inbox.push_back((id, Input::Admission(verdict)));
            }
            Action::FellBack(peer) => {
                let Some(entry) = self.calls.get(&id) else { return };
                let peer = entry.routes.peer(peer).name.clone();
                metrics::counter!("trunkline_fallbacks_total", "from" => peer).increment(1);
            }
            Action::Resolve(uri) => {
                let uri = self.next_hop_of(id, uri);
                let waiting = Waiting::for_targets(id, &uri);
                self.look_up(uri, waiting);
            }
            Action::Rest { hop, retry_after_s } => self.rest(&hop, retry_after_s),
            Action::ReserveMedia { caller, callee } => {
                let reserved = self.world.reserve(id, caller, callee);
                if let Err(error) = &reserved {
                    self.metrics.counters.rejected(match error {
                        ReserveError::NoFamily { .. } => Rejection::Media,
                        ReserveError::NoPorts { .. } | ReserveError::NoRoute { .. } => Rejection::Capacity,
                    });
                }
                self.inbox.push_back((id, Input::Media(reserved)));
            }
            Action::Request { tx, peer, draft, to, .. } => self.send_request(id, tx, peer, draft, to),
            Action::Ack { tx, peer, draft, to } => self.send_ack(id, tx, peer, draft, to),
            Action::Cancel { tx, reason } => {
                let reason = reason.map(|reason| reason.to_string());
                self.table.cancel(tx, reason.as_deref(), self.now, &mut self.table_out);
                self.carry_out_table(None);
            }
            Action::SetLeg(side, media) => self.world.set_leg(id, side, media),
            Action::ClearCallee { leg } => {
                self.keep_figures(id, leg);
                self.world.clear_leg(id, Side::Callee);
            }
            Action::Answered => {
                self.hourly.answered(id, self.now);
                self.world.answered(id);
            }
            Action::SetHeld(side, held) => self.world.set_held(id, side, held),
            Action::Press { side, digit, duration } => self.world.press(id, side, digit, duration),
            Action::Ring(side, tone) => self.world.ring(id, side, tone),
            Action::CountMedia => {
                let packets = self.world.stats(id).map_or(0, |[caller, _]| caller.packets_received);
                self.inbox.push_back((id, Input::MediaCount(packets)));
            }
            Action::Show(view) => {
                self.world.show(view);
            }
            Action::Finish { record, callee_leg } => self.finish(id, *record, callee_leg),
        }
    }

    /// Keeps the figures of the callee that is given up; only the first time, for they are 0 from then on.
    fn keep_figures(&mut self, id: CallId, leg: Option<usize>) {
        let (Some(leg), Some([_, callee])) = (leg, self.world.stats(id)) else { return };
        let Some(entry) = self.calls.get_mut(&id) else { return };
        if entry.figures.iter().all(|(known, _)| *known != leg) {
            entry.figures.push((leg, callee));
        }
    }

    fn finish(&mut self, id: CallId, mut record: Record, callee_leg: Option<usize>) {
        if let Some([caller, callee]) = self.world.stats(id) {
            if let Some(leg) = record.legs.first_mut() {
                leg.media = caller;
            }
            if let Some(leg) = callee_leg.and_then(|leg| record.legs.get_mut(leg)) {
                leg.media = callee;
            }
        }
        for (leg, stats) in self.calls.get(&id).map_or(&[][..], |entry| &entry.figures) {
            if let Some(leg) = record.legs.get_mut(*leg) {
                leg.media = *stats;
            }
        }
        for leg in record.legs.iter().skip(1).filter(|leg| leg.peer == record.trunk) {
            self.routes.note_answer(&record.trunk, &record.from, leg.sip_code, &mut self.rotation);
        }
        self.call_limits.leave(id);
        self.hourly.leave(id, self.now);
        self.world.release(id);
        self.world.hide(id);
        self.set_active(self.active.saturating_sub(1));
        let counters = &self.metrics.counters;
        counters.ended(&record);
        self.metrics.media.ended(&record);
        if let Some(answered) = record.answered_ms {
            let setup = u64::try_from(answered - record.started_ms).unwrap_or(0);
            counters.answered_after(Duration::from_millis(setup));
        }
        tracing::info!(
            call = %record.id,
            direction = ?record.direction,
            from = %Redact(&record.from),
            to = %Redact(&record.to),
            code = record.sip_code,
            ended_by = ?record.ended_by,
            reason = %record.reason,
            "call ended"
        );
        self.world.record(record);
    }

    /// Carries out what the transaction table asks for; `flow` is where the message that caused it came from.
    pub(super) fn carry_out_table(&mut self, flow: Option<Flow>) {
        let mut actions = std::mem::take(&mut self.table_out);
        for action in actions.drain(..) {
            match action {
                TableAction::Send { flow, bytes, of } => self.send_of_transaction(&flow, bytes, of),
                TableAction::Response { tx, message } => {
                    if let (Some(client), Some(flow)) = (self.clients.get(&tx), flow) {
                        self.inbox.push_back((client.call, Input::Response { tx, message, flow }));
                    } else {
                        self.on_errand_answered(tx, &message);
                    }
                }
                TableAction::TimedOut { tx } => {
                    if let Some(client) = self.clients.get(&tx) {
                        self.inbox.push_back((client.call, Input::TimedOut(tx)));
                    } else {
                        self.on_errand_lost(tx);
                    }
                }
                TableAction::ClientGone { tx } => {
                    if let Some(client) = self.clients.remove(&tx) {
                        self.inbox.push_back((client.call, Input::ClientGone(tx)));
                    } else {
                        self.errands.remove(&tx);
                    }
                }
                TableAction::NoAck { .. } => {}
                TableAction::ServerGone { tx } => {
                    self.invites.remove(&tx);
                }
            }
        }
        self.table_out = actions;
        self.work();
    }

    fn send_of_transaction(&mut self, flow: &Flow, bytes: Bytes, of: Option<ClientTx>) {
        let client = of.and_then(|tx| self.clients.get(&tx));
        let detour = client.and_then(|client| client.detour.as_ref());
        let timeout = detour.filter(|detour| detour.cause == Cause::NoTcp).map(|_| TCP_FOR_LARGE);
        self.send(flow, bytes, of, timeout);
    }

    /// Hands a message to the transports and counts it.
    pub(super) fn send(
        &mut self,
        flow: &Flow,
        bytes: Bytes,
        of: Option<ClientTx>,
        timeout: Option<Duration>,
    ) {
        self.metrics.counters.message(flow.transport, Way::Out, method_of(&bytes));
        tracing::debug!(target: "trunkline::sip", remote = %flow.remote, message = %FirstLine(&bytes), "out");
        self.world.send(flow, bytes, of, timeout);
    }
}

/// The method a message of ours counts under: its own, or that of its CSeq.
fn method_of(bytes: &[u8]) -> Method<'_> {
    let token = |bytes: &'_ [u8]| bytes.iter().position(|&b| b == b' ' || b == b'\r').unwrap_or(bytes.len());
    if !bytes.starts_with(b"SIP/2.0 ") {
        return Method::parse(&bytes[..token(bytes)]);
    }
    let Some(at) = memchr::memmem::find(bytes, b"\r\nCSeq: ") else { return Method::Other(b"") };
    let cseq = &bytes[at + 8..];
    let method = &cseq[(token(cseq) + 1).min(cseq.len())..];
    Method::parse(&method[..token(method)])
}

/// The first line of a message, for the log.
struct FirstLine<'a>(&'a [u8]);

impl std::fmt::Display for FirstLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = memchr::memchr2(b'\r', b'\n', self.0).unwrap_or(self.0.len());
        write!(f, "{}", String::from_utf8_lossy(&self.0[..end]).escape_debug())
    }
}
