//! What an INVITE toward a trunk says: its numbers in the trunk's format, the caller in the headers that the
//! trunk reads it from (RFC 3325, RFC 5806, RFC 8496), and the hosts around them.
//!
//! Numbers are rewritten here last, and only here: routing, rules and records go by E.164. What is no number
//! in E.164 (an extension, `*98`, an account name) is written as it stands in every format; the prefix goes
//! in front of what has digits only, since a name is nobody's telephone.

use super::caller::{ANONYMOUS, Caller};
use super::config::{CallerPlace, NumberFormat, Spelling};
use super::headers::Line;
use super::normalise::{Country, is_e164};
use super::steps::Trace;
use super::{Peer, Plan};
use crate::sip::headers::NameAddr;
use crate::sip::uri::{Host, Uri};

/// One target of a call: what its INVITE says, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Request-URI.
    pub uri: Uri,
    /// URI in To.
    pub to: Uri,
    /// Whose addresses are looked up: the outbound proxy, else the peer's own URI.
    pub next_hop: Uri,
    /// Whether the next hop stands in Route.
    pub is_routed: bool,
}

/// The two numbers as they stand in the INVITE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The dialled number: user part of Request-URI and To.
    pub dialled: String,
    /// The caller's, wherever it stands.
    pub caller: String,
    /// User part of From, when that is not the caller: the account.
    account: Option<String>,
    /// Host of From.
    host: Option<Host>,
    /// Display name of From.
    display: Option<String>,
}

impl Target {
    /// Called as it stands.
    pub(super) fn plain(uri: Uri) -> Self {
        Self { to: uri.clone(), next_hop: uri.clone(), is_routed: false, uri }
    }

    /// `number` at the host of `uri`, one of the `callee`'s.
    pub(super) fn of(callee: &Peer, uri: &Uri, number: &str) -> Self {
        let Spelling { request_host, to_host, outbound_proxy, .. } = &callee.spelling;
        let user = Some(number.to_owned());
        let own = Uri { user, password: None, headers: None, user_as_written: None, ..uri.clone() };
        let request = at_host(own, request_host.as_ref());
        Self {
            to: at_host(request.clone(), to_host.as_ref()),
            uri: request,
            next_hop: outbound_proxy.as_ref().unwrap_or(uri).clone(),
            is_routed: outbound_proxy.as_ref().is_some_and(|proxy| proxy.param("lr").is_some()),
        }
    }
}

impl Spelling {
    /// Says which of the hosts of `target` are not those of the uri of `callee`.
    pub(super) fn note_hosts(&self, callee: &Peer, target: &Target, trace: &mut Trace<'_>) {
        if let Some(host) = &self.request_host {
            let rule = "host of the Request-URI: request_host".to_owned();
            trace.note("request host", || (host.to_string(), rule)).by(|| callee.key("request_host"));
        }
        if let Some(host) = &self.to_host {
            trace
                .note("to host", || (host.to_string(), "host of To: to_host".to_owned()))
                .by(|| callee.key("to_host"));
        }
        if let Some(proxy) = &self.outbound_proxy {
            let route = if target.is_routed { ", in Route too" } else { "" };
            trace
                .note("next hop", || (proxy.to_string(), format!("outbound_proxy{route}")))
                .by(|| callee.key("outbound_proxy"));
        }
    }
}

/// A port belongs to the host that it stands behind.
fn at_host(uri: Uri, host: Option<&Host>) -> Uri {
    match host {
        Some(host) => Uri { host: host.clone(), port: None, ..uri },
        None => uri,
    }
}

impl Written {
    /// `number` and `caller` as `callee` wants them.
    pub(super) fn toward(callee: &Peer, number: &str, caller: &Caller, trace: &mut Trace<'_>) -> Self {
        let Spelling { number_format, caller_format, prefix, caller_in, from_host, .. } = &callee.spelling;
        let mut dialled = number_format.write(number, callee.country);
        if dialled.bytes().all(|byte| byte.is_ascii_digit() || b"+*#".contains(&byte)) {
            dialled.insert_str(0, prefix);
        }
        if dialled != number {
            let key = if prefix.is_empty() { "number_format" } else { "prefix" };
            let format = format!("number_format = \"{}\"", number_format.word());
            let rule = if prefix.is_empty() { format } else { format!("{format}, prefix = \"{prefix}\"") };
            trace.note("to as sent", || (dialled.clone(), rule)).by(|| callee.key(key));
        }
        let shown = caller.asserted.as_ref().unwrap_or(&caller.number);
        let shown = caller_format.write(shown, callee.country);
        if shown != caller.number {
            let rule = format!("caller_format = \"{}\"", caller_format.word());
            let key = if caller_format == number_format { "number_format" } else { "caller_format" };
            trace.note("from as sent", || (shown.clone(), rule)).by(|| callee.key(key));
        }
        let account = callee.username().filter(|_| !caller_in.holds(CallerPlace::From));
        if let Some(account) = account {
            let rule = "username: caller_in leaves From to the account".to_owned();
            trace.note("account in From", || (account.to_owned(), rule)).by(|| callee.key("caller_in"));
        }
        if let Some(host) = from_host {
            trace
                .note("from host", || (host.to_string(), "host of From: from_host".to_owned()))
                .by(|| callee.key("from_host"));
        }
        let in_display = caller_in.holds(CallerPlace::Display) && !caller.withheld;
        Self {
            dialled,
            account: account.map(str::to_owned),
            host: from_host.clone(),
            display: if in_display { Some(shown.clone()) } else { caller.display.clone() },
            caller: shown,
        }
    }
}

