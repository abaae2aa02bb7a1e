//! `[http]`: STUB (the configuration helper completes it).
use crate::config::reader::Secret;
use std::net::SocketAddr;
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub listen: SocketAddr,
    pub token: Option<Secret>,
}
impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), token: None }
    }
}
