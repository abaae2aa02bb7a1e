//! What arrives: parsed, counted, and handed to its transaction, its dialog or to admission.
//!
//! Retransmissions and responses are matched first, by what only we and the peer know. Everything else has to
//! show who it is before any answer leaves: a stranger gets nothing, not even an error.

use std::fmt::Display;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::call::Input;
use crate::id::{CallId, LegId, ServerTx};
use crate::sip::build::ResponseBuilder;
use crate::sip::flow::{ConnectionId, Flow, Transport};
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method, ParseFailure};
use crate::sip::nat::{response_destination, response_listener};
use crate::sip::transaction::Incoming;

use super::bans::Fault;
use super::bridge::{Bridge, Entry};
use super::counters::{Rejection, Way};
use super::dispatch::{Owner, owner};
use super::world::World;

impl<W: World> Bridge<W> {
    /// Works on a message that arrived by `flow`.
    pub fn on_message(&mut self, bytes: Bytes, flow: Flow) {
        if flow.transport == Transport::Udp && begins_call(&bytes) && self.overload.ignores_unread() {
            self.metrics.counters.message(flow.transport, Way::In, Method::Invite);
            return self.metrics.counters.rejected(Rejection::Capacity);
        }
        if self.bans.holds(flow.remote.ip(), self.now) {
            return self.on_banned(flow.connection);
        }
        let message = match Message::parse(bytes, &self.limits) {
            Ok(message) => message,
            Err(failure) => return self.on_malformed(failure, flow),
        };
        let method = message.method().or_else(|| message.cseq().ok().map(|cseq| cseq.method));
        self.metrics.counters.message(flow.transport, Way::In, method.unwrap_or(Method::Other(b"")));
        tracing::debug!(target: "trunkline::sip", remote = %flow.remote, message = %Shown(&message), "in");
        match owner(&message, &self.ids) {
            Owner::Client(tx) => {
                self.table.on_response(tx, &message, self.now, &mut self.table_out);
                self.carry_out_table(Some(flow));
            }
            Owner::Stray => {}
            _ if self.table.matches(&message) => self.on_known_transaction(message, flow),
            Owner::Dialog(call, leg) => self.on_dialog_request(call, leg, message, flow),
            Owner::ForeignDialog => self.on_foreign_dialog(&message, flow),
            Owner::New => self.on_new_request(message, flow),
        }
    }

    /// A message that cannot be read whole: told so if we know the sender, not answered otherwise.
    fn on_malformed(&mut self, ParseFailure { error, salvage }: ParseFailure, flow: Flow) {
        self.metrics.counters.message(flow.transport, Way::In, Method::Other(b""));
        if !self.routes.knows(flow.remote.ip()) {
            return self.on_stranger(flow);
        }
        self.metrics.counters.rejected(Rejection::Malformed);
        self.complain_of_peer(flow.remote, &error, "message cannot be read");
        if flow.transport.is_reliable() {
            self.blame(flow.remote, Fault::Malformed);
        }
        let Some(request) = salvage.filter(Message::is_request) else { return };
        if request.method() != Some(Method::Ack) && !self.is_one_too_many(flow) {
            self.answer_statelessly(&request, flow, error.status(), &error.to_string());
        }
    }

    /// A retransmission, an ACK to a refusal, or a CANCEL of a standing INVITE.
    fn on_known_transaction(&mut self, message: Message, flow: Flow) {
        if !self.is_of_its_peer(&message, &flow) {
            return self.on_foreign_dialog(&message, flow);
        }
        let back = self.response_flow(&message, flow);
        let incoming = self.table.on_request(&message, back, self.now, &mut self.table_out);
        self.carry_out_table(Some(flow));
        match incoming {
            Incoming::Cancel { cancel, invite } => self.on_cancel(&message, cancel, invite, flow),
            Incoming::New(tx) | Incoming::CancelUnknown(tx) | Incoming::Merged(tx) => {
                self.answer(&message, tx, flow, 481, "", &[]);
            }
            Incoming::Ack => self.on_ack_of_answer(message, flow),
            Incoming::Absorbed => {}
        }
    }

    /// The ACK to a 2xx from a user agent that gave it the branch of its INVITE, as RFC 2543 had it.
    fn on_ack_of_answer(&mut self, ack: Message, flow: Flow) {
        if let Owner::Dialog(call, leg) = owner(&ack, &self.ids) {
            self.on_dialog_request(call, leg, ack, flow);
        }
    }

