//! Hosts and ports of URIs and of the Via header (RFC 3261 §25.1 `hostport`, RFC 5954).
//!
//! An IPv6 address stands in brackets wherever a port may follow: without them
//! `2001:db8::1:5060` has two meanings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{UriError, split_once};

/// A host name in lower case, or an address.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Host {
    /// To be resolved; in lower case.
    Name(String),
    /// An address literal; IPv6 without its brackets.
    Ip(IpAddr),
}

impl Host {
    /// Reads a host name, an IPv4 address or a bracketed IPv6 reference.
    ///
    /// `:::`, which the grammar of RFC 3261 allows by mistake, is read as `::` (RFC 5118 §4.10).
    ///
    /// # Errors
    /// [`UriError::Host`].
    pub fn parse(text: &[u8]) -> Result<Self, UriError> {
        let text = std::str::from_utf8(text).map_err(|_| UriError::Host)?;
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or(UriError::Host)?;
            return ipv6(address).map(|ip| Self::Ip(ip.into())).ok_or(UriError::Host);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        if is_name(text) { Ok(Self::Name(text.to_ascii_lowercase())) } else { Err(UriError::Host) }
    }

    /// The address, if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// `host[:port]`.
pub(crate) fn host_port(text: &[u8]) -> Result<(Host, Option<u16>), UriError> {
    let after_host = if text.starts_with(b"[") {
        memchr::memchr(b']', text).ok_or(UriError::Host)? + 1
    } else {
        memchr::memchr(b':', text).unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(after_host);
    let host = Host::parse(host)?;
    match split_once(rest, b':') {
        Some((b"", digits)) => Ok((host, Some(port(digits)?))),
        Some(_) => Err(UriError::Host),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(UriError::Host),
    }
}

/// An IPv6 address without brackets.
pub(crate) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| text.contains(":::").then(|| text.replacen(":::", "::", 1).parse().ok())?)
}

fn port(digits: &[u8]) -> Result<u16, UriError> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten();
    number.filter(|&port| port != 0).ok_or(UriError::Port)
}

/// Letters, digits, `-` and the `_` that some networks use; the last label is no number,
/// or it would be an address.
fn is_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = labels.rsplit('.').next().unwrap_or_default();
    labels.len() <= 253 && labels.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_ipv6_reference_stands_behind_its_bracket() {
        let (inside, _) = host_port(b"[2001:db8::10:5070]").unwrap();
        let (outside, port) = host_port(b"[2001:db8::10]:5070").unwrap();

        assert_eq!(inside.to_string(), "[2001:db8::10:5070]");
        assert_eq!((outside.to_string().as_str(), port), ("[2001:db8::10]", Some(5070)));
    }

    #[test]
    fn a_mapped_ipv4_address_and_the_three_colons_of_rfc_3261_are_read() {
        assert_eq!(Host::parse(b"[::ffff:192.0.2.10]").unwrap().to_string(), "[::ffff:192.0.2.10]");
        assert_eq!(
            Host::parse(b"[2001:db8:::192.0.2.1]").unwrap(),
            Host::parse(b"[2001:db8::c000:201]").unwrap()
        );
    }

    #[test]
    fn a_host_that_is_neither_name_nor_address_is_refused() {
        for text in
            ["", ".", "a..b", "1.2.3", "a b", "-é", "[::1", "::1", "[192.0.2.1]", "[::1]x", "h:5x", "h:"]
        {
            assert!(host_port(text.as_bytes()).is_err(), "{text}");
        }
    }
}
