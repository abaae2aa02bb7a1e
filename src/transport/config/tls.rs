//! `[tls]`: our certificate, and whom we believe about the certificates of others.
//!
//! The files are read when the configuration is, so that `trunkline check` finds what is wrong with them;
//! only a `tls:` listener needs any of it, so without one nothing is read.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::crypto::ring;

use super::super::tls::{FileError, Identity, certificates, private_key};
use crate::config::reader::{KeyPath, Mistake, Reader, Review, Section};

/// `[tls]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// PEM file with our certificate, then the authorities between it and a root; relative to the
    /// configuration's folder, like every file here. Default none.
    pub certificate: Option<PathBuf>,
    /// PEM file with the key of `certificate`. Default none.
    pub key: Option<PathBuf>,
    /// PEM file with the authorities that certificates of servers are verified by, or with such a certificate
    /// itself. Default none: the authorities of the system.
    pub ca: Option<PathBuf>,
    /// Whether clients must show a certificate. Default `"off"`.
    pub mtls: Mtls,
    /// PEM file with the authorities that certificates of clients are verified by. Default `ca`.
    pub client_ca: Option<PathBuf>,
}

/// `mtls`: whether whoever connects to us is asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mtls {
    /// `"off"`: not asked.
    #[default]
    Off,
    /// `"request"`: asked; one that is shown must be good.
    Request,
    /// `"require"`: no connection without one.
    Require,
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            certificate: table.file_beside("certificate"),
            key: table.file_beside("key"),
            ca: table.file_beside("ca"),
            mtls: table.choice("mtls", &Mtls::WORDS, Mtls::default()),
            client_ca: table.file_beside("client_ca"),
        }
    }
}

impl Config {
    /// Reads the files and reports what is wrong with them; `here` is the path of this section.
    pub fn check(&self, here: &KeyPath, review: &mut Review<'_>) {
        let (certificate, key) = (here.key("certificate"), here.key("key"));
        match (&self.certificate, &self.key) {
            (Some(chain), Some(private)) => match Identity::read(chain, private, &ring::default_provider()) {
                Ok(identity) => check_dates(identity.valid, chain, &certificate, review),
                Err(error) if error.path() == private => review.mistake(&key, mistake(&error)),
                Err(error) => {
                    review.mistake(&certificate, mistake(&error));
                    if let Err(error) = private_key(private) {
                        review.mistake(&key, mistake(&error));
                    }
                }
            },
            _ if review.is_broken(&certificate) || review.is_broken(&key) => {}
            _ => {
                let listen = KeyPath::root().key("sip").key("listen");
                let at = if review.is_set(here) { here } else { &listen };
                let what = "a tls: listener needs `certificate` and `key` in [tls]";
                review.mistake(at, Mistake::new(what, "name the two PEM files, or take the listener out"));
            }
        }
        check_authorities(self.ca.as_deref(), &here.key("ca"), review);
        check_authorities(self.client_ca.as_deref(), &here.key("client_ca"), review);
    }
}

impl Mtls {
    const WORDS: [(&str, Self); 3] =
        [("off", Self::Off), ("request", Self::Request), ("require", Self::Require)];
}

/// Reports a file of authorities that cannot be used; `at` is where it is named.
pub fn check_authorities(file: Option<&Path>, at: &KeyPath, review: &mut Review<'_>) {
    if let Some(Err(error)) = file.map(certificates) {
        review.mistake(at, mistake(&error));
    }
}

fn check_dates([begins, ends]: [i64; 2], file: &Path, at: &KeyPath, review: &mut Review<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let file = file.display();
    let what = match (ends - now) / DAY {
        _ if now < begins => format!("the certificate in {file} is not valid yet"),
        _ if now > ends => format!("the certificate in {file} has expired"),
        days if days < WARNED_DAYS => format!("the certificate in {file} expires in {days} days"),
        _ => return,
    };
    review.warning(at, Mistake::new(what, "have it renewed; SIGHUP has the file read again"));
}

fn mistake(error: &FileError) -> Mistake {
    Mistake::new(error, error.remedy())
}

const DAY: i64 = 86_400;

/// Days before its end that a certificate is complained about.
const WARNED_DAYS: i64 = 30;
