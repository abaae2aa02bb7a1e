//! Via: where a request came from, and where its response goes (RFC 3261 §20.42, RFC 3581).
//!
//! `host` and `port` (sent-by) are a claim of the sender; what counts behind NAT is what *we* write into
//! `received` and `rport`.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{HeaderError, lex};
use crate::sip::uri::{Host, UriError, host_port};

/// One Via value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via {
    /// In upper case: `UDP`, `TCP`, `TLS`, or anything else.
    pub transport: String,
    /// Host of sent-by.
    pub host: Host,
    /// Port of sent-by, if written.
    pub port: Option<u16>,
    /// The transaction's identity, if it begins with the magic cookie.
    pub branch: Option<String>,
    /// Source address as some hop saw it; an unreadable one counts as absent.
    pub received: Option<IpAddr>,
    /// None: absent; Some(None): a wish for symmetric response routing; Some(Some): the port that was seen.
    pub rport: Option<Option<u16>>,
    /// Multicast address of the sender's wish. We never follow it.
    pub maddr: Option<Host>,
}

impl Via {
    /// Reads one element of a Via header.
    ///
    /// White space is allowed around `/`, `:`, `;` and `=`. An IPv6 address in `received` may stand with
    /// brackets or without (RFC 5118 §4.5).
    ///
    /// # Errors
    /// [`HeaderError::Bad`] or [`HeaderError::Uri`].
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let bad = |problem| HeaderError::Bad { header: "Via", problem };
        let value = lex::trim(value);
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (sent, params) = value.split_at(end);
        let (transport, sent_by) = protocol(sent).ok_or(bad("not SIP/2.0/transport host"))?;
        let sent_by = without_space_around_colons(sent_by);
        let (host, port) = host_port(&sent_by).map_err(|error| HeaderError::Uri { header: "Via", error })?;
        let mut via = Self {
            transport: String::from_utf8_lossy(transport).to_ascii_uppercase(),
            host,
            port,
            branch: None,
            received: None,
            rport: None,
            maddr: None,
        };
        for (name, value) in lex::params(params) {
            if !lex::is_token(name) {
                return Err(bad("parameter without a name"));
            }
            via.set(name, value).map_err(bad)?;
        }
        Ok(via)
    }

    fn set(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), &'static str> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        if name.eq_ignore_ascii_case(b"branch") {
            let branch = value.filter(|value| lex::is_token(value)).ok_or("branch is not a token")?;
            if branch.eq_ignore_ascii_case(crate::id::MAGIC_COOKIE.as_bytes()) {
                return Err("branch has nothing after z9hG4bK");
            }
            if self.branch.replace(text(branch)).is_some() {
                return Err("branch stands twice");
            }
        } else if name.eq_ignore_ascii_case(b"rport") {
            self.rport = Some(match value {
                None | Some(b"") => None,
                Some(digits) => Some(lex::number(digits).ok_or("rport is not a port")?),
            });
        } else if name.eq_ignore_ascii_case(b"received") {
            self.received = value.and_then(received);
        } else if name.eq_ignore_ascii_case(b"maddr") {
            self.maddr = value.and_then(|value| Host::parse(value).ok());
        }
        Ok(())
    }
}

/// The transport and the rest behind `SIP / 2.0 / transport`.
fn protocol(sent: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = memchr::memchr(b'/', sent)?;
    let (name, rest) = (lex::trim(&sent[..slash]), &sent[slash + 1..]);
    let slash = memchr::memchr(b'/', rest)?;
    let (version, rest) = (lex::trim(&rest[..slash]), lex::trim(&rest[slash + 1..]));
    let end = rest.iter().position(|&byte| lex::is_space(byte))?;
    let (transport, sent_by) = rest.split_at(end);
    let is_ours = name.eq_ignore_ascii_case(b"SIP") && version == b"2.0" && lex::is_token(transport);
    is_ours.then(|| (transport, lex::trim(sent_by)))
}

fn without_space_around_colons(sent_by: &[u8]) -> Cow<'_, [u8]> {
    if !sent_by.iter().any(|&byte| lex::is_space(byte)) {
        return Cow::Borrowed(sent_by);
    }
    let mut joined = Vec::with_capacity(sent_by.len());
    for (at, piece) in sent_by.split(|&byte| byte == b':').enumerate() {
        if at > 0 {
            joined.push(b':');
        }
        joined.extend_from_slice(lex::trim(piece));
    }
    Cow::Owned(joined)
}

fn received(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value).ok()?;
    match Host::parse(value) {
        Ok(host) => host.ip(),
        Err(UriError::Host) => text.parse().ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_read_with_white_space_around_separators() {
        let via = Via::parse(
            b"sip / 2.0 / udp\t[2001:DB8::1] : 5070 ;branch = z9hG4bKx; \
              RPORT=5071;received=192.0.2.1;maddr=h.example;x=\"a;b\"",
        )
        .unwrap();

        assert_eq!((via.transport.as_str(), via.port), ("UDP", Some(5070)));
        assert_eq!(via.host.to_string(), "[2001:db8::1]");
        assert_eq!(via.branch.as_deref(), Some("z9hG4bKx"));
        assert_eq!((via.rport, via.received), (Some(Some(5071)), Some([192, 0, 2, 1].into())));
        assert_eq!(via.maddr, Some(Host::Name("h.example".into())));
    }

    #[test]
    fn rport_without_a_value_is_a_wish_and_unknown_transports_pass() {
        let via = Via::parse(b"SIP/2.0/QUIC-2 h.example;rport;branch=z9hG4bKx").unwrap();

        assert_eq!((via.rport, via.transport.as_str()), (Some(None), "QUIC-2"));
    }

    #[test]
    fn an_ipv6_address_in_received_needs_no_brackets() {
        for received in ["2001:db8::9:255", "[2001:db8::9:255]"] {
            let via = Via::parse(format!("SIP/2.0/UDP h.example;received={received}").as_bytes()).unwrap();

            assert_eq!(via.received, Some("2001:db8::9:255".parse().unwrap()));
        }
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for value in [
            "",
            "SIP/2.0/UDP",
            "SIP/3.0/UDP h.example",
            "HTTP/2.0/UDP h.example",
            "SIP/2.0/UDP h.example;;branch=z9hG4bKx",
            "SIP/2.0/UDP h.example;branch=z9hG4bK",
            "SIP/2.0/UDP h.example;branch=",
            "SIP/2.0/UDP h.example;branch=z9hG4bKx;branch=z9hG4bKy",
            "SIP/2.0/UDP h.example;rport=99999",
            "SIP/2.0/UDP 2001:db8::1;branch=z9hG4bKx",
            "SIP/2.0/UDP h.example 5060",
        ] {
            assert!(Via::parse(value.as_bytes()).is_err(), "{value}");
        }
    }
}
