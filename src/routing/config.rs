//! `[[retell]]`, `[[trunks]]`, `[[interfaces]]`, `[[numbers]]`, `[extensions]` and `[headers]`: who calls,
//! and where calls go.
//!
//! The first of each kind of peer is the default one. An absent `allow` means Retell's own ranges on a
//! `[[retell]]`, and no address at all on a trunk; an empty list of a peer that challenges is any address,
//! never one that is trusted.

mod caller;
mod dialling;
mod fallback;
mod headers;
mod interface;
mod media;
mod numbers;
mod peer;
mod pool;
mod profile;
mod providers;
mod recognition;
mod registration;
mod spelling;
mod uri;

use crate::config::reader::{KeyPath, Mistake, Reader, Review, Section};
use crate::sip::uri::{Scheme, Uri};

pub use caller::{CallerId, Country, ForeignCaller, parse_country, parse_rotating, parse_user_part};
pub use dialling::{Dialling, Range};
pub use fallback::FallbackConfig;
pub use headers::{HeadersConfig, OwnHeaders, RuleConfig, Toward};
pub use interface::InterfaceConfig;
pub use media::{Aim, PeerMedia, Reports};
pub use numbers::{NumberConfig, unknown_peer};
pub use peer::{
    CalledNumber, PeerConfig, RetellConfig, TrunkConfig, cut_to_prefix, parse_username, retell_ranges,
};
pub use pool::{PoolConfig, PoolNumber, parse_pool_number};
pub use profile::{DigitsBy, Preset, Profile, Ringing, Treatment};
pub use providers::{PROVIDERS, Provider, provider};
pub use registration::RegisterConfig;
pub use spelling::{CallerPlace, CallerPlaces, NumberFormat, Spelling};

/// Everything that routing decides by.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    /// Retell's side, at least one; the first is the default.
    pub retell: Vec<RetellConfig>,
    /// Our own addresses, where `[sip]` and `[media]` don't say it all. Default none.
    pub interfaces: Vec<InterfaceConfig>,
    /// The carriers, at least one; the first is the default for calls from Retell.
    pub trunks: Vec<TrunkConfig>,
    /// Own numbers and where they belong. Default none.
    pub numbers: Vec<NumberConfig>,
    /// Dialled user part and the number it stands for, in file order. Default none.
    pub extensions: Vec<(String, String)>,
    /// Which headers reach the other side.
    pub headers: HeadersConfig,
}

impl Section for Config {
    /// Reads from the root table: these sections have no common one.
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            retell: table.sections("retell"),
            interfaces: table.sections("interfaces"),
            trunks: table.sections("trunks"),
            numbers: table.sections("numbers"),
            extensions: table.pairs("extensions", numbers::parse_extension),
            headers: table.section("headers"),
        }
    }
}

impl Config {
    /// Fills in the defaults that depend on other keys, which the environment may have given.
    pub fn complete(&mut self, review: &mut Review<'_>) {
        let root = KeyPath::root();
        for (index, retell) in self.retell.iter_mut().enumerate() {
            let challenge = retell.peer.password.is_some();
            retell.peer.complete(challenge, &root.key("retell").index(index), review);
        }
        for (index, trunk) in self.trunks.iter_mut().enumerate() {
            trunk.peer.complete(false, &root.key("trunks").index(index), review);
        }
    }

    /// Checks fields and sections against each other.
    pub fn check(&self, review: &mut Review<'_>) {
        let root = KeyPath::root();
        self.check_presence(&root, review);
        recognition::check(self, review);
        for (index, trunk) in self.trunks.iter().enumerate() {
            trunk.check(&root.key("trunks").index(index), review);
        }
        numbers::check(self, &root.key("numbers"), review);
        fallback::check(self, review);
        for (here, peer) in self.peers() {
            peer.media.check(peer.uris.iter().any(|uri| !is_by_tls(uri)), &here, review);
        }
        self.headers.check(self, &root.key("headers"), review);
    }

    /// Makes the trunk at `trunk` and the `[[retell]]` at `retell` the default ones.
    pub fn make_default(&mut self, retell: usize, trunk: usize) {
        if let Some(chosen) = self.retell.get_mut(..=retell) {
            chosen.rotate_right(1);
        }
        if let Some(chosen) = self.trunks.get_mut(..=trunk) {
            chosen.rotate_right(1);
        }
    }

    /// Names of the `[[retell]]` peers, in file order.
    pub fn retell_names(&self) -> impl Iterator<Item = &str> {
        self.retell.iter().map(|retell| retell.peer.name.as_str())
    }

    /// Names of the trunks, in file order.
    pub fn trunk_names(&self) -> impl Iterator<Item = &str> {
        self.trunks.iter().map(|trunk| trunk.peer.name.as_str())
    }

    /// Every peer with its path in the file.
    pub fn peers(&self) -> impl Iterator<Item = (KeyPath, &PeerConfig)> {
        let path = |kind: &str, index| KeyPath::root().key(kind).index(index);
        let retell =
            self.retell.iter().enumerate().map(move |(at, retell)| (path("retell", at), &retell.peer));
        let trunks = self.trunks.iter().enumerate().map(move |(at, trunk)| (path("trunks", at), &trunk.peer));
        retell.chain(trunks)
    }

    fn check_presence(&self, root: &KeyPath, review: &mut Review<'_>) {
        let (retell, trunks) = (root.key("retell"), root.key("trunks"));
        if self.retell.is_empty() && !review.is_broken(&retell) {
            let instead = "add one with name, uri, username and password, as in the shipped config.toml";
            review.mistake(&retell, Mistake::new("there is no [[retell]]", instead));
        }
        if self.trunks.is_empty() && !review.is_broken(&trunks) {
            let instead = "add one with name, uri and allow, as in the shipped config.toml";
            review.mistake(&trunks, Mistake::new("there is no [[trunks]]", instead));
        }
    }
}

/// Whether calls to `uri` go by TLS, whatever a name server says.
fn is_by_tls(uri: &Uri) -> bool {
    uri.scheme == Scheme::Sips || uri.transport().as_deref() == Some("tls")
}
