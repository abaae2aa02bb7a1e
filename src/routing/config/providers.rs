//! `provider`: what the documentation of each SIP trunk provider asks for, as keys of its `[[trunks]]`.
//!
//! The table holds what the provider states and nothing else: what it leaves open, or publishes as a list
//! that changes, is not here, and the key keeps its usual default. What is only commonly known says so. A key
//! in the file wins over the same key here, one by one; `trunkline check --expand` prints what came out, with
//! the comments in [`Provider::keys`] and everything that [`Provider::facts`] tells.

use crate::config::reader::any_of;
use crate::sip::flow::Transport;

/// One provider.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// As `provider` names it.
    pub name: &'static str,
    /// Where these facts come from, and when they were read.
    pub source: &'static str,
    /// What it speaks SIP by.
    pub transports: &'static [Transport],
    /// What its `uri` is like, where the customer has one of his own.
    pub uri: &'static str,
    /// Its keys, in TOML, with comments that say why.
    pub keys: &'static str,
    /// Why the ranges in its `allow` may not be all.
    pub more_ranges: Option<&'static str>,
    /// What it makes of REFER (RFC 3515): whether it takes any, with which targets and headers. `None` where
    /// it does not say.
    pub refer: Option<&'static str>,
    /// What else it says that no key can do for the customer: one sentence each.
    pub notes: &'static [&'static str],
}

impl Provider {
    /// What is known of it beside its keys, one line each, and where all of it comes from.
    pub fn facts(&self) -> impl Iterator<Item = String> {
        let transports: Vec<_> = self.transports.iter().map(|transport| transport.via().to_owned()).collect();
        let facts = [
            format!("Of provider \"{}\"; source: {}.", self.name, self.source),
            format!("uri: {}, by {}.", self.uri, any_of(&transports)),
            format!("REFER: {}.", self.refer.unwrap_or("nothing is said of it")),
        ];
        let more = self.more_ranges.map(|why| format!("allow: {why}."));
        facts.into_iter().chain(more).chain(self.notes.iter().map(|note| format!("{note}.")))
    }
}

/// The provider called `name`.
#[must_use]
pub fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// Every provider there is a preset for.
pub const PROVIDERS: [Provider; 9] =
    [TWILIO, TELNYX, VONAGE, PLIVO, BANDWIDTH, SIPGATE, VOIPMS, DIDWW, GENERIC_PBX];

const TWILIO: Provider = Provider {
    name: "twilio",
    source: "Twilio Elastic SIP Trunking documentation, autumn 2026",
    transports: ANY,
    uri: "sip:<trunk>.pstn.twilio.com",
    keys: r#"
        allow = ["54.172.60.0/30", "54.244.51.0/30"]
        number_format = "+E.164"
        # For a trunk in one region, beyond it 32001; up to 15 by one's own choice, 30 at most to one address.
        calls_per_second = 1
        # A header of its own prefix is refused (32113).
        remove_headers = ["X-Twilio-*"]
    "#,
    more_ranges: Some("Twilio calls from a range of each of its edges, and the preset has two of them"),
    refer: Some(
        "to be enabled for the trunk, and transfers to the PSTN apart from that; Refer-To is a tel URI or a \
         number at the trunk's own domain (403 for an address); its custom headers are ignored; who sent it \
         hangs up at the last NOTIFY, else there is no audio for 32 s",
    ),
    notes: &[
        "uri: an edge of one's own is <trunk>.pstn.<edge>.twilio.com; through pstn.<edge>.twilio.com, which \
         alone has NAPTR and SRV, write that into outbound_proxy",
        "Credentials: a list of addresses (else 32201), user name and password, or both",
        "Caller: one's own or a verified number",
        "Codecs: G.711. Digits: RFC 4733. TLS: 1.2 or later",
        "Media: 168.86.128.0/18, UDP 10000 to 60000",
        "Calls a second: above 15 only for calls that last 30 s on average, of which seven in ten are \
         answered and at most one in ten ends within 12 s",
        "Its calls try our addresses by priority and weight; 32011 says that one was silent, slow or \
         answered 5xx. Such an address may bear an edge parameter",
        "Refused: Max-Forwards below 20 (32006), custom headers other than X- (32113), what looks like fraud \
         (603 with X-Twilio-Error 32203), calls beyond the account's rate (32012)",
    ],
};

const TELNYX: Provider = Provider {
    name: "telnyx",
    source: "Telnyx SIP trunking documentation, autumn 2026",
    transports: ANY,
    uri: "sip:sip.telnyx.com",
    keys: r#"
        uri = "sip:sip.telnyx.com"
        # Regions US, EU, CA and AU.
        allow = [
            "192.76.120.10", "64.16.250.10",
            "5.172.39.10", "5.172.39.25",
            "193.108.220.10", "193.108.220.25",
            "103.135.104.10", "103.135.104.25",
        ]
        number_format = "+E.164"
        # Or P-Asserted-Identity or Remote-Party-ID; one that is not the account's is refused (403 "D35").
        caller_in = "from"
        # From one address.
        calls_per_second = 50
        # Tells customers of a shared platform apart.
        set_headers = { X-Telnyx-Username = "{username}" }
    "#,
    more_ranges: None,
    refer: Some("supported on request (general knowledge)"),
    notes: &[
        "uri: Europe, Australia and Canada have hosts of their own; NAPTR and SRV name both addresses, A the \
         first alone",
        "Credentials: user name and password, addresses, or addresses with X-Telnyx-Token, a prefix of four \
         digits or P-Charge-Info",
        "SRTP: off unless enabled there. TLS: 1.2 or later; its calls come by TLS to connections by address \
         or host name only",
        "Codecs: G.711, G.722, G.729, Opus (general knowledge). Digits: RFC 2833",
        "Media: the subnets that it publishes, UDP 16384 to 32768",
        "Refused: 403, 404 or 480 with a code of its own that begins with D; calls beyond the channels of \
         connection, profile or account",
        "Its calls try our second address after 408, 480, 503, 504 or none, not after 404, 486 or 603",
    ],
};

