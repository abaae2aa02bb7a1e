//! What the bridge acts on: everything outside it that it can touch.
//!
//! Nothing here blocks or answers later, except [`World::look_up`], whose result comes back through
//! [`Bridge::on_resolved`](super::Bridge::on_resolved).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use crate::call::record::{Record, View};
use crate::id::{CallId, ClientTx, InterfaceId};
use crate::rtp::dtmf::Digit;
use crate::rtp::leg::{LegMedia, ReserveError, Reserved, Side, Way};
use crate::rtp::leg_stats::LegStats;
use crate::rtp::ringback::Ringback;
use crate::sip::flow::{ConnectionId, Domain, Flow, Transport};
use crate::sip::uri::{Host, Uri};
use crate::transport::Local;

use super::requests::Waiting;

/// Sockets, media, records and views, as the bridge sees them.
pub trait World {
    /// What `interface` shows to `remote` by `transport`; `None` when no listener of it can reach that.
    fn local(&mut self, transport: Transport, remote: SocketAddr, interface: InterfaceId) -> Option<Local>;
    /// Our own address as the other end of `flow` sees it: as `interface` shows it, if that has a part in the
    /// listener.
    fn local_of(&mut self, flow: &Flow, interface: InterfaceId) -> Option<Local>;
    /// What stands in a flow for: whoever is at the other end must prove to be `host`, by the authorities in
    /// the file `ca` or those of `[tls].ca`. Only TLS asks for it.
    fn domain(&mut self, _host: &Host, _ca: Option<&Path>) -> Option<Domain> {
        None
    }
    /// Sends a message; a failure comes back through
    /// [`Bridge::on_send_failed`](super::Bridge::on_send_failed) when `client` is given. A stream has
    /// `timeout` to come up, if one has to be opened.
    fn send(&mut self, flow: &Flow, bytes: Bytes, client: Option<ClientTx>, timeout: Option<Duration>);
    /// The sender on this stream is a peer of ours.
    fn recognise(&mut self, connection: ConnectionId);
    /// Whether this stream is still up.
    fn stands(&self, connection: ConnectionId) -> bool;
    /// Closes a stranger's stream.
    fn close(&mut self, connection: ConnectionId);
    /// Looks up a name; the result comes back later.
    fn look_up(&mut self, uri: Uri, waiting: Waiting);
    /// Two port pairs for a call, in place of those it has, if any; without `caller`, one for the callee
    /// alone.
    ///
    /// # Errors
    ///
    /// No port is free, or none of our addresses can reach one of the two.
    fn reserve(&mut self, call: CallId, caller: Option<Way>, callee: Way) -> Result<Reserved, ReserveError>;
    /// Relays a side so from here on.
    fn set_leg(&mut self, call: CallId, side: Side, media: LegMedia);
    /// Forgets what is known of a side.
    fn clear_leg(&mut self, call: CallId, side: Side);
    /// Silence time-outs run from here.
    fn answered(&mut self, call: CallId);
    /// No silence time-out for this side while it holds.
    fn set_held(&mut self, call: CallId, side: Side, held: bool);
    /// Presses a key for this side.
    fn press(&mut self, call: CallId, side: Side, digit: Digit, duration: Duration);
    /// Rings to this side, or no longer.
    fn ring(&mut self, call: CallId, side: Side, tone: Option<Ringback>);
    /// Counters of the caller's and the callee's side.
    fn stats(&self, call: CallId) -> Option<[LegStats; 2]>;
    /// Frees a call's ports.
    fn release(&mut self, call: CallId);
    /// Shows a live call.
    fn show(&mut self, view: View);
    /// Shows it no more.
    fn hide(&mut self, call: CallId);
    /// Writes a call's record.
    fn record(&mut self, record: Record);
}
