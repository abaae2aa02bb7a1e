//! Reads a message of ours with rsip, a parser that shares no line with ours, and tells where the two differ.
//!
//! A difference is a fault of one side. rsip's own are listed in [`FAULTS`], each with its reason; what is
//! not explained there is ours.

use bytes::Bytes;
use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::HeadersExt;
use trunkline::sip::headers::{Name, NameAddr};
use trunkline::sip::message::{Limits, Message};
use trunkline::sip::uri::{Host, Uri};

/// Where the two readers differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// `message` when rsip refuses it whole, else the header or part.
    pub(crate) field: String,
    pub(crate) ours: String,
    pub(crate) rsips: String,
}

/// Something rsip 0.4 gets wrong.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    pub(crate) explains: fn(&Difference) -> bool,
}

/// The differences that no known fault explains, and the names of the faults that explained the others.
pub(crate) fn reread(bytes: &Bytes) -> (Vec<Difference>, Vec<&'static str>) {
    let mut explained = Vec::new();
    let unexplained = differences(bytes)
        .into_iter()
        .filter(|difference| match FAULTS.iter().find(|fault| (fault.explains)(difference)) {
            Some(fault) => {
                explained.push(fault.name);
                false
            }
            None => true,
        })
        .collect();
    (unexplained, explained)
}

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        name: "no tel URIs",
        why: "a scheme must be sip:, sips: or end with ://",
        explains: |it| it.rsips.starts_with("refused") && it.ours.contains("tel:"),
    },
    Fault {
        name: "no IPv6 references",
        why: "a host ends at the first colon, which is within the brackets",
        explains: |it| is_about_addresses(it) && it.ours.contains('[') && it.ours.contains(']'),
    },
    Fault {
        name: "a dot ends the user",
        why: "the user is taken till the first dot or @, and is no user when the dot comes first",
        explains: |it| {
            let user = it.ours.split('@').next().unwrap_or_default();
            is_about_addresses(it) && it.ours.contains('@') && user.contains('.')
        },
    },
    Fault {
        name: "no methods of one's own",
        why: "fourteen methods are known, and no others",
        explains: |it| {
            let method = it.ours.split([' ', '"']).nth(2).unwrap_or_default();
            let is_named =
                it.field == "CSeq" && it.rsips == "None" && method.parse::<rsip::Method>().is_err();
            is_named || (it.field == "message" && it.ours.starts_with("PING "))
        },
    },
    Fault {
        name: "text only",
        why: "header values are Strings, but SIP's may hold any byte",
        explains: |it| it.field == "message" && it.ours.contains('\u{fffd}'),
    },
    Fault {
        name: "reason phrases are replaced",
        why: "the phrase of a known code is thrown away",
        explains: |it| it.field == "reason",
    },
    Fault {
        name: "display names keep their quotes",
        why: "the quotes and escapes are not removed",
        explains: |it| it.field.ends_with(" display") && it.rsips.starts_with('"'),
    },
    Fault {
        name: "no quoted parameters",
        why: "a parameter's value is taken to be a token",
        explains: |it| is_about_addresses(it) && it.rsips.starts_with("refused") && it.ours.contains("=\""),
    },
    Fault {
        name: "brackets in display names",
        why: "the URI is taken to begin at the first <, in quotes or not",
        explains: |it| it.ours.starts_with('"') && it.ours.matches('<').count() > 1,
    },
];

fn is_about_addresses(difference: &Difference) -> bool {
    matches!(difference.field.as_str(), "message" | "Request-URI" | "From" | "To" | "Contact" | "Via")
}

fn differences(bytes: &Bytes) -> Vec<Difference> {
    let ours = Message::parse(bytes.clone(), &Limits::default()).expect("we can read what we write");
    let mut found = Found(Vec::new());
    let theirs = match rsip::SipMessage::try_from(&bytes[..]) {
        Ok(theirs) => theirs,
        Err(error) => {
            found.note("message", String::from_utf8_lossy(bytes), format!("refused: {error}"));
            return found.0;
        }
    };
    match &theirs {
        rsip::SipMessage::Request(request) => {
            found.compare(
                "method",
                ours.method().map(|method| method.as_str().into_owned()),
                Some(request.method.to_string()),
            );
            found.uri("Request-URI", Uri::parse(ours.request_uri()).ok(), &request.uri);
        }
        rsip::SipMessage::Response(response) => {
            found.compare("status", ours.status(), Some(response.status_code.code()));
            let reason =
                response.status_code.to_string().split_once(' ').map(|(_, reason)| reason.to_owned());
            found.compare("reason", Some(String::from_utf8_lossy(ours.reason()).into_owned()), reason);
        }
    }
    found.headers(&ours, rsip::message::HasHeaders::headers(&theirs));
    found.typed(&ours, &theirs);
    found.compare("body", Some(ours.body().to_vec()), Some(theirs.body().clone()));
    found.0
}

struct Found(Vec<Difference>);

impl Found {
    fn note(&mut self, field: &str, ours: impl ToString, rsips: impl ToString) {
        self.0.push(Difference { field: field.to_owned(), ours: ours.to_string(), rsips: rsips.to_string() });
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, field: &str, ours: Option<T>, rsips: Option<T>) {
        if ours != rsips {
            self.note(field, format!("{ours:?}"), format!("{rsips:?}"));
        }
    }

