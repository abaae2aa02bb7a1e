//! Who may ask: a bearer token, or without one only this machine.
//!
//! A loopback listener is not private: any web page a user of this machine opens can send requests to it. The
//! Host header unmasks a page whose name was rebound to 127.0.0.1, and a body that must be JSON keeps a plain
//! form from changing anything.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq as _;

use super::connections::Peer;
use super::routes::Failure;

/// The rule in force.
#[derive(Clone)]
pub(super) enum Access {
    /// Whoever presents this token.
    Token(Arc<str>),
    /// Programs on this machine.
    Loopback,
}

impl Access {
    pub(super) fn new(token: Option<String>) -> Self {
        token.map_or(Self::Loopback, |token| Self::Token(token.into()))
    }

    fn check(&self, peer: IpAddr, request: &Request) -> Result<(), Failure> {
        match self {
            Self::Token(_) if OPEN.contains(&request.uri().path()) => Ok(()),
            Self::Token(token) => check_token(token, request.headers()),
            Self::Loopback => check_loopback(peer, request),
        }
    }
}

/// Lets a request through, or answers in its place.
pub(super) async fn admit(
    State(access): State<Access>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let checked = access.check(peer.ip(), &request).and_then(|()| check_length(request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn check_token(token: &str, headers: &HeaderMap) -> Result<(), Failure> {
    let presented = headers.get(AUTHORIZATION).and_then(bearer).unwrap_or_default();
    if bool::from(presented.as_bytes().ct_eq(token.as_bytes())) {
        return Ok(());
    }
    let error = "send the token of [http].token as `Authorization: Bearer <token>`";
    Err(Failure { status: StatusCode::UNAUTHORIZED, error })
}

/// The scheme's name is case-insensitive (RFC 9110 §11.1).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn check_loopback(peer: IpAddr, request: &Request) -> Result<(), Failure> {
    let forbidden = |error| Err(Failure { status: StatusCode::FORBIDDEN, error });
    if !peer.to_canonical().is_loopback() {
        return forbidden("only this machine may ask; set [http].token to open it to others");
    }
    if !names_loopback(request) {
        return forbidden(
            "the Host header must be localhost, 127.0.0.1 or [::1]; set [http].token to allow others",
        );
    }
    if has_body(request.headers()) && !request.method().is_safe() && !is_json(request.headers()) {
        let error = "send the body as `Content-Type: application/json`";
        return Err(Failure { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, error });
    }
    Ok(())
}

/// A request-target in absolute form overrules Host (RFC 9112 §3.2.2), so both must be ours.
fn names_loopback(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    host.is_some_and(|host| is_loopback_name(&host)) && request.uri().authority().is_none_or(is_loopback_name)
}

fn is_loopback_name(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn check_length(headers: &HeaderMap) -> Result<(), Failure> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    if length.is_some_and(|length: u64| length > BODY_BYTES as u64) {
        return Err(Failure {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            error: "the body is longer than 65536 bytes",
        });
    }
    Ok(())
}

/// Also the bound for a body without a length, which is read only as far as this.
pub(super) const BODY_BYTES: usize = 65_536;

const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_pass_as_a_loopback_host() {
        for name in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:8080"] {
            assert!(is_loopback_name(&name.parse().unwrap()), "{name}");
        }
        for name in
            ["attacker.example", "localhost.attacker.example:80", "192.0.2.1", "[2001:db8::1]", "a@127.0.0.1"]
        {
            assert!(!is_loopback_name(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn the_bearer_scheme_is_read_in_any_case_and_no_other_scheme_is() {
        assert_eq!(bearer(&HeaderValue::from_static("bearer s3cret")), Some("s3cret"));
        assert_eq!(bearer(&HeaderValue::from_static("Basic s3cret")), None);
        assert_eq!(bearer(&HeaderValue::from_static("s3cret")), None);
    }
}
