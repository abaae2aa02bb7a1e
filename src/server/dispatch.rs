//! To whom a message belongs, decided by what we minted: a Via branch, a To-tag, or
//! nothing, and then it is new.
//!
//! Pure. It says where to look, not whether the owner still lives or the sender may speak to it.

use crate::id::{CallId, ClientTx, Ids, LegId};
use crate::sip::message::Message;

/// The owner a message names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// A response to a request of ours.
    Client(ClientTx),
    /// A request inside a dialog of ours.
    Dialog(CallId, LegId),
    /// A request inside a dialog that is not ours.
    ForeignDialog,
    /// A request outside any dialog.
    New,
    /// A response to nothing that we sent.
    Stray,
}

/// Reads the owner off `message`.
pub(super) fn owner(message: &Message, ids: &Ids) -> Owner {
    if !message.is_request() {
        let branch = message.top_branch();
        return branch.and_then(|branch| ids.parse_branch(branch)).map_or(Owner::Stray, Owner::Client);
    }
    match message.to_tag() {
        None => Owner::New,
        Some(tag) => ids.parse_tag(tag).map_or(Owner::ForeignDialog, |(call, leg)| Owner::Dialog(call, leg)),
    }
}

/// Our own requests that `request` came through: the Vias we wrote (RFC 3261 §16.3 item 4, as a B2BUA may).
pub(super) fn came_through(request: &Message, ids: &Ids) -> impl Iterator<Item = ClientTx> {
    request.vias().flatten().filter_map(|via| ids.parse_branch(via.branch?.as_bytes()))
}
