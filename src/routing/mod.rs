//! Who is calling, and where the call goes, as pure functions over tables compiled from the configuration. STUB
pub mod config;
use crate::id::{CallId, PeerId};
use crate::sip::auth::Credentials;
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use std::net::IpAddr;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Trunk,
    Retell,
}

/// A configured peer, compiled. (Further fields as the compiler of routes needs them.)
#[derive(Clone, Debug)]
pub struct Peer {
    pub id: PeerId,
    pub kind: Kind,
    pub name: String,
    /// Where calls to it go, in order.
    pub uris: Vec<Uri>,
    pub allow: Vec<ipnet::IpNet>,
    pub credentials: Option<Credentials>,
    pub challenge: bool,
    /// None: never.
    pub answer_timeout: Option<Duration>,
    pub force_rport: bool,
    pub tcp_for_large: bool,
}

/// What an initial request from some source is (CONTRACT §2 "Which peer is calling").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recognition {
    /// Recognised by address alone.
    Peer(PeerId),
    /// Recognised by address, must also authenticate as this very peer.
    ChallengeAs(PeerId),
    /// Must authenticate; the user name decides (see [`Routes::by_username`]).
    Challenge,
    /// No answer of any kind.
    Stranger,
}

/// The compiled tables; immutable, replaced whole on reload.
pub struct Routes {}

/// The decided course of one call.
#[derive(Clone, Debug)]
pub struct Plan {
    pub trunk: PeerId,
    pub retell: PeerId,
    /// The callee's peer (one of the two above).
    pub callee: PeerId,
    /// Numbers as shown in records, metrics and `/v1/calls` (as sent).
    pub from: String,
    pub to: String,
    /// Display name for From, when the caller's may be kept.
    pub display: Option<String>,
    /// Caller withheld: From is `"Anonymous" <sip:anonymous@anonymous.invalid>` and Privacy: id.
    pub withheld: bool,
    /// Request-URI (= To) of every target in order: user part and parameters as sent, host and port of the peer's uri.
    pub targets: Vec<Uri>,
    /// Whether neither number changed (Identity may pass).
    pub numbers_unchanged: bool,
}

/// Why a call is refused before any attempt.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum Refusal {
    #[error("stub")]
    Stub,
}
impl Refusal {
    pub fn status(&self) -> u16 {
        todo!()
    }
}

/// State that routing keeps between calls: the rotation of `caller_ids` (survives reload by peer name).
#[derive(Debug, Default)]
pub struct Rotation {}

/// One decided step, for `explain` (rule that decided, in words).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub what: String,
    pub value: String,
    pub rule: String,
}

/// A configuration that cannot be compiled: a secret that is needed and not there.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum CompileError {
    #[error("{peer}: {error}; set it, or take the key out")]
    Secret { peer: String, error: String },
}

impl Routes {
    /// `reveal` is `Secret::reveal` in production; `check` and `explain` pass one that never fails.
    pub fn compile(
        _config: &config::Config,
        _reveal: &dyn Fn(
            &crate::config::reader::Secret,
        ) -> Result<String, crate::config::reader::SecretError>,
    ) -> Result<Self, CompileError> {
        todo!()
    }
    pub fn peer(&self, _id: PeerId) -> &Peer {
        todo!()
    }
    pub fn peers(&self) -> &[Peer] {
        todo!()
    }
    /// `dialled` is the user part of the Request-URI.
    pub fn recognise(&self, _source: IpAddr, _dialled: &str) -> Recognition {
        todo!()
    }
    /// The peers that challenge `source` and know `username`.
    pub fn by_username(&self, _source: IpAddr, _username: &str) -> Option<PeerId> {
        todo!()
    }
    /// In some peer's `allow`.
    pub fn knows(&self, _source: IpAddr) -> bool {
        todo!()
    }
    pub fn allows(&self, _peer: PeerId, _source: IpAddr) -> bool {
        todo!()
    }
    /// Decides the course of `invite` from `caller`. `steps` collects the explanation when given.
    pub fn plan(
        &self,
        _caller: PeerId,
        _invite: &Message,
        _rotation: &mut Rotation,
        _steps: Option<&mut Vec<Step>>,
    ) -> Result<Plan, Refusal> {
        todo!()
    }
    /// Headers to put on a message toward `toward`, made of `source` (the message of the other leg that causes it): passed ones, then set and removed by the rules.
    /// `our_host` replaces the host in URIs of Diversion and History-Info. `invite` is the call's first INVITE, for `{header:X}`.
    pub fn headers(
        &self,
        _toward: PeerId,
        _source: Option<&Message>,
        _invite: &Message,
        _plan: &Plan,
        _call: CallId,
        _our_host: &str,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        todo!()
    }
}
