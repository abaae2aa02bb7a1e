//! The arguments of `trunkline explain`, and the INVITE that they describe.
//!
//! A number in `--from` or `--to` stands for a URI at the address that the call comes from. With
//! `--registered`, our Contact stands in the Request-URI and what was dialled in To, as a registrar writes
//! it.

use std::net::IpAddr;

use crate::cli::ConfigArgs;
use crate::routing::Routes;
use crate::sip::build::RequestBuilder;
use crate::sip::flow::Transport;
use crate::sip::headers::{HeaderError, Name, NameAddr, lex};
use crate::sip::message::{Limits, Message, Method, ParseError};
use crate::sip::uri::{Host, Uri};

/// Arguments of `trunkline explain`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Address the call comes from
    #[arg(long, value_name = "IP")]
    pub(super) source: IpAddr,
    /// The call comes to what is registered at this trunk, so it is the trunk's whatever its source
    #[arg(long, value_name = "TRUNK")]
    pub(super) registered: Option<String>,
    /// Caller: a number, or a whole From such as '"Ann" <sip:+14155550123@pbx.example>'
    #[arg(long, value_name = "N", value_parser = parse_caller)]
    from: Party,
    /// Dialled: a number, or a whole Request-URI
    #[arg(long, value_name = "N", value_parser = parse_dialled)]
    to: Party,
    /// Header of the INVITE, such as 'X-Account: 7'; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    pub(super) header: Vec<(String, String)>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// A number, or a URI with what may stand around it.
#[derive(Clone, Debug)]
pub(super) enum Party {
    Number(String),
    Address(NameAddr),
}

/// Why the arguments describe no call.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArgsError {
    #[error("these arguments make no INVITE: {0}; write --header as a peer would send it")]
    Unreadable(#[from] ParseError),
    #[error("these arguments make no INVITE: {0}; write --header as a peer would send it")]
    Invalid(#[from] HeaderError),
    #[error(
        "nothing is registered at \"{0}\"; name one of the [[trunks]] with register = true, or take \
         --registered out"
    )]
    NotRegistered(String),
}

impl Args {
    /// The INVITE that the arguments describe, as it would arrive.
    pub(super) fn invite(&self, routes: &Routes) -> Result<Message, ArgsError> {
        let from = self.from.address(self.source);
        let to = self.to.address(self.source);
        let called = match &self.registered {
            Some(trunk) => self.contact_at(trunk, routes)?,
            None => to.uri.clone(),
        };
        let given =
            |name: Name| self.header.iter().any(|(written, _)| Name::parse(written.as_bytes()) == name);
        let mut builder = RequestBuilder::new(Method::Invite, &called)
            .header(Name::MaxForwards, 70)
            .header(Name::From, from.with_param("tag", Some("explain")))
            .header(Name::CallId, "explain")
            .header(Name::CSeq, "1 INVITE");
        if !given(Name::To) {
            builder = builder.header(Name::To, NameAddr::new(to.uri));
        }
        for (name, value) in &self.header {
            builder = builder.header_raw(name.as_bytes(), value.as_bytes());
        }
        let source = Host::Ip(self.source).to_string();
        let raw = builder.no_body().with_via(Transport::Udp, &source, "z9hG4bKexplain");
        let invite = Message::parse(raw, &Limits::default()).map_err(|failure| failure.error)?;
        invite.validate()?;
        Ok(invite)
    }

    /// Our Contact, as the registrar of `trunk` calls it.
    fn contact_at(&self, trunk: &str, routes: &Routes) -> Result<Uri, ArgsError> {
        let known = routes.peers().iter().find(|peer| peer.name == trunk);
        let account = known.and_then(|peer| peer.registration.as_ref());
        let account = account.ok_or_else(|| ArgsError::NotRegistered(trunk.to_owned()))?;
        Ok(Uri::sip(Some(&account.contact_user), Host::Ip(self.source), None))
    }
}

impl Party {
    fn address(&self, source: IpAddr) -> NameAddr {
        match self {
            Self::Number(number) => NameAddr::new(Uri::sip(Some(number), Host::Ip(source), None)),
            Self::Address(address) => address.clone(),
        }
    }
}

fn parse_caller(text: &str) -> Result<Party, String> {
    parse_party(text, "write a number, or a From such as '<sip:+14155550123@pbx.example>'")
}

fn parse_dialled(text: &str) -> Result<Party, String> {
    parse_party(text, "write a number, or a URI such as 'sip:+14155550100@203.0.113.10'")
}

fn parse_party(text: &str, instead: &str) -> Result<Party, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_control) {
        return Err(format!("empty, or with control characters; {instead}"));
    }
    if text.contains(':') || text.contains('<') {
        let address = NameAddr::parse(text.as_bytes()).map_err(|error| format!("{error}; {instead}"))?;
        return Ok(Party::Address(address));
    }
    Ok(Party::Number(text.to_owned()))
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("no colon; write it like 'X-Account: 7'")?;
    let (name, value) = (name.trim(), value.trim());
    if !lex::is_token(name.as_bytes()) || value.contains(char::is_control) {
        return Err(
            "no header name, or control characters in the value; write it like 'X-Account: 7'".to_owned()
        );
    }
    Ok((name.to_owned(), value.to_owned()))
}
