//! `[http]`: where health, metrics and the API are served.
//!
//! Beyond loopback a token is required, because the API hangs up calls and shows who speaks with whom.

use std::net::SocketAddr;

use crate::config::reader::{KeyPath, Mistake, Reader, Review, Secret, Section};

/// `[http]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Local address and port; port 0 is any free one. Default `"127.0.0.1:8080"`.
    pub listen: SocketAddr,
    /// Token that requests to the API must bear; required when `listen` is not a loopback address. Default
    /// none.
    pub token: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), token: None }
    }
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            listen: table.parsed("listen", parse_listen).unwrap_or(Self::default().listen),
            token: table.secret("token"),
        }
    }
}

impl Config {
    /// Checks fields against each other; `here` is the path of this section.
    pub fn check(&self, here: &KeyPath, review: &mut Review<'_>) {
        let (listen, token) = (here.key("listen"), here.key("token"));
        let open = !self.listen.ip().is_loopback() && self.token.is_none();
        if open && !review.is_broken(&listen) && !review.is_broken(&token) {
            let what = format!("`listen` is {}, beyond loopback, and there is no `token`", self.listen);
            let instead = "add token = \"env:TRUNKLINE_TOKEN\", or listen on 127.0.0.1";
            review.mistake(&listen, Mistake::new(what, instead));
        }
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, Mistake> {
    text.parse().map_err(|_| {
        let what = format!("\"{text}\" is no IP address with a port");
        Mistake::new(what, "write it like \"127.0.0.1:8080\" or \"[::1]:8080\"")
    })
}
