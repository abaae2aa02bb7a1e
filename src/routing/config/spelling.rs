//! How numbers are written toward a trunk, which header bears the caller's, and which
//! hosts stand in its INVITE.
//!
//! The place of the call and its wording are two things: `uri` (or `outbound_proxy`) says where an INVITE
//! goes, the `…_host` keys what stands in it.

use super::caller::{Country, parse_user_part};
use super::peer::PeerConfig;
use super::uri::parse_uri;
use crate::config::reader::{KeyPath, Mistake, Reader, Review, any_quoted};
use crate::sip::uri::{Host, Uri};

/// The keys of a trunk about what its INVITE says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spelling {
    /// Of the dialled number. Default `"+E.164"`.
    pub number_format: NumberFormat,
    /// Of the caller's number. Default: `number_format`.
    pub caller_format: NumberFormat,
    /// Digits in front of every dialled number, after it was put into its format. Default none.
    pub prefix: String,
    /// Where the caller's number stands; without `"from"`, From names `username`. Default `["from"]`.
    pub caller_in: CallerPlaces,
    /// It keeps asserted identities as RFC 3325 asks, so they are given to it and taken from it: the caller's
    /// number in the headers of `caller_in` even where privacy was asked for (§7), and the number in its
    /// P-Asserted-Identity before that in From. Default `false`.
    pub trust_identity: bool,
    /// In From and the headers of `caller_in`. Default none: our address.
    pub from_host: Option<Host>,
    /// In To. Default none: that of the Request-URI.
    pub to_host: Option<Host>,
    /// In the Request-URI. Default none: that of `uri`.
    pub request_host: Option<Host>,
    /// Challenges of another realm are not answered. Default none: those of any realm are.
    pub realm: Option<String>,
    /// Where INVITEs go in place of `uri`; with `;lr` it stands in Route too (RFC 3261 §8.1.2). Default none.
    pub outbound_proxy: Option<Uri>,
}

/// `number_format` and `caller_format`: how a number in E.164 is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberFormat {
    /// `"+E.164"`: +14155550100.
    #[default]
    PlusE164,
    /// `"E.164"`: 14155550100.
    E164,
    /// `"00"`: 0014155550100.
    DoubleZero,
    /// `"national"`: as it is dialled in the trunk's `country`.
    National,
}

/// `caller_in`: the headers that bear the caller's number; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerPlaces(pub Vec<CallerPlace>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerPlace {
    /// `"from"`: user part of From.
    From,
    /// `"display"`: display name of From.
    Display,
    /// `"p-asserted-identity"` (RFC 3325).
    PAssertedIdentity,
    /// `"p-preferred-identity"` (RFC 3325).
    PPreferredIdentity,
    /// `"remote-party-id"` (draft-ietf-sip-privacy-04).
    RemotePartyId,
    /// `"diversion"` (RFC 5806).
    Diversion,
    /// `"p-charge-info"` (RFC 8496): who pays.
    PChargeInfo,
}

impl Default for CallerPlaces {
    fn default() -> Self {
        Self(vec![CallerPlace::From])
    }
}

impl CallerPlaces {
    /// Whether the caller's number stands there.
    #[must_use]
    pub fn holds(&self, place: CallerPlace) -> bool {
        self.0.contains(&place)
    }
}

impl Spelling {
    pub(super) fn read(table: &mut Reader<'_>) -> Self {
        let number_format = table.choice("number_format", &NumberFormat::WORDS, NumberFormat::PlusE164);
        Self {
            number_format,
            caller_format: table.choice("caller_format", &NumberFormat::WORDS, number_format),
            prefix: table.parsed("prefix", parse_prefix).unwrap_or_default(),
            caller_in: table.one_or_list("caller_in", parse_place).map(CallerPlaces).unwrap_or_default(),
            trust_identity: table.flag("trust_identity", false),
            from_host: table.parsed("from_host", |text| parse_host("from_host", text)),
            to_host: table.parsed("to_host", |text| parse_host("to_host", text)),
            request_host: table.parsed("request_host", |text| parse_host("request_host", text)),
            realm: table.parsed("realm", parse_realm),
            outbound_proxy: table.parsed("outbound_proxy", |text| parse_uri("outbound_proxy", text)),
        }
    }

