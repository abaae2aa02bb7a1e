//! What identifies a server transaction (RFC 3261 §17.2.3) and a merged request (§8.2.2.2), as keyed hashes.
//!
//! A key is 128 bits of two independently seeded SipHashes: a peer that does not know the seeds cannot make
//! two requests collide, and a standing transaction need not keep the strings. A request without the magic
//! cookie is matched as RFC 2543 says, by Request-URI, From-tag, Call-ID, CSeq number and the whole top Via.
//! The To-tag is left out there: with all of these equal it would only tell the answers of forks apart, and
//! an ACK's differs from its INVITE's.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::id::MAGIC_COOKIE;
use crate::sip::headers::{Name, lex};
use crate::sip::message::{Message, Method};

/// A transaction, or the request that several transactions may carry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key([u64; 2]);

/// The seeds of one table.
#[derive(Debug, Default)]
pub(super) struct Keys {
    seeds: [RandomState; 2],
}

impl Keys {
    /// The transaction of `request` as if its method were `method`: an ACK belongs to its INVITE, and
    /// a CANCEL names the INVITE it is for. Both repeat the INVITE's Via (§17.1.1.3, §9.1), so its
    /// text need not be understood.
    ///
    /// Hot path: no allocation.
    pub(super) fn transaction(&self, request: &Message, method: Method<'_>) -> Key {
        let method = method.as_bytes();
        let via = request.raw_elements(Name::Via).next().unwrap_or_default();
        let (sent_by, params) = via.split_at(memchr::memchr(b';', via).unwrap_or(via.len()));
        match lex::param(params, "branch").flatten() {
            Some(branch) if has_cookie(branch) => self.key((method, branch, AnyCase(sent_by))),
            Some(_) | None => self.key((
                method,
                request.request_uri(),
                request.from_tag(),
                request.call_id().unwrap_or_default(),
                request.cseq().map_or(0, |cseq| cseq.number),
                via,
            )),
        }
    }

    /// What a request that came by two paths has in common on both; `None` for one inside a dialog.
    pub(super) fn merge(&self, request: &Message) -> Option<Key> {
        if request.to_tag().is_some() {
            return None;
        }
        let cseq = request.cseq().ok()?;
        let call_id = request.call_id().ok()?;
        Some(self.key((request.from_tag(), call_id, cseq.number, cseq.method.as_bytes())))
    }

    fn key(&self, parts: impl Hash) -> Key {
        Key([self.seeds[0].hash_one(&parts), self.seeds[1].hash_one(&parts)])
    }
}

/// Text that hashes alike in any case.
struct AnyCase<'a>(&'a [u8]);

impl Hash for AnyCase<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower = [0; 32];
        for piece in self.0.chunks(lower.len()) {
            let lower = &mut lower[..piece.len()];
            lower.copy_from_slice(piece);
            lower.make_ascii_lowercase();
            state.write(lower);
        }
        state.write_usize(self.0.len());
    }
}

fn has_cookie(branch: &[u8]) -> bool {
    branch.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()))
}
