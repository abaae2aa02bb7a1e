//! `[[retell]]` and `[[trunks]]`: the keys of one peer.
//!
//! Both kinds share most keys but not their defaults: a `[[retell]]` challenges and answers to the source
//! port, because Retell's addresses are shared with other LiveKit customers and its Via has no rport; a trunk
//! does neither.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::caller::{CallerId, Country, ForeignCaller, parse_country};
use super::dialling::Dialling;
use super::fallback::{FallbackConfig, parse_fallback};
use super::headers::OwnHeaders;
use super::media::{PeerMedia, Reports};
use super::pool::PoolConfig;
use super::profile::{Preset, Profile, ProfileKeys};
use super::providers::{self, Provider};
use super::registration::RegisterConfig;
use super::spelling::{NumberFormat, Spelling};
use super::uri::parse_uri;
use crate::config::reader::{KeyPath, Mistake, Reader, Review, Secret, Section, any_of};
use crate::sip::uri::{Host, Scheme, Uri};

/// Keys that both kinds of peer have.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    /// Unique among all peers; stands in rules, records and metrics.
    pub name: String,
    /// Where calls to this peer go, tried in order; `sip:` with transport UDP, TCP or TLS, or
    /// `sips:`, without a user part.
    pub uris: Vec<Uri>,
    /// Name of the `[[interfaces]]` that it is reached by. Default: the one whose `networks` hold its
    /// address, else the first of its family.
    pub interface: Option<String>,
    /// Ranges that its requests come from. Absent: Retell's ranges on a `[[retell]]`, none on a trunk. Empty:
    /// a peer that challenges is challenged from anywhere; one that doesn't is never recognised as a caller.
    pub allow: Vec<IpNet>,
    /// User name agreed with this peer: it presents it when we challenge, we present it when it challenges.
    pub username: Option<String>,
    /// Password that goes with `username`; neither comes without the other.
    pub password: Option<Secret>,
    /// Whether its requests are challenged. Default `true` for a `[[retell]]` with a password, else `false`.
    pub challenge: bool,
    /// Seconds from the INVITE until a call to it is given up unanswered (480); 0 is never. Default `90` for
    /// a `[[retell]]`, `180` for a trunk.
    pub answer_timeout_s: u32,
    /// Recognise a `[[retell]]` that does not challenge by its address alone. A trunk is recognised by
    /// `allow` either way. Default `false`.
    pub trust_address: bool,
    /// Answer to the source port even where Via has no `rport` (RFC 3581). Default `true` for a `[[retell]]`,
    /// else `false`.
    pub force_rport: bool,
    /// Send requests over 1,300 bytes by TCP (RFC 3261 §18.1.1). Default `true`.
    pub tcp_for_large: bool,
    /// Whom its certificate must belong to, when that is not the host in `uri`. Default none: that host.
    pub tls_name: Option<Host>,
    /// PEM file with the authorities that its certificate is verified by, or with that certificate itself.
    /// Default none: `[tls].ca`.
    pub tls_ca: Option<PathBuf>,
    /// Where the dialled number stands in its INVITE. Default `"request-uri"`.
    pub called_number: CalledNumber,
    /// `[….profile]`: what becomes of what it does inside a call. Default: preset `"retell"` or `"standard"`.
    pub profile: Profile,
    /// Keys `fill_ms`, `rtp` and `rtcp`.
    pub media: PeerMedia,
    /// Calls at once, in both directions; 0 is no limit, which is the default.
    pub max_calls: u32,
    /// Calls toward it that begin in a second, evenly spread; 0 is no limit, which is the default.
    pub calls_per_second: u32,
    /// Seconds that a call waits for its turn at most; 0 is not at all. Default `5`.
    pub queue_s: u32,
    /// Calls from it that begin within an hour; 0 is no limit, which is the default.
    pub calls_per_hour: u32,
    /// Minutes that its calls talk within an hour, all together; 0 is no limit, which is the default.
    pub minutes_per_hour: u32,
    /// Seconds between two OPTIONS to each of its targets; 0 sends none, which is the default: many peers
    /// ignore, count or ban who sends them what was not agreed.
    pub options_s: u32,
}

