//! Digest authentication in both roles (RFC 8760, RFC 7616, RFC 3261 §22): STUB.
use super::message::Message;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

/// User name and password agreed with a peer. Debug never prints the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}

/// A parsed `Digest` challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    pub qop_auth: bool,
    pub stale: bool,
    pub proxy: bool,
}

/// UAC: the best challenge of a 401/407 that we can answer (several headers: the strongest algorithm we know).
pub fn challenge_of(_response: &Message) -> Option<Challenge> {
    todo!()
}
/// UAC: (header name, value). `nc` starts at 1 per nonce.
pub fn authorization(
    _challenge: &Challenge,
    _credentials: &Credentials,
    _method: &str,
    _uri: &str,
    _cnonce: &str,
    _nc: u32,
    _body: &[u8],
) -> (super::headers::Name, String) {
    todo!()
}

/// What a request's Authorization or Proxy-Authorization names, before any check.
pub fn username_of(_request: &Message) -> Option<String> {
    todo!()
}

/// UAS: mints and verifies nonces. `now` is time since an arbitrary epoch of the process.
pub struct Verifier {}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// Nonce expired, replayed or not ours with otherwise right credentials or unknowable: challenge again with stale=true.
    Stale,
    /// No credentials at all (for our realm): challenge.
    Absent,
    /// Wrong password, uri that is neither Request-URI's nor To's user and host, malformed: 403.
    Wrong,
}
impl Verifier {
    pub fn new(_secret: [u8; 32], _realm: &str, _algorithm: Algorithm) -> Self {
        todo!()
    }
    /// Value of the one WWW-Authenticate header. `random` makes the nonce unique.
    pub fn challenge(&self, _random: u64, _now: Duration, _stale: bool) -> String {
        todo!()
    }
    /// Verifies `request` against `credentials`. `transaction` identifies the server transaction (same nonce+nc in the same transaction is a retransmission, elsewhere a replay).
    pub fn verify(
        &mut self,
        _request: &Message,
        _credentials: &Credentials,
        _transaction: u64,
        _now: Duration,
    ) -> Verdict {
        todo!()
    }
    /// Number of remembered (nonce, nc), bounded.
    pub fn remembered(&self) -> usize {
        todo!()
    }
}
