//! What goes into a call and what comes out: [`Input`], [`Action`] and the context both travel in.
//!
//! The actions of one input are carried out in order, before the next input; an action that asks for
//! something (addresses, media ports, counters) is answered by an input, at once or later.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::id::{ClientTx, Ids, InterfaceId, LegId, PeerId, ServerTx};
use crate::routing::limits::Verdict;
use crate::routing::{Plan, Routes};
use crate::rtp::dtmf::Digit;
use crate::rtp::leg::{LegMedia, ReserveError, Reserved, Side, Way};
use crate::rtp::ringback::Ringback;
use crate::sip::build::Draft;
use crate::sip::flow::{ConnectionId, Flow};
use crate::sip::message::Message;
use crate::sip::reason::Reason;
use crate::sip::timers::Timers;
use crate::sip::uri::Uri;

use super::record::{Record, View};

pub use crate::sip::flow::Hop;

/// An INVITE that was recognised, routed and not refused, as the server offers it to a new call.
#[derive(Debug)]
pub struct Offered {
    /// The request; validated, without its body.
    pub invite: Message,
    /// Its server transaction.
    pub tx: ServerTx,
    /// The path it came by.
    pub flow: Flow,
    /// Who sent it.
    pub peer: PeerId,
    /// Which of our interfaces it came to: what is sent to its sender leaves by it.
    pub interface: InterfaceId,
    /// Our own `host:port` as this peer sees it, for Contact.
    pub sent_by: String,
    /// Its course.
    pub plan: Plan,
}

/// Where a request of ours goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address that was looked up.
    Hop(Hop),
    /// Inside a dialog: the next hop of its route set or remote target. An address that is private is reached
    /// by `flow`, the path that the dialog's messages came by, when that one is public (NAT).
    Dialog {
        /// First Route, or the remote target.
        uri: Uri,
        /// The path its last message came by.
        flow: Flow,
        /// The interface that the dialog was begun by.
        interface: InterfaceId,
    },
}