    pub(super) fn check(
        &self,
        peer: &PeerConfig,
        country: Option<&Country>,
        here: &KeyPath,
        review: &mut Review<'_>,
    ) {
        for (key, format) in [("number_format", self.number_format), ("caller_format", self.caller_format)] {
            let at = here.key(key);
            let is_told = review.is_set(&at) && !review.is_broken(&here.key("country"));
            if format == NumberFormat::National && country.is_none() && is_told {
                let what = format!("`{key}` is \"national\", but no `country` says of which nation");
                review.mistake(&at, Mistake::new(what, "add the trunk's, such as country = \"US\""));
            }
        }
        let at = here.key("caller_in");
        if review.is_broken(&at) {
            return;
        }
        if self.caller_in.0.is_empty() {
            let instead = format!("name at least one of {}", CallerPlace::words());
            review.mistake(&at, Mistake::new("`caller_in` is an empty array", instead));
        } else if !self.caller_in.holds(CallerPlace::From) && peer.username.is_none() {
            let what = "`caller_in` leaves From to the account, but there is no `username`";
            review.mistake(&at, Mistake::new(what, "add \"from\" to it, or add `username` and `password`"));
        }
    }
}

impl NumberFormat {
    const WORDS: [(&str, Self); 4] = [
        ("+E.164", Self::PlusE164),
        ("E.164", Self::E164),
        ("00", Self::DoubleZero),
        ("national", Self::National),
    ];

    /// As it stands in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, format)| *format == self).map_or("", |(word, _)| *word)
    }
}

impl CallerPlace {
    const WORDS: [(&str, Self); 7] = [
        ("from", Self::From),
        ("display", Self::Display),
        ("p-asserted-identity", Self::PAssertedIdentity),
        ("p-preferred-identity", Self::PPreferredIdentity),
        ("remote-party-id", Self::RemotePartyId),
        ("diversion", Self::Diversion),
        ("p-charge-info", Self::PChargeInfo),
    ];

    fn words() -> String {
        any_quoted(Self::WORDS.iter().map(|(word, _)| *word))
    }
}

fn parse_place(text: &str) -> Result<CallerPlace, Mistake> {
    let known = CallerPlace::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    known.map(|(_, place)| *place).ok_or_else(|| {
        let what = format!("\"{text}\" in `caller_in` is no place for a caller's number");
        Mistake::new(what, format!("write {}", CallerPlace::words()))
    })
}

fn parse_prefix(text: &str) -> Result<String, Mistake> {
    let dialable = |byte: u8| byte.is_ascii_digit() || byte == b'*' || byte == b'#' || byte == b'+';
    if text.len() > LONGEST_PREFIX || !text.bytes().all(dialable) {
        let what =
            format!("`prefix` has something else than digits, * and # in it, or more than {LONGEST_PREFIX}");
        return Err(Mistake::new(
            what,
            "write what stands in front of every dialled number, such as \"1234\"",
        ));
    }
    Ok(text.to_owned())
}

fn parse_host(key: &str, text: &str) -> Result<Host, Mistake> {
    Host::parse(text.as_bytes()).map_err(|_| {
        let what = format!("`{key}`: \"{text}\" is no host");
        Mistake::new(what, "write a name or an address alone, such as \"acct.carrier.example\"")
    })
}

fn parse_realm(text: &str) -> Result<String, Mistake> {
    parse_user_part("realm", text).map_err(|_| {
        Mistake::new("`realm` is empty, or has spaces in it", "write it as the carrier's challenges do")
    })
}

const LONGEST_PREFIX: usize = 24;
