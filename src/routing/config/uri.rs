//! `uri`, `registrar`, `outbound_proxy` and the addresses in `fallback`: where requests to a peer go.
//!
//! What stands before an `@` is never repeated in a mistake: it may be a password.

use std::net::Ipv6Addr;

use crate::config::reader::Mistake;
use crate::sip::uri::{Host, Scheme, Uri, UriError};

/// The URI of a peer, which stands at `key`: without a user part, for the dialled number goes there.
pub(super) fn parse_uri(key: &str, text: &str) -> Result<Uri, Mistake> {
    let uri = Uri::parse(text.as_bytes()).map_err(|error| unreadable(key, text, &error))?;
    let refuse = |what: &str, instead: &str| Err(Mistake::new(format!("`{key}` {what}"), instead));
    if uri.scheme == Scheme::Tel {
        return refuse("is a telephone number", LIKE);
    }
    if uri.user.is_some() || uri.password.is_some() {
        return refuse(
            "has a user part, but the dialled number goes there",
            "take out what stands before the @",
        );
    }
    if uri.headers.is_some() {
        return refuse("has headers", "take out the ? and what follows");
    }
    if matches!(uri.host, Host::Ip(address) if address.is_unspecified() || address.is_multicast()) {
        return refuse("holds an address that nobody can be reached at", "write the peer's address");
    }
    match (uri.scheme, uri.transport().as_deref()) {
        (_, None | Some("tcp" | "tls")) | (Scheme::Sip, Some("udp")) => Ok(uri),
        (Scheme::Sips, Some(other)) => {
            refuse(&format!("asks for TLS and for transport \"{other}\""), "write sips: without ;transport=")
        }
        (_, Some(other)) => refuse(
            &format!("asks for transport \"{other}\""),
            "write ;transport=tcp, ;transport=tls or ;transport=udp",
        ),
    }
}

fn unreadable(key: &str, text: &str, error: &UriError) -> Mistake {
    let (what, instead) = match error {
        UriError::NoScheme | UriError::UnknownScheme(_) => {
            let is_host = !text.is_empty() && !text.contains(['@', ' ', '/']);
            let instead = if is_host { format!("write \"sip:{text}\"") } else { LIKE.to_owned() };
            ("does not begin with \"sip:\"".to_owned(), instead)
        }
        UriError::Character(b'<' | b'>') => {
            ("has < or > in it".to_owned(), "write what is yours in place of <…>".to_owned())
        }
        UriError::Character(b' ') => ("has a space in it".to_owned(), "take the space out".to_owned()),
        UriError::Port => (
            "has a port that is none".to_owned(),
            "write a number below 65536, or none for the usual one".to_owned(),
        ),
        UriError::Host if let Some(bracketed) = bracketed(text) => {
            ("has an IPv6 address without brackets".to_owned(), format!("write \"{bracketed}\""))
        }
        error => (format!("can't be read: {error}"), LIKE.to_owned()),
    };
    Mistake::new(format!("`{key}` {what}"), instead)
}

/// `text` with brackets around the IPv6 address that is its host.
fn bracketed(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let end = rest.find([';', '?']).unwrap_or(rest.len());
    let (host, behind) = rest.split_at(end);
    host.parse::<Ipv6Addr>().is_ok().then(|| format!("{scheme}:[{host}]{behind}"))
}

const LIKE: &str = "write it like \"sip:carrier.example:5060;transport=tcp\"";
