//! `[sip]`: STUB (the configuration helper completes it).
use crate::sip::flow::Transport;
use crate::sip::message::Limits;
use std::net::{IpAddr, SocketAddr};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub transport: Transport,
    pub address: SocketAddr,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub listen: Vec<Listen>,
    /// At most one per address family.
    pub advertise: Vec<IpAddr>,
    /// Keys max_message_bytes, max_line_bytes, max_headers.
    pub limits: Limits,
}
impl Default for Config {
    fn default() -> Self {
        let any = SocketAddr::from(([0, 0, 0, 0], 5060));
        Self {
            listen: vec![
                Listen { transport: Transport::Udp, address: any },
                Listen { transport: Transport::Tcp, address: any },
            ],
            advertise: vec![],
            limits: Limits::default(),
        }
    }
}