const VONAGE: Provider = Provider {
    name: "vonage",
    source: "Vonage SIP trunking documentation, autumn 2026; transports: general knowledge",
    transports: ANY,
    uri: "sip:<name>.sip-<region>.vonage.com",
    keys: r#"
        # As its examples write them.
        number_format = "E.164"
        caller_in = "from"
    "#,
    more_ranges: None,
    refer: None,
    notes: &[
        "uri: older accounts have sip.nexmo.com; where it has SRV records, they balance",
        "allow: its knowledge base lists the addresses",
        "Credentials: user name and password, or addresses. What it is told of us is a host alone: it puts \
         the number in front",
        "Codecs: PCMA, PCMU, iLBC, G.729 without annex B, G.722, Speex. Digits: RFC 4733, never in the audio",
        "Media: from any address, UDP 10000 to 20000 (of an older page). Calls a second: of the account \
         (general knowledge)",
        "Its calls try a list of addresses by priority, each for a time of its own",
    ],
};

const PLIVO: Provider = Provider {
    name: "plivo",
    source: "Plivo Zentrunk documentation, autumn 2026",
    transports: ANY,
    uri: "sip:<id>.zt.plivo.com",
    keys: r#"
        number_format = "+E.164"
        # Of the account, beyond it calls wait; beyond a trunk's own rate they fail at once.
        calls_per_second = 2
        # It knows no PRACK.
        profile = { prack = "strip" }
    "#,
    more_ranges: None,
    refer: Some("taken; NOTIFY is not among its methods"),
    notes: &[
        "allow: its documentation lists the addresses",
        "Credentials: addresses, user name and password, or both",
        "Caller: one's own or a verified number (general knowledge)",
        "Methods: ACK, BYE, CANCEL, INVITE, OPTIONS, REFER and UPDATE; no INFO, MESSAGE, NOTIFY, PRACK or \
         REGISTER",
        "Codecs: PCMA and PCMU alone. Digits: RFC 2833. SRTP: with TLS",
        "Media: UDP 10000 to 30000. Its calls try a primary address, then a fallback",
        "Premium-rate prefixes are blocked until asked for; more short calls (6 s or less) than one in \
         five cost extra",
    ],
};

const BANDWIDTH: Provider = Provider {
    name: "bandwidth",
    source: "Bandwidth documentation, autumn 2026; TLS, formats and codecs: general knowledge",
    transports: &[Transport::Udp, Transport::Tls],
    uri: "sip:<address of its SBC>",
    keys: "",
    more_ranges: None,
    refer: Some("a verb of its own programs (BXML), for calls to SIP URIs"),
    notes: &[
        "uri and allow: the pair of addresses that each customer is given; write both",
        "Credentials: addresses; user name and password for the product of SIP URIs",
        "Numbers: +E.164. Caller: in From or P-Asserted-Identity (both general knowledge)",
        "Codecs: G.711, G.729 (general knowledge). Digits: RFC 2833",
        "Media: many addresses, UDP 1024 to 64000. Calls a second: by contract. Where the first address \
         fails, the second of the pair stands in",
    ],
};

const SIPGATE: Provider = Provider {
    name: "sipgate",
    source: "sipgate trunking documentation, autumn 2026; transports and codecs: general knowledge",
    transports: ANY,
    uri: "sip:sipconnect.sipgate.de",
    keys: r#"
        uri = "sip:sipconnect.sipgate.de"
        # With the SIP-ID as username, such as 1234567t0.
        register = true
        # With "+" or 00 it is dropped without a word.
        caller_format = "E.164"
        # From names the SIP-ID. The display name of From would do too.
        caller_in = "p-preferred-identity"
        # The law of its country.
        first_codec = "PCMA"
    "#,
    more_ranges: None,
    refer: None,
    notes: &[
        "Caller: withheld by Privacy: id; forwarded calls name who was called first in Diversion",
        "Codecs: G.711 A-law, G.722. Digits: RFC 2833 (all general knowledge)",
        "Calls at once: as the product says; write it into max_calls",
    ],
};

const VOIPMS: Provider = Provider {
    name: "voipms",
    source: "general knowledge, autumn 2026",
    transports: &[Transport::Udp, Transport::Tls],
    uri: "sip:<server>.voip.ms",
    keys: r#"
        # 10 digits, and 011 before the numbers of other countries.
        number_format = "national"
        first_codec = "PCMU"
    "#,
    more_ranges: None,
    refer: None,
    notes: &[
        "uri: the server that the account was set to; allow: the addresses of the servers",
        "Credentials: register = true with those of the sub-account, or addresses; then it shows no \
         registration",
        "Codecs: G.711 \u{b5}-law, G.729. Digits: as the account says. TLS and SRTP: if the sub-account has \
         them",
    ],
};

const DIDWW: Provider = Provider {
    name: "didww",
    source: "no documented fact differs from the defaults, autumn 2026",
    transports: ANY,
    uri: "sip:<host from its user panel>",
    keys: "",
    more_ranges: None,
    refer: None,
    notes: &[],
};

const GENERIC_PBX: Provider = Provider {
    name: "generic-pbx",
    source: "RFC 3261; nothing is assumed",
    transports: ANY,
    uri: "sip:<address of the PBX>",
    keys: "",
    more_ranges: None,
    refer: None,
    notes: &[],
};

const ANY: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
