//! Who is calling, and where the call goes, as pure functions over tables compiled from the configuration.
//!
//! [`Routes`] is compiled once, checked before, and replaced whole on a reload, so nothing here can fail for
//! what the file says. A [`PeerId`] is a place in one table: after a reload a standing call must keep the
//! `Routes` it began with, or find its peer again by name.

mod behind;
mod caller;
pub mod config;
mod emergency;
mod fallback;
mod header_values;
mod headers;
pub mod hourly;
mod interfaces;
pub mod limits;
mod normalise;
mod numbers;
mod parties;
mod plan;
mod pool;
mod recognise;
mod reserved;
mod spelling;
mod steps;
mod template;
mod tolls;
mod uri_headers;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::reader::{Secret, SecretError};
use crate::id::{InterfaceId, PeerId};
use crate::sip::auth::{Credentials, challenge_of};
use crate::sip::message::Message;
use crate::sip::registration::Account;
use crate::sip::uri::{Host, Uri};

pub use headers::Line;
pub use interfaces::Interfaces;
pub use parties::number_in;
pub use plan::{Plan, Refusal};
pub use pool::Rotation;
pub use recognise::Recognition;
pub use reserved::is_reserved;
pub use spelling::{Target, Written};
pub use steps::Step;
pub use tolls::TollError;

/// The two kinds of peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A `[[trunks]]`.
    Trunk,
    /// A `[[retell]]`.
    Retell,
}

/// A configured peer, compiled.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its place in the table.
    pub id: PeerId,
    /// Which side it is on.
    pub kind: Kind,
    /// As in the configuration; unique over both kinds.
    pub name: String,
    /// Where calls to it go, in order.
    pub uris: Vec<Uri>,
    /// Which of ours it is reached by, where it has a choice of its own.
    pub interface: Option<InterfaceId>,
    /// Where its requests come from.
    pub allow: Vec<ipnet::IpNet>,
    /// What it presents to us and we to it.
    pub credentials: Option<Credentials>,
    /// Whether its calls must authenticate. A `[[retell]]` without credentials can't, whatever the key says;
    /// a trunk without them is never let in by its address instead.
    pub challenge: bool,
    /// How long it may ring; None: for ever.
    pub answer_timeout: Option<Duration>,
    /// Once it was heard in a call, seconds without audio after which its agent is dead; 0
    /// is never, as of a trunk.
    pub agent_silence_s: u32,
    /// Responses go to the source port, asked for or not (RFC 3581).
    pub force_rport: bool,
    /// Requests too large for a datagram go by TCP.
    pub tcp_for_large: bool,
    /// What becomes of what it does inside a call.
    pub profile: config::Profile,
    /// Whom its certificate must belong to, when that is not the host it is reached at.
    pub tls_name: Option<Host>,
    /// The file of authorities that its certificate is verified by.
    pub tls_ca: Option<PathBuf>,
    /// How media goes to and from it.
    pub media: config::PeerMedia,
    /// How many calls it may have.
    pub limit: limits::Limit,
    /// What its own calls may come to within an hour.
    pub cap: hourly::Cap,
    /// What we register as at a trunk that wants to be told where we are.
    pub registration: Option<Account>,
    /// How long after the last OPTIONS the next one goes to each of its targets; `None` is never.
    pub probes: Option<Duration>,
    /// A `[[retell]]` whose address alone is proof.
    trust_address: bool,
    /// Where it writes the dialled number.
    called_number: config::CalledNumber,
    /// A `[[retell]]` that may dial emergency numbers.
    allow_emergency: bool,
    /// Where a `[[retell]]` may call.
    tolls: tolls::Tolls,
    /// What national numbers mean on a trunk.
    country: normalise::Country,
    /// Headers that its own table sets and removes.
    own_headers: config::OwnHeaders,
    /// What its INVITE says; all at its default for a `[[retell]]`.
    spelling: config::Spelling,
    /// The callers a trunk shows.
    caller: caller::CallerPolicy,
    /// How long a caller ID rests that a callee refused; 0 is not at all.
    caller_rest_s: u32,
    /// Where calls to a `[[retell]]` go when it cannot take them.
    fallback: Vec<fallback::Fallback>,
}

/// The compiled tables; immutable, replaced whole on reload.
#[derive(Debug)]
pub struct Routes {
    /// By id: every `[[retell]]`, then every `[[trunks]]`, each in file order.
    peers: Vec<Peer>,
    ranges: recognise::Ranges,
    numbers: numbers::Numbers,
    extensions: HashMap<String, String>,
    header_rules: headers::HeaderRules,
    interfaces: Interfaces,
}

