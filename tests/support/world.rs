//! What the bridge acts on in virtual-time tests: it keeps what was sent and asked for,
//! and gives out media ports.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use trunkline::call::record::{Record, View};
use trunkline::id::{CallId, ClientTx, InterfaceId};
use trunkline::media::LegStats;
use trunkline::rtp::dtmf::Digit;
use trunkline::rtp::leg::{LegMedia, ReserveError, Reserved, Side, Way};
use trunkline::rtp::ringback::Ringback;
use trunkline::server::{Waiting, World};
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use trunkline::sip::uri::Uri;
use trunkline::transport::Local;

use super::network::BRIDGE;

/// The world of the bridge: what it sends and holds.
#[derive(Default)]
pub(crate) struct FakeWorld {
    pub(super) sent: Vec<(Flow, Bytes)>,
    pub(crate) ports: HashMap<CallId, u16>,
    pub(crate) views: HashSet<CallId>,
    pub(crate) records: Vec<Record>,
    /// What the relay was last told of each side.
    pub(crate) legs: HashMap<(CallId, Side), LegMedia>,
    /// Sides that hold.
    pub(crate) held: HashSet<(CallId, Side)>,
    /// Packets that seem to have come from callers.
    pub(crate) packets_from_caller: u64,
    /// Packets that seem to have come from callees.
    pub(crate) packets_from_callee: u64,
    pub(crate) closed: Vec<ConnectionId>,
    /// Keys pressed for a side, with their milliseconds.
    pub(crate) pressed: Vec<(Side, String, u128)>,
    /// What sides hear in place of silence.
    pub(crate) ringing: HashMap<(CallId, Side), Ringback>,
    next_port: u16,
    /// Why no call gets media ports.
    pub(crate) refuses: Option<ReserveError>,
}

impl World for FakeWorld {
    fn local(&mut self, transport: Transport, _remote: SocketAddr, interface: InterfaceId) -> Option<Local> {
        (transport == Transport::Udp).then(|| local(interface))
    }

    fn local_of(&mut self, _flow: &Flow, interface: InterfaceId) -> Option<Local> {
        Some(local(interface))
    }

    fn send(&mut self, flow: &Flow, bytes: Bytes, _client: Option<ClientTx>, _timeout: Option<Duration>) {
        self.sent.push((*flow, bytes));
    }

    fn recognise(&mut self, _connection: ConnectionId) {}

    fn stands(&self, _connection: ConnectionId) -> bool {
        true
    }

    fn close(&mut self, connection: ConnectionId) {
        self.closed.push(connection);
    }

    fn look_up(&mut self, uri: Uri, _waiting: Waiting) {
        panic!("a name was to be looked up: {uri}");
    }

    fn reserve(&mut self, call: CallId, caller: Option<Way>, _callee: Way) -> Result<Reserved, ReserveError> {
        if let Some(error) = &self.refuses {
            return Err(error.clone());
        }
        let port = 20_000 + self.next_port % 10_000;
        self.next_port = self.next_port.wrapping_add(4);
        let kept = self.ports.get(&call).filter(|_| caller.is_none()).copied();
        let at = |port| SocketAddr::from(([203, 0, 113, 10], port));
        let reserved = Reserved { caller: at(kept.unwrap_or(port)), callee: at(port + 2) };
        self.ports.insert(call, reserved.caller.port());
        Ok(reserved)
    }

    fn set_leg(&mut self, call: CallId, side: Side, media: LegMedia) {
        self.legs.insert((call, side), media);
    }

    fn clear_leg(&mut self, call: CallId, side: Side) {
        self.legs.remove(&(call, side));
    }

    fn answered(&mut self, _call: CallId) {}

    fn set_held(&mut self, call: CallId, side: Side, held: bool) {
        if held {
            self.held.insert((call, side));
        } else {
            self.held.remove(&(call, side));
        }
    }

    fn press(&mut self, _call: CallId, side: Side, digit: Digit, duration: Duration) {
        self.pressed.push((side, digit.to_string(), duration.as_millis()));
    }

    fn ring(&mut self, call: CallId, side: Side, tone: Option<Ringback>) {
        match tone {
            Some(tone) => self.ringing.insert((call, side), tone),
            None => self.ringing.remove(&(call, side)),
        };
    }

    fn stats(&self, _call: CallId) -> Option<[LegStats; 2]> {
        let received = [self.packets_from_caller, self.packets_from_callee];
        Some(received.map(|packets_received| LegStats { packets_received, ..LegStats::default() }))
    }

    fn release(&mut self, call: CallId) {
        self.ports.remove(&call);
        self.ringing.retain(|(ringing, _), _| *ringing != call);
    }

    fn show(&mut self, view: View) {
        self.views.insert(view.id);
    }

    fn hide(&mut self, call: CallId) {
        self.views.remove(&call);
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }
}

fn local(interface: InterfaceId) -> Local {
    Local { listener: ListenerId(0), interface, sent_by: BRIDGE.to_string(), ip: BRIDGE.ip() }
}