    /// All header lines in order, as text.
    fn headers(&mut self, ours: &Message, theirs: &rsip::Headers) {
        let lines = |line: String| {
            let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let ours = ours.headers().map(|header| {
            let value = String::from_utf8_lossy(&header.value).into_owned();
            (String::from_utf8_lossy(header.full_name()).to_ascii_lowercase(), value)
        });
        let theirs = theirs.iter().map(|header| lines(header.to_string()));
        self.compare("headers", Some(ours.collect::<Vec<_>>()), Some(theirs.collect::<Vec<_>>()));
    }

    fn typed(&mut self, ours: &Message, theirs: &rsip::SipMessage) {
        let cseq = theirs.cseq_header().ok().and_then(|header| header.typed().ok());
        let numbers = |number: u32, method: String| format!("{number} {method}");
        self.compare(
            "CSeq",
            ours.cseq().ok().map(|it| numbers(it.number, it.method.as_str().into_owned())),
            cseq.map(|it| numbers(it.seq, it.method.to_string())),
        );
        let call_id = theirs.call_id_header().ok().map(|header| header.value().as_bytes().to_vec());
        self.compare("Call-ID", ours.call_id().ok().map(<[u8]>::to_vec), call_id);
        match theirs.from_header().map(|header| header.clone().typed()) {
            Ok(Ok(it)) => self.address("From", ours, it.display_name, &it.uri, &it.params),
            Ok(Err(error)) => self.note("From", value(ours, Name::From), format!("refused: {error}")),
            Err(_) => self.compare("From", ours.value(Name::From), None),
        }
        match theirs.to_header().map(|header| header.clone().typed()) {
            Ok(Ok(it)) => self.address("To", ours, it.display_name, &it.uri, &it.params),
            Ok(Err(error)) => self.note("To", value(ours, Name::To), format!("refused: {error}")),
            Err(_) => self.compare("To", ours.value(Name::To), None),
        }
        match theirs.contact_header().map(|header| header.clone().typed()) {
            Ok(Ok(it)) => self.address("Contact", ours, it.display_name, &it.uri, &it.params),
            Ok(Err(error)) => self.note("Contact", value(ours, Name::Contact), format!("refused: {error}")),
            Err(_) => self.compare("Contact", ours.value(Name::Contact), None),
        }
        match theirs.via_header().map(|header| header.clone().typed()) {
            Ok(Ok(via)) => self.via(ours, &via),
            Ok(Err(error)) => self.note("Via", value(ours, Name::Via), format!("refused: {error}")),
            Err(_) => self.compare("Via", ours.value(Name::Via), None),
        }
    }

    fn address(
        &mut self,
        name: &'static str,
        ours: &Message,
        display: Option<String>,
        uri: &rsip::Uri,
        params: &[rsip::Param],
    ) {
        let written = value(ours, Name::parse(name.as_bytes()));
        let read = match NameAddr::parse(written.as_bytes()) {
            Ok(read) => read,
            Err(error) => return self.note(name, format!("refused: {error}"), uri),
        };
        let (ours_display, theirs) = (read.display.clone().unwrap_or_default(), display.unwrap_or_default());
        if ours_display != theirs {
            let field = format!("{name} display");
            let is_odd = written.matches('<').count() > 1;
            self.note(&field, if is_odd { written.clone() } else { ours_display }, theirs);
        }
        self.uri(name, Some(read.uri), uri);
        let tag = params.iter().find_map(|param| match param {
            rsip::Param::Tag(tag) => Some(tag.to_string()),
            _ => None,
        });
        self.compare(
            &format!("{name} tag"),
            read.params.iter().find(|it| it.0 == "tag").and_then(|it| it.1.clone()),
            tag,
        );
    }

    fn via(&mut self, ours: &Message, theirs: &rsip::typed::Via) {
        let written = value(ours, Name::Via);
        let Ok(via) = ours.top_via() else { return self.note("Via", "refused", written) };
        let theirs_read = (
            theirs.transport.to_string(),
            theirs.uri.host_with_port.to_string(),
            theirs.branch().map(ToString::to_string),
            theirs.params.iter().any(|param| param.to_string().starts_with(";rport")),
        );
        let port = via.port.map(|port| format!(":{port}")).unwrap_or_default();
        let ours_read = (via.transport, format!("{}{port}", via.host), via.branch, via.rport.is_some());
        if ours_read != theirs_read {
            self.note("Via", format!("{ours_read:?}"), format!("{theirs_read:?}"));
        }
    }

    /// Each part; the parts that differ are shown as one, written out.
    fn uri(&mut self, field: &str, ours: Option<Uri>, theirs: &rsip::Uri) {
        let Some(ours) = ours else { return self.note(field, "refused", theirs) };
        let host = match &theirs.host_with_port.host {
            rsip::Host::IpAddr(ip) => Host::Ip(*ip),
            rsip::Host::Domain(domain) => Host::Name(domain.to_string()),
        };
        let user = theirs.user().map(str::to_owned);
        let escaped = ours.to_string();
        let written_user =
            ours.user.as_ref().and_then(|_| escaped.split_once(':')?.1.split(['@', ':']).next());
        let is_same = ours.host == host
            && ours.port == theirs.port().map(|port| *port.value())
            && written_user.map(str::to_owned) == user
            && ours.params.len() == theirs.params.len()
            && ours.transport().map(|it| it.to_uppercase()) == theirs.transport().map(ToString::to_string);
        if !is_same {
            self.note(field, escaped, format!("{theirs:?}"));
        }
    }
}

fn value(message: &Message, name: Name) -> String {
    message.value(name).map(|value| String::from_utf8_lossy(&value).into_owned()).unwrap_or_default()
}