impl Peer {
    /// Whether `host` is a name of its own, so that credentials may go there.
    #[must_use]
    pub fn is_own_host(&self, host: &Host) -> bool {
        let proxy = self.spelling.outbound_proxy.as_ref();
        self.uris.iter().chain(proxy).any(|own| own.host == *host)
    }

    /// Where its calls go first, in order: to the outbound proxy, else to its own URIs.
    #[must_use]
    pub fn next_hops(&self) -> &[Uri] {
        self.spelling.outbound_proxy.as_ref().map_or(&self.uris, std::slice::from_ref)
    }

    /// Whether that is an outbound proxy.
    #[must_use]
    pub fn has_outbound_proxy(&self) -> bool {
        self.spelling.outbound_proxy.is_some()
    }

    /// Whether the challenge in `response` may be answered: there are credentials,
    /// and they are for its realm.
    #[must_use]
    pub fn may_answer(&self, response: &Message) -> bool {
        let is_agreed = |realm: &String| challenge_of(response).is_some_and(|asked| asked.realm == *realm);
        self.credentials.is_some() && self.spelling.realm.as_ref().is_none_or(is_agreed)
    }

    fn username(&self) -> Option<&str> {
        self.credentials.as_ref().map(|credentials| credentials.username.as_str())
    }

    /// How steps call its `key`.
    fn key(&self, key: &str) -> String {
        let section = match self.kind {
            Kind::Trunk => "trunks",
            Kind::Retell => "retell",
        };
        format!("{section}[{}].{key}", self.name)
    }
}

/// A configuration that cannot be compiled: a secret that is needed and not there.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum CompileError {
    /// The password of a peer cannot be had.
    #[error("password of `{peer}`: {error}; provide it, or take the key out")]
    Secret {
        /// The peer's name.
        peer: String,
        /// What is wrong with the secret.
        error: String,
    },
}

/// How a secret's value is had: `Secret::reveal` in production; `check` and `explain` pass one that never
/// fails.
pub type Reveal<'a> = &'a dyn Fn(&Secret) -> Result<String, SecretError>;

impl Routes {
    /// Compiles what `config::load` accepted; names it would have refused are ignored.
    ///
    /// # Errors
    ///
    /// [`CompileError::Secret`] when `reveal` fails for a peer's password.
    pub fn compile(config: &config::Config, reveal: Reveal<'_>) -> Result<Self, CompileError> {
        tolls::load_tables();
        let interfaces = Interfaces::compile(&config.interfaces);
        let retell = config.retell.iter().map(Source::Retell);
        let sources = retell.chain(config.trunks.iter().map(Source::Trunk));
        let mut peers: Vec<_> = sources
            .zip(0..)
            .map(|(source, id)| source.compile(PeerId(id), &interfaces, reveal))
            .collect::<Result<_, _>>()?;
        let retell_named = |name: &str| {
            let place = config.retell.iter().position(|retell| retell.peer.name == name)?;
            u16::try_from(place).ok().map(PeerId)
        };
        for (peer, retell) in peers.iter_mut().zip(&config.retell) {
            peer.fallback = fallback::Fallback::compile(&retell.fallback, retell_named);
        }
        let named = |kind| {
            let peers = &peers;
            move |name: &str| {
                peers.iter().find(|peer: &&Peer| peer.kind == kind && peer.name == name).map(|peer| peer.id)
            }
        };
        Ok(Self {
            ranges: recognise::Ranges::compile(&peers),
            numbers: numbers::Numbers::compile(&config.numbers, named(Kind::Retell), named(Kind::Trunk)),
            extensions: config.extensions.iter().cloned().collect(),
            header_rules: headers::HeaderRules::compile(&config.headers, &peers),
            interfaces,
            peers,
        })
    }

    /// The peer with `id`, which must be of this table.
    ///
    /// # Panics
    ///
    /// When `id` is of a larger table, before a reload.
    #[must_use]
    pub fn peer(&self, id: PeerId) -> &Peer {
        &self.peers[usize::from(id.0)]
    }

    /// Every `[[retell]]`, then every trunk, in file order.
    #[must_use]
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer called `name`, as after a reload.
    #[must_use]
    pub fn peer_named(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == name)
    }

    /// A callee of `trunk` answered a call from `number` with `code`: one that wants no
    /// further calls makes it rest.
    pub fn note_answer(&self, trunk: &str, number: &str, code: u16, rotation: &mut Rotation) {
        let rest_s = self.peer_named(trunk).map_or(0, |peer| peer.caller_rest_s);
        if rest_s > 0 && UNWANTED.contains(&code) {
            rotation.refused(trunk, number, rest_s);
        }
    }

    /// The ISO 3166 code of where `number` rings: of the country that its calling code belongs to, else of
    /// that of `trunk`; `None` where neither says.
    #[must_use]
    pub fn country_of(&self, number: &str, trunk: PeerId) -> Option<String> {
        normalise::Country::of_number(number).iso().or_else(|| self.peer(trunk).country.iso())
    }

    /// The default peer of `kind`.
    fn first(&self, kind: Kind) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.kind == kind)
    }
}