/// What the world tells a call.
#[derive(Debug)]
pub enum Input {
    /// The answer to [`Action::Admit`]; after [`Verdict::Queued`] another one follows.
    Admission(Verdict),
    /// The answer to [`Action::Resolve`]; both empty when the target has no address we can reach.
    Targets {
        /// To be tried in this order.
        hops: Vec<Hop>,
        /// Those that failed lately, perhaps in another call: tried when nothing else is left.
        resting: Vec<Hop>,
    },
    /// The answer to [`Action::ReserveMedia`].
    Media(Result<Reserved, ReserveError>),
    /// A response to one of our requests.
    Response {
        /// Its transaction.
        tx: ClientTx,
        /// The response.
        message: Message,
        /// The path it came by.
        flow: Flow,
    },
    /// No final response came to one of our requests (RFC 3261 timers B and F).
    TimedOut(ClientTx),
    /// One of our requests could not be sent.
    TransportFailed(ClientTx),
    /// A client transaction is gone: nothing more will come of it.
    ClientGone(ClientTx),
    /// The caller cancelled; its CANCEL was answered.
    Cancelled(Message),
    /// A request inside the dialog of a leg, with its server transaction.
    Request {
        /// Whose dialog.
        leg: LegId,
        /// Its server transaction.
        tx: ServerTx,
        /// The request.
        message: Message,
        /// The path it came by.
        flow: Flow,
    },
    /// The ACK to a 2xx of ours.
    Ack {
        /// Whose dialog.
        leg: LegId,
        /// The ACK.
        message: Message,
    },
    /// The answer to [`Action::CountMedia`]: packets received from the caller so far.
    MediaCount(u64),
    /// No audio comes from a side though the other is heard: a sentence about what is likely.
    OneWay(Side, &'static str),
    /// Nothing was received from a side for the silence time-out.
    MediaSilent(Side),
    /// A side pressed a key in its audio stream; told once, when it is over.
    Digit {
        /// Who.
        side: Side,
        /// Which key.
        digit: Digit,
        /// For how long.
        duration: Duration,
    },
    /// End the call: a sentence for the record, and the code for a caller who was not answered yet.
    HangUp {
        /// What stands in the record.
        reason: &'static str,
        /// Status for an unanswered caller.
        code: u16,
    },
    /// A stream ended that one of its legs speaks by.
    StreamLost(ConnectionId),
    /// The caller's ACK is not waited for any longer.
    AckGivenUp,
    /// A deadline of the call has come.
    Deadline,
}

/// What a call asks the world to do.
#[derive(Debug)]
pub enum Action {
    /// Send a response by its server transaction.
    Respond {
        /// Which.
        tx: ServerTx,
        /// Its status, for the transaction.
        code: u16,
        /// The whole message.
        bytes: Bytes,
    },
    /// Ask whether this callee has room for a call; answered at once by [`Input::Admission`].
    Admit(PeerId),
    /// This callee cannot take the call, or lost it, and the next fallback gets it.
    FellBack(PeerId),
    /// Look a target up; answered by [`Input::Targets`].
    Resolve(Uri),
    /// Let other calls try this address last for a while: it failed.
    Rest {
        /// Which.
        hop: Hop,
        /// How long it asked for.
        retry_after_s: Option<u32>,
    },
    /// Reserve media ports (again: for another address of the callee); answered at once by [`Input::Media`].
    ReserveMedia {
        /// To the caller; `None` where it was told its ports, which stay then.
        caller: Option<Way>,
        /// To the callee.
        callee: Way,
    },
    /// Send a request in a new client transaction.
    Request {
        /// The transaction; its branch goes into the Via.
        tx: ClientTx,
        /// Which leg's.
        leg: LegId,
        /// To which peer.
        peer: PeerId,
        /// The message without its Via.
        draft: Draft,
        /// Where to.
        to: Destination,
    },
    /// Send an ACK to a 2xx, outside any transaction.
    Ack {
        /// Makes its branch.
        tx: ClientTx,
        /// To which peer.
        peer: PeerId,
        /// The message without its Via.
        draft: Draft,
        /// Where to.
        to: Destination,
    },
    /// Cancel one of our INVITEs, as soon as the protocol permits.
    Cancel {
        /// Which.
        tx: ClientTx,
        /// Why, for its Reason header.
        reason: Option<Reason>,
    },
    /// Relay this side so from here on.
    SetLeg(Side, LegMedia),
    /// Forget what is known of the callee's side: another target is tried.
    ClearCallee {
        /// Place in the record's legs of whoever's media it was, whose figures are kept for it.
        leg: Option<usize>,
    },
    /// The call was answered: silence time-outs run from here.
    Answered,
    /// A side holds, or no longer: no silence time-out for it meanwhile.
    SetHeld(Side, bool),
    /// Press a key for this side in its audio stream (RFC 4733).
    Press {
        /// Who hears it.
        side: Side,
        /// Which key.
        digit: Digit,
        /// For how long.
        duration: Duration,
    },
    /// Have this side hear ringing in place of silence, or no longer; real audio ends it, too.
    Ring(Side, Option<Ringback>),
    /// Tell how many packets came from the caller; answered at once by [`Input::MediaCount`].
    CountMedia,
    /// The call shows itself anew.
    Show(View),
    /// The call ended: write its record (media figures are added to legs 0 and `callee_leg`), free its media.
    Finish {
        /// What to write.
        record: Box<Record>,
        /// Place in the record's legs of the callee whose media was relayed: whoever answered,
        /// or sent early media last.
        callee_leg: Option<usize>,
    },
}

/// What a call needs to act, lent to it for one input.
pub struct Cx<'a> {
    /// The time.
    pub now: Instant,
    /// The time on the wall, in milliseconds since the Unix epoch; only for records.
    pub unix_ms: i64,
    /// The generator of everything unguessable.
    pub ids: &'a mut Ids,
    /// The routing tables in force.
    pub routes: &'a Routes,
    /// Timers that belong to no peer.
    pub settings: &'a Settings,
    /// Where actions are pushed.
    pub out: &'a mut Vec<Action>,
}

/// Timers that belong to no peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// T1, T2 and T4.
    pub timers: Timers,
    /// How long a target may give no response at all while there is another one.
    pub silent_target: Duration,
    /// The same for the last target.
    pub silent_last_target: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            silent_target: Duration::from_secs(4),
            silent_last_target: Duration::from_secs(10),
        }
    }
}
