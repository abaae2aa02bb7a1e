//! `register`, `register_expires_s` and `registrar`: a trunk that must be told where we are.
//!
//! The registrar is the trunk's own `uri` unless it is named, and the account is its `username`. Calls that
//! come to the registered Contact are the trunk's from wherever they come, so such a trunk needs no `allow`.

use super::peer::PeerConfig;
use super::spelling::Spelling;
use super::uri::parse_uri;
use crate::config::reader::{KeyPath, Mistake, Reader, Review};
use crate::sip::auth::{Credentials, contact_user};
use crate::sip::registration::Account;
use crate::sip::uri::{Host, Uri};

/// Whether and where a trunk is registered at.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterConfig {
    /// Key `register`. Default `false`.
    pub register: bool,
    /// Key `register_expires_s`: for how long a registration is asked for. Default `3600`.
    pub expires_s: u32,
    /// Key `registrar`: where, tried in order. Default none: the trunk's `uri`.
    pub registrars: Vec<Uri>,
}

impl Default for RegisterConfig {
    fn default() -> Self {
        Self { register: false, expires_s: 3_600, registrars: Vec::new() }
    }
}

impl RegisterConfig {
    pub(super) fn read(table: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        Self {
            register: table.flag("register", defaults.register),
            expires_s: table.whole("register_expires_s", defaults.expires_s, 60..=86_400),
            registrars: table
                .one_or_list("registrar", |text| parse_uri("registrar", text))
                .unwrap_or_default(),
        }
    }

    pub(super) fn check(&self, peer: &PeerConfig, here: &KeyPath, review: &mut Review<'_>) {
        let register = here.key("register");
        let keys = ["register", "registrar", "username", "password"];
        let is_broken = keys.iter().any(|key| review.is_broken(&here.key(key)));
        if is_broken {
            return;
        }
        if self.register && (peer.username.is_none() || peer.password.is_none()) {
            let what = "`register` is true, but there are no credentials to register with";
            review.mistake(&register, Mistake::new(what, "add `username` and `password`"));
        }
        if self.register && review.is_set(&here.key("registrar")) && self.registrars.is_empty() {
            let what = "`registrar` is an empty array";
            let instead = "name at least one, or take the key out: it is `uri` then";
            review.mistake(&here.key("registrar"), Mistake::new(what, instead));
        }
        if !self.register && review.is_set(&here.key("registrar")) {
            let what = "`registrar` has no effect without register = true";
            review.warning(&here.key("registrar"), Mistake::new(what, "add register = true, or take it out"));
        }
    }

    /// Where REGISTERs go, for a trunk with this `uri`.
    pub fn targets<'a>(&'a self, uris: &'a [Uri]) -> &'a [Uri] {
        if self.registrars.is_empty() { uris } else { &self.registrars }
    }

    /// What is registered, if anything is.
    pub(in crate::routing) fn account(
        &self,
        peer: &PeerConfig,
        spelling: &Spelling,
        credentials: Option<&Credentials>,
    ) -> Option<Account> {
        let credentials = credentials.filter(|_| self.register)?.clone();
        let registrars = self.targets(&peer.uris).to_vec();
        let domain = registrars.first()?;
        let (user, host) = match credentials.username.split_once('@') {
            Some((user, host)) => (user, Host::parse(host.as_bytes()).ok()),
            None => (credentials.username.as_str(), None),
        };
        let host = host.unwrap_or_else(|| domain.host.clone());
        let address = Uri { scheme: domain.scheme, ..Uri::sip(Some(user), host, None) };
        let contact_user = contact_user(&credentials, &peer.name);
        let (realm, proxy) = (spelling.realm.clone(), spelling.outbound_proxy.clone());
        let expires_s = self.expires_s;
        Some(Account { registrars, address, credentials, realm, proxy, contact_user, expires_s })
    }
}
