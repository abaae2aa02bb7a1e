//! `[tls]` and what belongs to it, as `trunkline check` sees it: each mistake with its place and its remedy,
//! and never a byte of a key.

#![allow(clippy::unwrap_used)]

#[path = "support/certificates.rs"]
mod certificates;

use std::path::Path;

use certificates::{Authority, Issued, write};
use tempfile::TempDir;
use trunkline::config;

#[test]
fn good_files_beside_the_configuration_are_read_from_there() {
    let site = Site::new();

    assert_eq!(site.problems(TLS), [""; 0]);
}

#[test]
fn a_listener_without_certificate_or_key_is_refused_where_it_stands() {
    let site = Site::new();

    assert_eq!(
        site.problems(""),
        ["2:10: a tls: listener needs `certificate` and `key` in [tls]; \
          name the two PEM files, or take the listener out"]
    );
    assert_eq!(
        site.problems("[tls]\ncertificate = \"own.pem\"\n"),
        ["3:1: a tls: listener needs `certificate` and `key` in [tls]; \
          name the two PEM files, or take the listener out"]
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let site = Site::new();
    let other = site.authority.issue(&["other.example"]);
    site.write("other.key", &other.key);
    site.write("encrypted.key", ENCRYPTED);
    site.write("empty.pem", "");
    site.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let unreadable = "can't be read: No such file or directory (os error 2); \
                      name a PEM file that trunkline may read";
    let no_certificate = "holds no certificate; name a PEM file with -----BEGIN CERTIFICATE----- in it";
    let no_key = "holds no private key; name a PEM file with -----BEGIN PRIVATE KEY----- in it";
    let encrypted = "is encrypted; decrypt it: openssl pkey -in encrypted.pem -out key.pem";
    let mismatch = "does not belong to the certificate; name the certificate of this key; in a chain it \
                    stands first, \
                    before the authorities";
    for (from, to, place, what) in [
        ("own.pem", "missing.pem", "4:15: ", unreadable),
        ("own.key", "missing.key", "5:7: ", unreadable),
        ("own.pem", "empty.pem", "4:15: ", no_certificate),
        ("own.pem", "broken.pem", "4:15: ", no_certificate),
        ("own.key", "own.pem", "5:7: ", no_key),
        ("own.key", "encrypted.key", "5:7: the key in ", encrypted),
        ("own.key", "other.key", "5:7: the key in ", mismatch),
        ("ca.pem", "empty.pem", "6:6: ", no_certificate),
    ] {
        let problems = site.problems(&TLS.replace(from, to));

        assert_eq!(problems, [format!("{place}{} {what}", site.folder.path().join(to).display())]);
        let (secret, _) = other.key.split_once("\n-----END").unwrap();
        assert!(!problems[0].contains(&secret[secret.len() - 16..]));
    }
}

#[test]
fn both_files_are_named_where_neither_can_be_used() {
    let site = Site::new();

    let problems = site.problems(&TLS.replace("own.pem", "missing.pem").replace("own.key", "missing.key"));

    let places: Vec<_> = problems.iter().map(|problem| &problem[..5]).collect();
    assert_eq!(places, ["4:15:", "5:7: "], "{problems:?}");
}

#[test]
fn a_peers_own_authorities_are_read_too() {
    let site = Site::new();
    let text = TLS.to_owned() + PEERS;

    let problems = site.problems_of(&(LISTEN.to_owned() + &text + "tls_ca = \"missing.pem\"\n"));

    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("17:10: ") && problems[0].contains("missing.pem can't be read"),
        "{problems:?}"
    );
}

#[test]
fn a_certificate_that_is_over_is_a_warning() {
    let site = Site::new();
    let expired = site.authority.issue_expired(&["bridge.example"]);
    expired.write(site.folder.path(), "own");

    let own = site.folder.path().join("own.pem");
    let expected = format!(
        "4:15: warning: the certificate in {} has expired; have it renewed; SIGHUP has the file read again",
        own.display()
    );
    assert_eq!(site.warnings(TLS), [expected]);
}

#[test]
fn a_certificate_that_is_nearly_over_is_a_warning() {
    let site = Site::new();
    for (days, expected) in [(31, 0), (29, 1)] {
        site.authority.issue_for_days(&["bridge.example"], days).write(site.folder.path(), "own");

        let warnings = site.warnings(TLS);

        assert_eq!(warnings.len(), expected, "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("expires in 29 days")), "{warnings:?}");
    }
}

#[test]
fn a_peer_that_wants_tls_needs_a_listener_for_it() {
    let site = Site::new();
    let wants = |uri: &str| site.warnings_of(&PEERS.replace("sip:carrier.example", uri));

    for uri in ["sip:carrier.example;transport=tls", "sips:carrier.example"] {
        assert_eq!(
            wants(uri),
            ["8:7: warning: no call can go there: [sip].listen has nothing that it could leave by; \
              add \"tls:0.0.0.0:5061\" to [sip].listen, or name another `uri`"]
        );
    }
    assert_eq!(wants("sip:carrier.example;transport=tcp"), [""; 0]);
}

#[test]
fn a_name_that_no_certificate_can_have_is_refused() {
    let site = Site::new();

    let problems = site.problems_of(&(PEERS.to_owned() + "tls_name = \"carrier example\"\n"));

    assert_eq!(
        problems,
        ["11:12: \"carrier example\" is no host; \
          write the name in the peer's certificate, such as \"sip.carrier.example\""]
    );
}

/// A folder with a certificate, its key and its authority.
struct Site {
    folder: TempDir,
    authority: Authority,
}

impl Site {
    fn new() -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("Test"));
        let issued: Issued = authority.issue(&["bridge.example"]);
        issued.write(folder.path(), "own");
        write(folder.path(), "ca.pem", &authority.pem());
        Self { folder, authority }
    }

    fn write(&self, file: &str, text: &str) {
        write(self.folder.path(), file, text);
    }

    /// Of a configuration with a TLS listener, `tls` and two peers.
    fn problems(&self, tls: &str) -> Vec<String> {
        self.problems_of(&(LISTEN.to_owned() + tls + PEERS))
    }

    fn problems_of(&self, text: &str) -> Vec<String> {
        let file = write(self.folder.path(), "config.toml", text);
        shown(&file, config::load(&file, &[]).err().unwrap_or_default())
    }

    fn warnings(&self, tls: &str) -> Vec<String> {
        self.warnings_of(&(LISTEN.to_owned() + tls + PEERS))
    }

    fn warnings_of(&self, text: &str) -> Vec<String> {
        let file = write(self.folder.path(), "config.toml", text);
        shown(&file, config::load(&file, &[]).unwrap().warnings)
    }
}

/// Without the name of the file.
fn shown(file: &Path, problems: Vec<config::reader::Problem>) -> Vec<String> {
    let name = format!("{}:", file.display());
    problems.iter().map(|problem| problem.to_string().strip_prefix(&name).unwrap().to_owned()).collect()
}

const LISTEN: &str = "[sip]\nlisten = [\"tls:0.0.0.0:5061\"]\n";
const TLS: &str = "[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\nca = \"ca.pem\"\n";
const PEERS: &str = include_str!("support/peers.toml");
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