    /// Whether `request` comes by the connection of the transaction it belongs to, from the same address or
    /// from another of that peer.
    fn is_of_its_peer(&self, request: &Message, flow: &Flow) -> bool {
        let Some(first) = self.table.flow_of(request) else { return true };
        let is_same = flow.remote.ip() == first.remote.ip()
            || (flow.connection.is_some() && flow.connection == first.connection);
        is_same || self.routes.are_of_one_peer(flow.remote.ip(), first.remote.ip())
    }

    fn on_cancel(&mut self, message: &Message, cancel: ServerTx, invite: ServerTx, flow: Flow) {
        let call = self.invites.get(&invite).copied();
        // The tag of the INVITE's own responses (RFC 3261 §9.2).
        let tag = call.and_then(|call| Some(self.calls.get(&call)?.call.caller_tag().to_owned()));
        self.answer_as(message, cancel, flow, 200, tag);
        if let Some(call) = call {
            self.inbox.push_back((call, Input::Cancelled(message.clone())));
            self.work();
        }
    }

    fn on_dialog_request(&mut self, id: CallId, leg: LegId, message: Message, flow: Flow) {
        let source = flow.remote.ip();
        let entry = self.calls.get(&id).filter(|entry| entry.call.matches(leg, &message));
        let Some(entry) = entry else { return self.on_foreign_dialog(&message, flow) };
        let allowed = entry.call.came_from(leg, &flow)
            || entry.call.peer(leg).is_some_and(|peer| entry.routes.allows(peer, source));
        if !allowed {
            return self.on_foreign_dialog(&message, flow);
        }
        if let Some(connection) = flow.connection {
            self.world.recognise(connection);
        }
        if message.method() == Some(Method::Ack) {
            self.inbox.push_back((id, Input::Ack { leg, message }));
            return self.work();
        }
        let force = entry.call.peer(leg).is_some_and(|peer| entry.routes.peer(peer).force_rport);
        if let Err(error) = message.validate() {
            self.metrics.counters.rejected(Rejection::Malformed);
            return self.answer_statelessly(&message, flow, error.status(), &error.to_string());
        }
        let back = self.response_flow_as(&message, flow, force);
        match self.table.on_request(&message, back, self.now, &mut self.table_out) {
            Incoming::New(tx) => {
                self.inbox.push_back((id, Input::Request { leg, tx, message, flow }));
                self.work();
            }
            Incoming::CancelUnknown(tx) => self.answer(&message, tx, flow, 481, "", &[]),
            Incoming::Merged(tx) => self.answer(&message, tx, flow, 482, "", &[]),
            Incoming::Cancel { .. } | Incoming::Absorbed | Incoming::Ack => self.carry_out_table(Some(flow)),
        }
    }

    /// A request that claims a dialog we do not have, or that may not speak in it.
    fn on_foreign_dialog(&mut self, message: &Message, flow: Flow) {
        let source = flow.remote.ip();
        // The ACK to a refusal that nothing was kept of comes here too, and nothing is wrong with it.
        if message.method() == Some(Method::Ack) && self.routes.may_hold_a_peer(source) {
            return;
        }
        if !self.routes.knows(source) {
            return self.on_stranger(flow);
        }
        if !self.is_one_too_many(flow) {
            self.metrics.counters.rejected(Rejection::NoDialog);
            self.answer_statelessly(message, flow, 481, "");
        }
    }

    /// Nothing leaves for a stranger; a stream is closed, unless somebody was recognised on it.
    pub(super) fn on_stranger(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection {
            self.world.close(connection);
        }
        self.complain_of_stranger(flow.remote, flow.transport);
        if flow.transport.is_reliable() {
            self.blame(flow.remote, Fault::Stranger);
        }
    }

    /// A stream from `remote` broke the framing rules and was closed.
    pub fn on_bad_framing(&mut self, remote: SocketAddr, error: &str) {
        if self.routes.knows(remote.ip()) {
            self.metrics.counters.rejected(Rejection::Framing);
            self.complain_of_peer(remote, error, "stream closed: it broke the framing rules of SIP");
        } else {
            self.complain_of_stranger(remote, Transport::Tcp);
        }
        self.blame(remote, Fault::Framing);
    }