/// `called_number`: where the dialled number stands in an INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledNumber {
    /// `"request-uri"`: the user part of the Request-URI.
    RequestUri,
    /// `"to"`: the user part of To.
    To,
    /// `"P-Called-Party-ID"` (RFC 7315 §4.2).
    PCalledPartyId,
}

/// One `[[retell]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetellConfig {
    /// The keys that both kinds of peer have.
    pub peer: PeerConfig,
    /// Whether agents may call emergency numbers. Default `false`.
    pub allow_emergency: bool,
    /// Keys `allow_numbers`, `deny_numbers` and `allow_premium`: where agents may call.
    pub dialling: Dialling,
    /// Once it was heard in a call, seconds without audio after which its agent is dead;
    /// 0 is never. Default `10`.
    pub agent_silence_s: u32,
    /// Where calls to it go, one after the other, when it cannot take them. Default none.
    pub fallback: Vec<FallbackConfig>,
}

/// One `[[trunks]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkConfig {
    /// The keys that both kinds of peer have.
    pub peer: PeerConfig,
    /// Whose preset stands for keys that are absent. Default none.
    pub provider: Option<String>,
    /// Country whose national numbers this trunk sends and takes; absent, numbers are left as they are.
    pub country: Option<Country>,
    /// Keys `caller_id` and `caller_ids`: the number shown toward this trunk. Default: the caller's own.
    pub caller_id: CallerId,
    /// What to do with a caller that is none of ours. Default `"replace"`.
    pub foreign_caller: ForeignCaller,
    /// Keys `register`, `register_expires_s` and `registrar`.
    pub register: RegisterConfig,
    /// Which of several caller IDs a call shows, and which numbers are ours to show.
    pub pool: PoolConfig,
    /// What its INVITE says: number formats, places and hosts.
    pub spelling: Spelling,
    /// Keys `set_headers` and `remove_headers`.
    pub headers: OwnHeaders,
}

/// What an absent key means on one kind of peer.
struct Defaults {
    /// What a `uri` is like.
    uri: &'static str,
    allow: Vec<IpNet>,
    answer_timeout_s: u32,
    force_rport: bool,
    rtcp: Reports,
    profile: Preset,
}

impl Section for RetellConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        let defaults = Defaults {
            uri: ANY_URI,
            allow: retell_ranges().collect(),
            answer_timeout_s: 90,
            force_rport: true,
            rtcp: Reports::Never,
            profile: Preset::Retell,
        };
        Self {
            peer: PeerConfig::read(table, defaults),
            allow_emergency: table.flag("allow_emergency", false),
            dialling: Dialling::read(table),
            agent_silence_s: table.seconds("agent_silence_s", 10),
            fallback: table.one_or_list("fallback", parse_fallback).unwrap_or_default(),
        }
    }
}

impl Section for TrunkConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        let provider = table.preset("provider");
        let defaults = Defaults {
            uri: provider.as_deref().and_then(providers::provider).map_or(ANY_URI, |known| known.uri),
            allow: Vec::new(),
            answer_timeout_s: 180,
            force_rport: false,
            rtcp: Reports::Auto,
            profile: Preset::Standard,
        };
        Self {
            peer: PeerConfig::read(table, defaults),
            provider,
            country: table.parsed("country", parse_country),
            caller_id: CallerId::read(table),
            foreign_caller: table.choice("foreign_caller", &ForeignCaller::WORDS, ForeignCaller::Replace),
            register: RegisterConfig::read(table),
            pool: PoolConfig::read(table),
            spelling: Spelling::read(table),
            headers: OwnHeaders::read(table),
        }
    }
}

