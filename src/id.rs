//! Newtypes that every layer shares, and the seeded generator of everything that must be unguessable.
//!
//! Pure: [`Ids`] is seeded from outside, so that a test replays a whole call byte for byte. What it
//! mints carries the call (tags) or the transaction (branches), so that a message finds its owner
//! without a table of strings; the random part behind is what makes a tag unguessable, so an owner must
//! still compare the whole tag.

pub mod srtp;

use std::fmt;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// One call through the bridge, both legs and every attempt; written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// One leg of a call: 0 is the caller's, then one for every attempt to reach a callee, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LegId(pub u16);

impl LegId {
    /// The leg of whoever called.
    pub const CALLER: Self = Self(0);
}

/// A client transaction of ours; the key inside the branch we minted for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientTx(pub u64);

/// A server transaction; a key local to the transaction table, never on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServerTx(pub u64);

/// A configured peer (a `[[trunks]]` or `[[retell]]`), as its place in the compiled routing table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PeerId(pub u16);

/// One of our own `[[interfaces]]`, as its place in the file; 0 also is the only one that `[sip]` and
/// `[media]` describe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct InterfaceId(pub u16);

/// The seeded generator of calls, tags, branches and Call-IDs.
#[derive(Debug)]
pub struct Ids {
    rng: StdRng,
    instance: u8,
}

impl Ids {
    /// `seed` decides everything minted; `instance` tells the processes of a cluster apart.
    #[must_use]
    pub fn new(seed: [u8; 32], instance: u8) -> Self {
        Self { rng: StdRng::from_seed(seed), instance }
    }

    /// 64 unguessable bits.
    pub fn random(&mut self) -> u64 {
        self.rng.random()
    }

    /// A call's identity.
    pub fn call(&mut self) -> CallId {
        CallId(self.random())
    }

    /// A client transaction's identity; [`Self::branch`] writes it.
    pub fn client_tx(&mut self) -> ClientTx {
        ClientTx(self.random())
    }

    /// The Via branch of `tx` (RFC 3261 §8.1.1.7).
    #[must_use]
    pub fn branch(&self, tx: ClientTx) -> String {
        format!("{MAGIC_COOKIE}{:02x}{:016x}", self.instance, tx.0)
    }

    /// A tag for our end of a dialog: instance, call, leg, then 64 random bits.
    pub fn tag(&mut self, call: CallId, leg: LegId) -> String {
        let random = self.random();
        format!("{:02x}{:016x}{:04x}{random:016x}", self.instance, call.0, leg.0)
    }

    /// A Call-ID of ours: 128 random bits, no host (RFC 3261 §8.1.1.4 permits it), so
    /// that it betrays nothing.
    pub fn call_id(&mut self) -> String {
        let (high, low) = (self.random(), self.random());
        format!("{high:016x}{low:016x}")
    }

    /// The transaction inside a branch that this instance minted.
    #[must_use]
    pub fn parse_branch(&self, branch: &[u8]) -> Option<ClientTx> {
        let hex = branch.strip_prefix(MAGIC_COOKIE.as_bytes())?;
        let (instance, tx) = (hex.get(..2)?, hex.get(2..18)?);
        (hex.len() == 18 && from_hex(instance)? == u64::from(self.instance)).then_some(())?;
        from_hex(tx).map(ClientTx)
    }

    /// The call and leg inside a tag that this instance minted; the leg must still compare the whole tag.
    #[must_use]
    pub fn parse_tag(&self, tag: &[u8]) -> Option<(CallId, LegId)> {
        (tag.len() == TAG_LENGTH && from_hex(&tag[..2])? == u64::from(self.instance)).then_some(())?;
        let leg = u16::try_from(from_hex(&tag[18..22])?).ok()?;
        Some((CallId(from_hex(&tag[2..18])?), LegId(leg)))
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

impl std::str::FromStr for CallId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 16 {
            return Err(());
        }
        from_hex(text.as_bytes()).map(CallId).ok_or(())
    }
}

fn from_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

/// What every branch of an RFC 3261 element begins with.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

const TAG_LENGTH: usize = 2 + 16 + 4 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_tag_names_its_call_and_leg_to_its_own_instance_only() {
        let mut ids = Ids::new([7; 32], 3);
        let call = ids.call();
        let tag = ids.tag(call, LegId(2));

        assert_eq!(ids.parse_tag(tag.as_bytes()), Some((call, LegId(2))));
        assert_eq!(Ids::new([7; 32], 4).parse_tag(tag.as_bytes()), None);
        assert_eq!(ids.parse_tag(&tag.as_bytes()[..37]), None);
    }

    #[test]
    fn a_minted_branch_names_its_transaction() {
        let mut ids = Ids::new([7; 32], 3);
        let tx = ids.client_tx();

        assert_eq!(ids.parse_branch(ids.branch(tx).as_bytes()), Some(tx));
        assert_eq!(ids.parse_branch(b"z9hG4bKabc"), None);
    }
}