    /// Somebody connected whom nobody admits: from a source that is banned, or by TLS from where no peer can
    /// be.
    pub fn on_turned_away(&mut self, remote: SocketAddr) {
        if self.bans.holds(remote.ip(), self.now) {
            return self.on_banned(None);
        }
        self.complain_of_stranger(remote, Transport::Tls);
        self.blame(remote, Fault::Stranger);
    }

    /// Somebody connected and sent nothing to be recognised by, until the connection was closed.
    pub fn on_idle(&mut self, remote: SocketAddr) {
        self.blame(remote, Fault::Idle);
    }

    /// A stream ended, in whatever way: an agent whose call used it is asked whether it is still there.
    pub fn on_stream_ended(&mut self, connection: ConnectionId) {
        let speaking = self.calls.iter().filter(|(_, entry)| entry.call.speaks_by(connection));
        let lost: Vec<_> = speaking.map(|(&call, _)| (call, Input::StreamLost(connection))).collect();
        self.inbox.extend(lost);
        self.work();
    }

    /// A peer refused our part in TLS.
    pub fn on_tls_refused(&mut self, remote: SocketAddr, error: &str) {
        self.complain_of_peer(
            remote,
            error,
            "connection closed: the peer refuses our part in TLS; it may ask for \
            another certificate than [tls] has",
        );
    }

    /// Somebody who connected could not agree with us on TLS.
    pub fn on_handshake_failed(&mut self, remote: SocketAddr, error: &str) {
        if self.routes.knows(remote.ip()) {
            self.metrics.counters.rejected(Rejection::Handshake);
            self.complain_of_peer(remote, error, "connection closed: no agreement on TLS");
        } else {
            self.complain_of_stranger(remote, Transport::Tls);
        }
        self.blame(remote, Fault::Handshake);
    }

    /// A stream to `remote` is gone; `broken` if it was lost, `heard` if it had been good before.
    ///
    /// In the second case it may have been dead for long, the host behind it restarted or its NAT forgetful,
    /// and our request was the first to find out: what was not answered goes once more, by a new one. An
    /// INVITE that cannot, and that nobody rang for yet, is lost with a broken stream.
    pub fn on_stream_gone(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        broken: bool,
        heard: bool,
    ) {
        let mut again = if heard { self.table.unanswered_by(connection, remote) } else { Vec::new() };
        again.retain(|&tx| self.send_anew(tx));
        self.carry_out_table(None);
        if !broken {
            return;
        }
        let waiting = |entry: &Entry| entry.call.waits_by_stream(remote).filter(|tx| !again.contains(tx));
        let lost: Vec<_> = self.calls.iter().filter_map(|(&id, entry)| Some((id, waiting(entry)?))).collect();
        for (call, tx) in lost {
            self.inbox.push_back((call, Input::TransportFailed(tx)));
            self.table.on_transport_failed(tx, self.now, &mut self.table_out);
            self.carry_out_table(None);
        }
    }

    fn complain_of_stranger(&mut self, source: SocketAddr, transport: Transport) {
        self.metrics.counters.rejected(Rejection::Stranger);
        if self.strangers.is_news(source.ip(), self.now) {
            let transport = transport.via();
            tracing::warn!(%source, transport, "message from an address that no peer allows; not answered");
        }
    }

    /// The first in a minute stands in the log at WARN, the others at DEBUG.
    pub(super) fn complain_of_peer(&mut self, remote: SocketAddr, error: impl Display, what: &'static str) {
        if self.faulty.is_news(remote.ip(), self.now) {
            tracing::warn!(%remote, %error, "{what}");
        } else {
            tracing::debug!(%remote, %error, "{what}");
        }
    }

    /// Where responses to `request` go, for a sender whose peer is not known yet.
    pub(super) fn response_flow(&self, request: &Message, flow: Flow) -> Flow {
        let force = self
            .routes
            .peers()
            .iter()
            .any(|peer| peer.force_rport && self.routes.allows(peer.id, flow.remote.ip()));
        self.response_flow_as(request, flow, force)
    }

    pub(super) fn response_flow_as(&self, request: &Message, flow: Flow, force_rport: bool) -> Flow {
        match request.top_via() {
            Ok(via) if flow.transport.is_reliable() => {
                Flow { remote: response_listener(&via, flow.remote), ..flow }
            }
            Ok(via) => Flow { remote: response_destination(&via, flow.remote, force_rport), ..flow },
            _ => flow,
        }
    }

