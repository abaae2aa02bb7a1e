//! `[[retell]]`, `[[trunks]]`, `[[numbers]]`, `[extensions]` and `[headers]`: STUB (the configuration helper completes `read`).
use crate::config::reader::Secret;
use crate::sip::uri::Uri;
use ipnet::IpNet;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    pub retell: Vec<RetellConfig>,
    pub trunks: Vec<TrunkConfig>,
    pub numbers: Vec<NumberConfig>,
    /** In file order. */
    pub extensions: Vec<(String, String)>,
    pub headers: HeadersConfig,
}

/// Keys that both kinds of peer have.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    pub name: String,
    /// One or more, in order.
    pub uris: Vec<Uri>,
    pub allow: Vec<IpNet>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub challenge: bool,
    /// 0: never.
    pub answer_timeout_s: u32,
    pub trust_address: bool,
    pub force_rport: bool,
    pub tcp_for_large: bool,
    pub called_number: CalledNumber,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledNumber {
    RequestUri,
    To,
    PCalledPartyId,
}
#[derive(Clone, Debug, PartialEq)]
pub struct RetellConfig {
    pub peer: PeerConfig,
    pub allow_emergency: bool,
}
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkConfig {
    pub peer: PeerConfig,
    pub country: Option<Country>,
    pub caller_id: CallerId,
    pub foreign_caller: ForeignCaller,
}
/// As written: "US", "DE" or a calling code "1", "49" (validated by the phone-number library).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Country(pub String);
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerId {
    /** Neither key. */
    FromCall,
    Fixed(String),
    Rotating(Vec<String>),
    /** caller_id = "anonymous" */
    Withheld,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignCaller {
    Replace,
    Keep,
    Diversion,
}
#[derive(Clone, Debug, PartialEq)]
pub struct NumberConfig {
    /** `+1415555*` is a prefix. */
    pub number: String,
    pub retell: Option<String>,
    pub trunk: Option<String>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct HeadersConfig {
    pub pass: Vec<String>,
    pub rules: Vec<RuleConfig>,
}
impl Default for HeadersConfig {
    fn default() -> Self {
        Self {
            pass: ["X-*", "User-to-User", "Diversion", "History-Info", "Privacy"].map(String::from).to_vec(),
            rules: vec![],
        }
    }
}
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    pub toward: Toward,
    /** Values are templates: {from} {to} {trunk} {call_id} {header:X}. */
    pub set: Vec<(String, String)>,
    pub remove: Vec<String>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toward {
    Peer(String),
    AllTrunks,
    AllRetell,
}