impl PeerConfig {
    fn read(table: &mut Reader<'_>, defaults: Defaults) -> Self {
        table.require("name", "add name = \"…\", which rules and records use");
        table.require("uri", format!("add uri = \"{}\", where calls to this peer go", defaults.uri));
        Self {
            name: table.parsed("name", parse_name).unwrap_or_default(),
            uris: table.one_or_list("uri", |text| parse_uri("uri", text)).unwrap_or_default(),
            interface: table.text("interface"),
            allow: table.list("allow", parse_range).unwrap_or(defaults.allow),
            username: table.parsed("username", parse_username),
            password: table.secret("password"),
            challenge: table.flag("challenge", false),
            answer_timeout_s: table.seconds("answer_timeout_s", defaults.answer_timeout_s),
            trust_address: table.flag("trust_address", false),
            force_rport: table.flag("force_rport", defaults.force_rport),
            tcp_for_large: table.flag("tcp_for_large", true),
            tls_name: table.parsed("tls_name", parse_tls_name),
            tls_ca: table.file_beside("tls_ca"),
            called_number: table.choice("called_number", &CalledNumber::WORDS, CalledNumber::RequestUri),
            profile: table.section::<ProfileKeys>("profile").over(defaults.profile),
            media: PeerMedia::read(table, defaults.rtcp),
            max_calls: table.whole("max_calls", 0, 0..=1_000_000),
            calls_per_second: table.whole("calls_per_second", 0, 0..=100_000),
            queue_s: table.seconds("queue_s", 5),
            calls_per_hour: table.whole("calls_per_hour", 0, 0..=10_000_000),
            minutes_per_hour: table.whole("minutes_per_hour", 0, 0..=10_000_000),
            options_s: table.seconds("options_s", 0),
        }
    }

    /// How messages call the peer at `here`: by its name, or by its place among its kind where it has none.
    pub(super) fn label(&self, here: &KeyPath) -> String {
        let kind = if here.last() == "retell" { "[[retell]]" } else { "trunk" };
        match self.name.as_str() {
            "" => format!("{kind} {}", here.ordinal().unwrap_or_default()),
            name => format!("{kind} `{name}`"),
        }
    }

    /// Fills in `challenge` where it is not set, and cuts ranges to their prefix.
    pub(super) fn complete(&mut self, challenge: bool, here: &KeyPath, review: &mut Review<'_>) {
        if !review.is_set(&here.key("challenge")) {
            self.challenge = challenge;
        }
        cut_to_prefix(&mut self.allow, &here.key("allow"), review);
    }
}

/// Makes ranges of what stands at `here`, and warns of addresses written with the length of a prefix.
pub fn cut_to_prefix(ranges: &mut [IpNet], here: &KeyPath, review: &mut Review<'_>) {
    for (index, range) in ranges.iter_mut().enumerate() {
        let whole = range.trunc();
        if *range != whole && review.is_set(here) {
            let what = format!("{range} is an address within the range {whole}, not the range itself");
            let instead = format!("write \"{whole}\" for the range, \"{}\" for the address", range.addr());
            review.warning(&review.element(here, index), Mistake::new(what, instead));
        }
        *range = whole;
    }
}

impl TrunkConfig {
    pub(super) fn check(&self, here: &KeyPath, review: &mut Review<'_>) {
        if self.country.is_none() && !review.is_broken(&here.key("country")) {
            let trunk = self.peer.label(here);
            let what = format!("{trunk} has no `country`, so national numbers stay as they are");
            let instead = "add the country whose numbers it sends, such as country = \"US\"";
            review.warning(here, Mistake::new(what, instead));
        }
        self.register.check(&self.peer, here, review);
        let allow = here.key("allow");
        let preset = self.provider.as_deref().and_then(providers::provider);
        if let Some(why) = preset.and_then(|known| known.more_ranges).filter(|_| !review.is_set(&allow)) {
            let instead = "add `allow` with those of all edges that you use, as its documentation lists them";
            review.warning(&here.key("provider"), Mistake::new(why, instead));
        }
        if let Some(provider) = preset {
            self.check_transports(provider, &here.key("uri"), review);
        }
        if self.country.is_some() && self.spelling.caller_format == NumberFormat::PlusE164 {
            self.caller_id.check_format(here, review);
        }
        self.pool.check(&self.caller_id, here, review);
        self.spelling.check(&self.peer, self.country.as_ref(), here, review);
    }