impl Plan {
    /// From toward the callee, without its tag; `host` and `port` are our address there, for a
    /// peer that wants no other.
    #[must_use]
    pub fn from_header(&self, host: Host, port: Option<u16>) -> NameAddr {
        let Written { account, caller, display, .. } = &self.written;
        if self.withheld && account.is_none() {
            let uri = Uri::sip(Some(&self.from), Host::Name("anonymous.invalid".to_owned()), None);
            return NameAddr { display: Some("Anonymous".to_owned()), uri, params: Vec::new() };
        }
        let (host, port) = self.written.host.clone().map_or((host, port), |host| (host, None));
        let uri = Uri::sip(Some(account.as_ref().unwrap_or(caller)), host, port);
        NameAddr { display: display.clone(), uri, params: Vec::new() }
    }

    /// The headers that `callee` reads the caller's number from, besides From, each with its rule.
    ///
    /// A caller that asked for privacy is named to those only who keep it to themselves (RFC 3325 §7).
    pub(super) fn identities(&self, callee: &Peer, our_host: &Host) -> Vec<Line> {
        if self.written.caller == ANONYMOUS {
            return Vec::new();
        }
        let host = self.written.host.clone().unwrap_or_else(|| our_host.clone());
        let uri = Uri::sip(Some(&self.written.caller), host, None);
        let privacy = if self.withheld { "full" } else { "off" };
        let line = |place: &CallerPlace| {
            Some(match place {
                CallerPlace::From | CallerPlace::Display => return None,
                CallerPlace::PAssertedIdentity => ("P-Asserted-Identity", format!("<{uri}>")),
                CallerPlace::PPreferredIdentity => ("P-Preferred-Identity", format!("<{uri}>")),
                CallerPlace::RemotePartyId => {
                    ("Remote-Party-ID", format!("<{uri}>;party=calling;screen=no;privacy={privacy}"))
                }
                CallerPlace::PChargeInfo => ("P-Charge-Info", format!("<{uri}>")),
                CallerPlace::Diversion if self.diverting.is_some() => return None,
                CallerPlace::Diversion => ("Diversion", format!("<{uri}>;reason=unconditional")),
            })
        };
        let places = callee.spelling.caller_in.0.iter().filter_map(line);
        places.map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes())).collect()
    }
}

impl NumberFormat {
    /// `number` in this format, if it is one in E.164; `country` is what national numbers belong to.
    fn write(self, number: &str, country: Country) -> String {
        let Some(digits) = number.strip_prefix('+').filter(|digits| is_e164(digits)) else {
            return number.to_owned();
        };
        match self {
            Self::PlusE164 => number.to_owned(),
            Self::E164 => digits.to_owned(),
            Self::DoubleZero => format!("00{digits}"),
            Self::National => country.dial(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Country as CountryConfig;
    use super::*;

    #[test]
    fn a_number_is_written_in_every_format_and_anything_else_as_it_stands() {
        let national = NumberFormat::National;
        for (format, country, number, expected) in [
            (NumberFormat::PlusE164, "US", "+14155550100", "+14155550100"),
            (NumberFormat::E164, "US", "+14155550100", "14155550100"),
            (NumberFormat::DoubleZero, "US", "+14155550100", "0014155550100"),
            (national, "US", "+14155550100", "4155550100"),
            (national, "US", "+442079460958", "011442079460958"),
            (national, "CA", "+14155550100", "4155550100"),
            (national, "DE", "+4930123456", "030123456"),
            (national, "DE", "+14155550100", "0014155550100"),
            (national, "GB", "+442079460958", "02079460958"),
            (national, "IT", "+390612345678", "0612345678"),
            (NumberFormat::E164, "US", "1001", "1001"),
            (NumberFormat::DoubleZero, "US", "*98", "*98"),
            (NumberFormat::E164, "US", "acct", "acct"),
            (NumberFormat::E164, "US", "+911", "+911"),
            (national, "US", "911", "911"),
        ] {
            let country = Country::compile(Some(&CountryConfig(country.to_owned())));

            assert_eq!(format.write(number, country), expected, "{number} as {}", format.word());
        }
    }

    #[test]
    fn without_a_country_nothing_is_national() {
        assert_eq!(NumberFormat::National.write("+14155550100", Country::default()), "+14155550100");
    }
}