/// 603 Decline, 607 Unwanted (RFC 8197) and 608 Rejected (RFC 8688).
const UNWANTED: [u16; 3] = [603, 607, 608];

/// A peer as configured, of either kind.
enum Source<'a> {
    Retell(&'a config::RetellConfig),
    Trunk(&'a config::TrunkConfig),
}

impl Source<'_> {
    fn compile(&self, id: PeerId, interfaces: &Interfaces, reveal: Reveal<'_>) -> Result<Peer, CompileError> {
        let (kind, config) = match self {
            Self::Retell(retell) => (Kind::Retell, &retell.peer),
            Self::Trunk(trunk) => (Kind::Trunk, &trunk.peer),
        };
        let credentials = credentials(config, reveal)?;
        let registration = match self {
            Self::Trunk(trunk) => trunk.register.account(config, &trunk.spelling, credentials.as_ref()),
            Self::Retell(_) => None,
        };
        Ok(Peer {
            id,
            kind,
            name: config.name.clone(),
            uris: config.uris.clone(),
            interface: config.interface.as_deref().and_then(|name| interfaces.named(name)),
            allow: config.allow.clone(),
            challenge: config.challenge && (kind == Kind::Trunk || credentials.is_some()),
            credentials,
            answer_timeout: (config.answer_timeout_s > 0)
                .then(|| Duration::from_secs(config.answer_timeout_s.into())),
            agent_silence_s: match self {
                Self::Retell(retell) => retell.agent_silence_s,
                Self::Trunk(_) => 0,
            },
            force_rport: config.force_rport,
            tcp_for_large: config.tcp_for_large,
            profile: config.profile,
            tls_name: config.tls_name.clone(),
            tls_ca: config.tls_ca.clone(),
            media: config.media,
            limit: limits::Limit {
                calls: (config.max_calls > 0).then_some(config.max_calls),
                rate: (config.calls_per_second > 0).then_some(config.calls_per_second),
                queue: Duration::from_secs(config.queue_s.into()),
            },
            cap: hourly::Cap {
                calls: (config.calls_per_hour > 0).then_some(config.calls_per_hour),
                minutes: (config.minutes_per_hour > 0).then_some(config.minutes_per_hour),
            },
            registration,
            probes: (config.options_s > 0).then(|| Duration::from_secs(config.options_s.into())),
            trust_address: config.trust_address,
            called_number: config.called_number,
            allow_emergency: matches!(self, Self::Retell(retell) if retell.allow_emergency),
            tolls: self.tolls(),
            country: self.country(),
            own_headers: match self {
                Self::Retell(_) => config::OwnHeaders::default(),
                Self::Trunk(trunk) => trunk.headers.clone(),
            },
            spelling: match self {
                Self::Retell(_) => config::Spelling::default(),
                Self::Trunk(trunk) => trunk.spelling.clone(),
            },
            caller: self.caller(),
            caller_rest_s: match self {
                Self::Retell(_) => 0,
                Self::Trunk(trunk) => trunk.pool.rest_s,
            },
            fallback: Vec::new(),
        })
    }

    fn tolls(&self) -> tolls::Tolls {
        match self {
            Self::Retell(retell) => tolls::Tolls::compile(&retell.dialling),
            Self::Trunk(_) => tolls::Tolls::default(),
        }
    }

    fn country(&self) -> normalise::Country {
        match self {
            Self::Retell(_) => normalise::Country::default(),
            Self::Trunk(trunk) => normalise::Country::compile(trunk.country.as_ref()),
        }
    }

    fn caller(&self) -> caller::CallerPolicy {
        match self {
            Self::Retell(_) => caller::CallerPolicy::as_given(),
            Self::Trunk(trunk) => {
                let numbers = match &trunk.caller_id {
                    config::CallerId::Rotating(numbers) => &numbers[..],
                    _ => &[],
                };
                caller::CallerPolicy {
                    id: trunk.caller_id.clone(),
                    foreign: trunk.foreign_caller,
                    pool: pool::Pool::compile(numbers, &trunk.pool, self.country()),
                }
            }
        }
    }
}

fn credentials(config: &config::PeerConfig, reveal: Reveal<'_>) -> Result<Option<Credentials>, CompileError> {
    let (Some(username), Some(password)) = (&config.username, &config.password) else { return Ok(None) };
    let password = reveal(password)
        .map_err(|error| CompileError::Secret { peer: config.name.clone(), error: error.to_string() })?;
    Ok(Some(Credentials { username: username.clone(), password }))
}
