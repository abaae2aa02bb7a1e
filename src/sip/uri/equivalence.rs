//! When two URIs name the same resource (RFC 3261 §19.1.4, RFC 3966 §5).
//!
//! Not transitive, as the RFC itself notes: parameters that only one side has are mostly ignored, so
//! `sip:a@h;x=1` and `sip:a@h;x=2` both equal `sip:a@h`, but not each other.

use super::{Scheme, Uri, escape};

impl Uri {
    /// Compares by RFC 3261 §19.1.4, tel URIs by RFC 3966 §5.
    #[must_use]
    pub fn equivalent(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.same_user(other)
            && self.host == other.host
            && self.port == other.port
            && self.same_params(other)
            && self.same_headers(other)
    }

    fn same_user(&self, other: &Self) -> bool {
        match (self.scheme, &self.user, &other.user) {
            (Scheme::Tel, Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
            _ => self.escaped_user() == other.escaped_user() && self.password == other.password,
        }
    }

    fn same_params(&self, other: &Self) -> bool {
        let one_sided = |name: &str| match self.scheme {
            Scheme::Sip | Scheme::Sips => matches!(name, "user" | "ttl" | "method" | "maddr"),
            Scheme::Tel => true,
        };
        let covers = |one: &Self, two: &Self| {
            one.params.iter().all(|(name, value)| match (two.param(name), value.as_deref()) {
                (Some(Some(theirs)), Some(ours)) => theirs.eq_ignore_ascii_case(ours),
                (Some(theirs), ours) => theirs == ours,
                (None, _) => !one_sided(name),
            })
        };
        covers(self, other) && covers(other, self)
    }

    fn same_headers(&self, other: &Self) -> bool {
        let sorted = |uri: &Self| {
            let mut headers: Vec<_> = uri
                .headers
                .as_deref()
                .unwrap_or_default()
                .split('&')
                .filter(|header| !header.is_empty())
                .map(|header| {
                    let (name, value) = header.split_once('=').unwrap_or((header, ""));
                    let value =
                        escape::unescape(value.as_bytes()).unwrap_or(value.as_bytes().into()).into_owned();
                    (name.to_ascii_lowercase(), value)
                })
                .collect();
            headers.sort();
            headers
        };
        sorted(self) == sorted(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equivalent(one: &str, two: &str) -> bool {
        let read = |text: &str| Uri::parse(text.as_bytes()).unwrap();
        assert_eq!(read(one).equivalent(&read(two)), read(two).equivalent(&read(one)), "{one} {two}");
        read(one).equivalent(&read(two))
    }

    #[test]
    fn uris_that_differ_in_nothing_that_counts_are_equivalent() {
        for (one, two) in [
            ("sip:%61lice@carrier.example;transport=TCP", "sip:alice@CARRIER.example;Transport=tcp"),
            ("sip:carol@carrier.example", "sip:carol@carrier.example;newparam=5"),
            ("sip:carol@carrier.example;a=1;b=2", "sip:carol@carrier.example;b=2;a=1"),
            ("sip:h.example?to=sip%3Aa%40h&Subject=x", "sip:h.example?subject=x&to=sip%3aa%40h"),
            ("tel:+1-415-555-0100", "tel:+1(415)5550100"),
        ] {
            assert!(equivalent(one, two), "{one} {two}");
        }
    }

    #[test]
    fn uris_that_differ_in_what_counts_are_not_equivalent() {
        for (one, two) in [
            ("sip:alice@carrier.example", "sip:ALICE@carrier.example"),
            ("sip:alice@carrier.example", "sips:alice@carrier.example"),
            ("sip:alice@carrier.example", "sip:alice@carrier.example:5060"),
            ("sip:alice@carrier.example;x=1", "sip:alice@carrier.example;x=2"),
            ("sip:alice@carrier.example", "sip:alice@carrier.example;user=phone"),
            ("sip:alice@carrier.example", "sip:alice@carrier.example;maddr=192.0.2.1"),
            ("sip:alice@carrier.example", "sip:alice@carrier.example?Subject=x"),
            ("sip:a%3Bb@carrier.example", "sip:a;b@carrier.example"),
            ("tel:5550100;phone-context=+1", "tel:5550100"),
        ] {
            assert!(!equivalent(one, two), "{one} {two}");
        }
    }
}
