//! `provider`: what the documentation of each SIP trunk provider asks for, as keys of its `[[trunks]]`.
//!
//! The table holds what the provider states and nothing else: what it leaves open, or publishes as a list
//! that changes, is not here, and the key keeps its usual default. A key in the file wins over the same key
//! here, one by one; `trunkline check --expand` prints what came out.

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
    /// Its keys, in TOML.
    pub keys: &'static str,
    /// Why the ranges in its `allow` may not be all.
    pub more_ranges: Option<&'static str>,
}

/// The provider called `name`.
#[must_use]
pub fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// Every provider there is a preset for.
pub const PROVIDERS: [Provider; 9] = [
    Provider {
        name: "twilio",
        source: "Twilio Elastic SIP Trunking documentation, autumn 2026",
        transports: ANY,
        // Or that of an edge: <trunk>.pstn.<edge>.twilio.com. By a generic edge name, that one
        // goes into outbound_proxy.
        uri: "sip:<trunk>.pstn.twilio.com",
        // One call a second per trunk and region unless raised; refuses headers of its
        // own prefix (error 32113).
        keys: r#"
            allow = ["54.172.60.0/30", "54.244.51.0/30"]
            number_format = "+E.164"
            calls_per_second = 1
            remove_headers = ["X-Twilio-*"]
        "#,
        more_ranges: Some("Twilio calls from a range of each of its edges, and the preset has two of them"),
    },
    Provider {
        name: "telnyx",
        source: "Telnyx SIP trunking documentation, autumn 2026",
        transports: ANY,
        uri: "sip:sip.telnyx.com",
        // Regions US, EU, CA, AU; 50 calls a second per address. The header tells customers of
        // a shared platform apart.
        keys: r#"
            uri = "sip:sip.telnyx.com"
            allow = [
                "192.76.120.10", "64.16.250.10",
                "5.172.39.10", "5.172.39.25",
                "193.108.220.10", "193.108.220.25",
                "103.135.104.10", "103.135.104.25",
            ]
            number_format = "+E.164"
            caller_in = "from"
            calls_per_second = 50
            set_headers = { X-Telnyx-Username = "{username}" }
        "#,
        more_ranges: None,
    },
    Provider {
        name: "vonage",
        source: "Vonage SIP trunking documentation, autumn 2026",
        transports: ANY,
        uri: "sip:<name>.sip-<region>.vonage.com",
        // Its examples are written without "+". Its addresses are a list in its knowledge base.
        keys: r#"
            number_format = "E.164"
            caller_in = "from"
        "#,
        more_ranges: None,
    },
    Provider {
        name: "plivo",
        source: "Plivo Zentrunk documentation, autumn 2026",
        transports: ANY,
        uri: "sip:<id>.zt.plivo.com",
        // It knows no PRACK; two calls a second per account. Its addresses are a list in its documentation.
        keys: r#"
            number_format = "+E.164"
            calls_per_second = 2
            profile = { prack = "strip" }
        "#,
        more_ranges: None,
    },
    Provider {
        name: "bandwidth",
        source: "Bandwidth documentation, autumn 2026",
        transports: &[Transport::Udp, Transport::Tls],
        // A pair of addresses, given to each customer when it begins, for calls in both directions.
        uri: "sip:<address of its SBC>",
        keys: "",
        more_ranges: None,
    },
    Provider {
        name: "sipgate",
        source: "sipgate trunking documentation, autumn 2026",
        transports: ANY,
        uri: "sip:sipconnect.sipgate.de",
        // It wants a registration. From names the SIP-ID, which is the user name; a caller's number with "+"
        // or 00 is dropped without a word. A-law is the law of its country.
        keys: r#"
            uri = "sip:sipconnect.sipgate.de"
            register = true
            caller_format = "E.164"
            caller_in = "p-preferred-identity"
            first_codec = "PCMA"
        "#,
        more_ranges: None,
    },
    Provider {
        name: "voipms",
        source: "general knowledge, autumn 2026; no documented fact differs from the defaults",
        transports: &[Transport::Udp, Transport::Tls],
        // The point of presence that the customer chose.
        uri: "sip:<server>.voip.ms",
        keys: r#"
            first_codec = "PCMU"
        "#,
        more_ranges: None,
    },
    Provider {
        name: "didww",
        source: "no documented fact differs from the defaults, autumn 2026",
        transports: ANY,
        uri: "sip:<host from its user panel>",
        keys: "",
        more_ranges: None,
    },
    Provider {
        name: "generic-pbx",
        source: "RFC 3261; nothing is assumed",
        transports: ANY,
        uri: "sip:<address of the PBX>",
        keys: "",
        more_ranges: None,
    },
];

const ANY: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