    /// Warns of a transport that the provider is not known to speak.
    fn check_transports(&self, provider: &Provider, at: &KeyPath, review: &mut Review<'_>) {
        let spoken: Vec<_> = provider.transports.iter().map(|transport| transport.via().to_owned()).collect();
        for (index, uri) in self.peer.uris.iter().enumerate() {
            let asked = uri.param("transport").flatten().unwrap_or("udp").to_ascii_uppercase();
            if uri.scheme == Scheme::Sip && !spoken.contains(&asked) {
                let what = format!("`uri` is by {asked}, which {} is not known to take", provider.name);
                let instead = format!("write ;transport= for {}, unless you agreed on this", any_of(&spoken));
                review.warning(&review.element(at, index), Mistake::new(what, instead));
            }
        }
    }
}

impl CalledNumber {
    const WORDS: [(&str, Self); 3] =
        [("request-uri", Self::RequestUri), ("to", Self::To), ("P-Called-Party-ID", Self::PCalledPartyId)];
}

pub(super) fn parse_name(text: &str) -> Result<String, Mistake> {
    if text.trim() != text || text.is_empty() || text.len() > 64 || text.contains(char::is_control) {
        let what =
            "`name` is empty, longer than 64 bytes, or has spaces around it or control characters in it";
        return Err(Mistake::new(what, "write a short word, such as \"carrier\""));
    }
    if ["all trunks", "all retell"].contains(&text) {
        return Err(Mistake::new(
            format!("\"{text}\" has a meaning of its own in header rules"),
            "choose another name",
        ));
    }
    Ok(text.to_owned())
}

/// A user name for digest authentication.
///
/// # Errors
///
/// It is empty, or could not stand in a header.
pub fn parse_username(text: &str) -> Result<String, Mistake> {
    if text.is_empty() || text.contains(char::is_control) {
        let what = "`username` is empty or has control characters in it";
        return Err(Mistake::new(what, "write the user name agreed with this peer, or take the key out"));
    }
    Ok(text.to_owned())
}

pub(super) fn parse_range(text: &str) -> Result<IpNet, Mistake> {
    let range = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
    range.map_err(|_| {
        let what = format!("\"{text}\" is no address and no range of addresses");
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let instead = match (text.parse::<SocketAddr>(), bare.parse::<IpAddr>(), Host::parse(text.as_bytes()))
        {
            (Ok(socket), _, _) => format!("write \"{}\", without the port", socket.ip()),
            (_, Ok(address), _) => format!("write \"{address}\", without brackets"),
            (_, _, Ok(Host::Name(name))) if name.contains(char::is_alphabetic) => {
                "write the addresses that it stands for, as the peer lists them".to_owned()
            }
            _ => "write it like \"198.51.100.7\" or \"198.51.100.0/24\"".to_owned(),
        };
        Mistake::new(what, instead)
    })
}

fn parse_tls_name(text: &str) -> Result<Host, Mistake> {
    Host::parse(text.as_bytes()).map_err(|_| {
        let what = format!("\"{text}\" is no host");
        Mistake::new(what, "write the name in the peer's certificate, such as \"sip.carrier.example\"")
    })
}

/// Where Retell's SIP requests come from, as its documentation lists them.
pub fn retell_ranges() -> impl Iterator<Item = IpNet> {
    RETELL_RANGES.iter().filter_map(|range| range.parse().ok())
}

const ANY_URI: &str = "sip:…";
const RETELL_RANGES: [&str; 5] =
    ["18.98.16.120/30", "3.42.144.0/23", "153.57.128.0/18", "143.223.88.0/21", "161.115.160.0/19"];
