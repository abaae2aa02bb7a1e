//! The world of a running process: its sockets, media threads, record file and live views.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::mpsc;

use crate::call::record::{Record, View};
use crate::id::{CallId, ClientTx, InterfaceId};
use crate::media::{Engine, LegStats, Press};
use crate::rtp::dtmf::Digit;
use crate::rtp::leg::{LegMedia, ReserveError, Reserved, Side, Way};
use crate::rtp::ringback::Ringback;
use crate::sip::flow::{ConnectionId, Domain, Flow, Transport};
use crate::sip::uri::{Host, Uri};
use crate::store::Records;
use crate::transport::resolve::Resolver;
use crate::transport::{Local, Transports};

use super::requests::{Resolved, Waiting};
use super::world::World;

/// What the process has.
pub(super) struct Live {
    pub(super) transports: Transports,
    pub(super) resolver: Arc<Resolver>,
    pub(super) engine: Engine,
    pub(super) records: Records,
    pub(super) views: Arc<DashMap<CallId, View>>,
    /// Look-ups come back through here.
    pub(super) resolved: mpsc::Sender<Resolved>,
}

impl World for Live {
    fn local(&mut self, transport: Transport, remote: SocketAddr, interface: InterfaceId) -> Option<Local> {
        self.transports.local(transport, remote, interface)
    }

    fn local_of(&mut self, flow: &Flow, interface: InterfaceId) -> Option<Local> {
        self.transports.local_of(flow, interface)
    }

    fn domain(&mut self, host: &Host, ca: Option<&Path>) -> Option<Domain> {
        self.transports.domain(host, ca)
    }

    fn send(&mut self, flow: &Flow, bytes: Bytes, client: Option<ClientTx>, timeout: Option<Duration>) {
        self.transports.send(flow, bytes, client.map_or(0, |client| client.0), timeout);
    }

    fn recognise(&mut self, connection: ConnectionId) {
        self.transports.recognise(connection);
    }

    fn stands(&self, connection: ConnectionId) -> bool {
        self.transports.stands(connection)
    }

    fn close(&mut self, connection: ConnectionId) {
        self.transports.close(connection);
    }

    fn look_up(&mut self, uri: Uri, waiting: Waiting) {
        let (resolver, resolved) = (Arc::clone(&self.resolver), self.resolved.clone());
        tokio::spawn(async move {
            let looked_up = tokio::time::timeout(LOOK_UP, resolver.resolve(&uri)).await;
            let targets = match looked_up {
                Ok(Ok(targets)) => Some(targets),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "target cannot be looked up");
                    None
                }
                Err(_) => {
                    tracing::warn!(host = %uri.host, "looking up the target took too long");
                    None
                }
            };
            let _ = resolved.send(Resolved { waiting, targets }).await;
        });
    }

    fn reserve(&mut self, call: CallId, caller: Option<Way>, callee: Way) -> Result<Reserved, ReserveError> {
        let Some(caller) = caller else { return self.engine.reserve_callee(call, callee) };
        self.engine.release(call);
        self.engine.reserve(call, caller, callee)
    }

    fn set_leg(&mut self, call: CallId, side: Side, media: LegMedia) {
        self.engine.set_leg(call, side, media);
    }

    fn clear_leg(&mut self, call: CallId, side: Side) {
        self.engine.clear_leg(call, side);
    }

    fn answered(&mut self, call: CallId) {
        self.engine.answered(call);
    }

    fn set_held(&mut self, call: CallId, side: Side, held: bool) {
        self.engine.set_held(call, side, held);
    }

    fn press(&mut self, call: CallId, side: Side, digit: Digit, duration: Duration) {
        self.engine.press(call, side, Press { digit, duration });
    }

    fn ring(&mut self, call: CallId, side: Side, tone: Option<Ringback>) {
        self.engine.ring(call, side, tone);
    }

    fn stats(&self, call: CallId) -> Option<[LegStats; 2]> {
        self.engine.stats(call)
    }

    fn release(&mut self, call: CallId) {
        self.engine.release(call);
    }

    fn show(&mut self, view: View) {
        self.views.insert(view.id, view);
    }

    fn hide(&mut self, call: CallId) {
        self.views.remove(&call);
    }

    fn record(&mut self, record: Record) {
        self.records.write(record);
    }
}

/// How long a name may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);