    /// Answers by transaction `tx` without further headers, under `tag` if there is one.
    fn answer_as(&mut self, request: &Message, tx: ServerTx, flow: Flow, code: u16, tag: Option<String>) {
        let tag = tag.unwrap_or_else(|| format!("{:016x}", self.ids.random()));
        let response = ResponseBuilder::new(request, code, "", Some(&tag), flow.remote).no_body();
        self.metrics.counters.response(code);
        self.table.respond(tx, code, response, self.now, &mut self.table_out);
        self.carry_out_table(Some(flow));
    }

    /// Answers by transaction `tx`.
    pub(super) fn answer(
        &mut self,
        request: &Message,
        tx: ServerTx,
        flow: Flow,
        code: u16,
        reason: &str,
        headers: &[(Name, String)],
    ) {
        let tag = (code > 100).then(|| format!("{:016x}", self.ids.random()));
        let response = ResponseBuilder::new(request, code, reason, tag.as_deref(), flow.remote);
        let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        self.metrics.counters.response(code);
        self.table.respond(tx, code, response.no_body(), self.now, &mut self.table_out);
        self.carry_out_table(Some(flow));
    }

    /// Answers a request of a transaction that nothing is to be kept of any more.
    pub(super) fn answer_and_forget(
        &mut self,
        request: &Message,
        tx: ServerTx,
        flow: Flow,
        code: u16,
        headers: &[(Name, String)],
    ) {
        self.table.forget(tx);
        self.answer_statelessly_with(request, flow, code, "", headers);
    }

    /// Answers without keeping anything (RFC 3261 §8.2.7).
    pub(super) fn answer_statelessly(&mut self, request: &Message, flow: Flow, code: u16, reason: &str) {
        self.answer_statelessly_with(request, flow, code, reason, &[]);
    }

    /// The same with headers. A request that is repeated gets the same tag again (§8.2.7).
    pub(super) fn answer_statelessly_with(
        &mut self,
        request: &Message,
        flow: Flow,
        code: u16,
        reason: &str,
        headers: &[(Name, String)],
    ) {
        let tag = format!("{:016x}", self.tags.hash_one(request.raw()));
        let response = ResponseBuilder::new(request, code, reason, Some(&tag), flow.remote);
        let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        let bytes = response.no_body();
        let back = self.response_flow(request, flow);
        self.metrics.counters.response(code);
        self.send(&back, bytes, None, None);
    }
}

/// Whether `datagram` is an INVITE without To-tag, as far as that can be seen without reading it; one that is
/// written in an unusual way is none.
fn begins_call(datagram: &[u8]) -> bool {
    if !datagram.starts_with(b"INVITE ") {
        return false;
    }
    let Some(to) = memchr::memmem::find(datagram, b"\r\nTo:") else { return false };
    let line = datagram.get(to + 2..).unwrap_or_default();
    let line = line.get(..memchr::memchr(b'\r', line).unwrap_or(line.len())).unwrap_or_default();
    memchr::memmem::find(line, b"tag=").is_none()
}

/// A message in a log line: its first line only; numbers in it are why this is at DEBUG.
struct Shown<'a>(&'a Message);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let raw = self.0.raw();
        let end = raw.iter().position(|&byte| byte == b'\r' || byte == b'\n').unwrap_or(raw.len());
        write!(f, "{}", String::from_utf8_lossy(&raw[..end]).escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_invite_outside_a_dialog_is_known_unread() {
        for (begins, head) in [
            (true, "INVITE sip:a@h SIP/2.0\r\nFrom: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\nX: tag=1\r\n\r\n"),
            (true, "INVITE sip:a@h SIP/2.0\r\nTo: <sip:a@h>"),
            (false, "INVITE sip:a@h SIP/2.0\r\nTo: <sip:a@h>;tag=1\r\n\r\n"),
            (false, "INVITE sip:a@h SIP/2.0\r\nt: <sip:a@h>\r\n\r\n"),
            (false, "BYE sip:a@h SIP/2.0\r\nTo: <sip:a@h>\r\n\r\n"),
            (false, "SIP/2.0 200 OK\r\nTo: <sip:a@h>\r\nCSeq: 1 INVITE\r\n\r\n"),
            (false, "INVITE \r\n"),
            (false, ""),
        ] {
            assert_eq!(begins_call(head.as_bytes()), begins, "{head}");
        }
    }
}
