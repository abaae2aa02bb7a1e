//! `[media]`: STUB (the configuration helper completes it).
use std::net::IpAddr;
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub listen: Vec<IpAddr>,
    /// Empty: `[sip].advertise`, else the address itself.
    pub advertise: Vec<IpAddr>,
    pub ports: [u16; 2],
    pub silence_timeout_s: u32,
}
impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![IpAddr::from([0, 0, 0, 0])],
            advertise: vec![],
            ports: [20_000, 29_999],
            silence_timeout_s: 60,
        }
    }
}
