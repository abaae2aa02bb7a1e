//! Placing a call: INVITE with its repetitions, challenges, CANCEL, and the ACK (RFC
//! 3261 §13.2, §17.1.1, §9.1).
//!
//! A challenge keeps Call-ID and From-tag and counts CSeq up; after five INVITEs it is
//! given up, as LiveKit does.

use std::sync::Arc;
use std::time::Duration;

use rsip::Header;
use rsip::headers::{self, UntypedHeader as _};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::sim::call::{Call, Failure};
use crate::sim::dialog::{Dialog, Handshake, Reins, T1, path_to};
use crate::sim::digest;
use crate::sim::endpoint::{Key, Shared};
use crate::sim::g711::Law;
use crate::sim::log::Side;
use crate::sim::media::Port;
use crate::sim::message::{self, Message, addr_spec};
use crate::sim::rtp_socket::wall_ns;
use crate::sim::sdp::{self, Audio, Codec, SdpError};
use crate::sim::wire::{Path, Received};

/// Whom to call, and how.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The bridge, or whoever answers, and the transport.
    pub via: Path,
    /// The number called: the user of the Request-URI and To.
    pub called: String,
    /// The caller's number.
    pub caller: String,
    /// Further headers, as name and value.
    pub headers: Vec<(String, String)>,
    /// How long it may ring before it is cancelled.
    pub patience: Duration,
}

/// A call on its way.
pub struct Dialing {
    cancel: Arc<Notify>,
    outcome: oneshot::Receiver<Result<Call, Failure>>,
}

impl Dialing {
    /// Gives it up: CANCEL, as soon as it may be sent.
    pub fn cancel(&self) {
        self.cancel.notify_one();
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn answer(&mut self) -> Result<Call, Failure> {
        (&mut self.outcome).await.unwrap_or(Err(Failure::Gone))
    }
}

/// Starts a call.
pub(super) fn dial(shared: &Arc<Shared>, dial: Dial) -> Dialing {
    let (outcome_sender, outcome) = oneshot::channel();
    let cancel = Arc::new(Notify::new());
    let cancelled = cancel.clone();
    let shared = shared.clone();
    tokio::spawn(async move {
        match place(shared, dial, cancelled).await {
            Ok((dialog, call, reins)) => {
                // Nobody has to wait for the call; it lives on its own.
                let _ = outcome_sender.send(Ok(call));
                dialog.run(reins).await;
            }
            Err(failure) => {
                let _ = outcome_sender.send(Err(failure));
            }
        }
    });
    Dialing { cancel, outcome }
}

async fn place(
    shared: Arc<Shared>,
    dial: Dial,
    cancelled: Arc<Notify>,
) -> Result<(Dialog, Call, Reins), Failure> {
    let port = shared.open_port()?;
    let mut outgoing = Outgoing::new(shared, dial, port, cancelled);
    let invited_ns = wall_ns();
    let result = outgoing.converse().await;
    match result {
        Ok(ok) if outgoing.given_up => {
            let failure = outgoing.unanswered();
            let (dialog, _, _) = outgoing.confirm(&ok, invited_ns).await?;
            dialog.abandon().await;
            Err(failure)
        }
        Ok(ok) => outgoing.confirm(&ok, invited_ns).await,
        Err(failure) => {
            outgoing.shared.media.close(outgoing.port.id);
            outgoing.shared.forget(&[outgoing.key()]);
            Err(failure)
        }
    }
}

struct Outgoing {
    shared: Arc<Shared>,
    inbox: UnboundedReceiver<Received>,
    cancelled: Arc<Notify>,
    given_up: bool,
    /// Given up because it rang for too long, not because it was told to.
    out_of_patience: bool,
    port: Port,
    dial: Dial,
    call_id: String,
    tag: String,
    uri: String,
    from: String,
    cseq: u32,
    branch: String,
    sdp: String,
    authorization: Option<Header>,
}

impl Outgoing {
    fn new(shared: Arc<Shared>, dial: Dial, port: Port, cancelled: Arc<Notify>) -> Self {
        let (call_id, tag) = (shared.call_id(), shared.call_tag());
        let transport = match (shared.manners.side, dial.via) {
            (Side::Carrier, Path::Udp(_)) => "",
            (_, via) => &format!(";transport={}", via.param()),
        };
        let uri = format!("sip:{}@{}{transport}", dial.called, dial.via.remote());
        let ip = shared.wire.address().ip();
        let from = match shared.manners.side {
            Side::Carrier => format!("<sip:{}@{ip}>", dial.caller),
            Side::Retell => format!("\"{0}\" <sip:{0}@{ip}{transport}>", dial.caller),
        };
        let manners = &shared.manners;
        let sdp =
            sdp::write(manners.session_name, shared.session_id(), port.address, &manners.codecs, Some(101));
        let inbox = shared.register(&[Key::Dialog(call_id.clone(), tag.clone())]);
        Self {
            inbox,
            cancelled,
            given_up: false,
            out_of_patience: false,
            port,
            dial,
            from: format!("{from};tag={tag}"),
            call_id,
            tag,
            uri,
            cseq: 1,
            branch: shared.branch(),
            sdp,
            authorization: None,
            shared,
        }
    }

    fn key(&self) -> Key {
        Key::Dialog(self.call_id.clone(), self.tag.clone())
    }

    /// INVITEs until one is answered for good: the 200, or why there is none.
    async fn converse(&mut self) -> Result<Message, Failure> {
        for _ in 0..INVITES {
            let response = self.final_response().await?;
            let code = response.code.unwrap_or_default();
            if code == 200 {
                return Ok(response);
            }
            self.acknowledge_refusal(&response);
            match code {
                401 | 407 => self.authorize(code, &response)?,
                487 if self.given_up => return Err(self.unanswered()),
                _ => return Err(Failure::Refused { code, reason: response.reason }),
            }
        }
        Err(Failure::Credentials { code: 401 })
    }

    /// Sends the INVITE, repeats it until something comes, and waits for the final response.
    async fn final_response(&mut self) -> Result<Message, Failure> {
        let invite = self.invite();
        self.shared.wire.send(self.dial.via, invite.clone());
        let started = Instant::now();
        let mut pause = T1;
        let mut repeat = (!self.dial.via.is_reliable()).then(|| started + pause);
        let mut deadline = started + TIMER_B;
        let mut provisional = false;
        let mut cancel_sent = false;
        loop {
            let wake = repeat.map_or(deadline, |at| at.min(deadline));
            tokio::select! {
                Some(received) = self.inbox.recv() => {
                    let message = received.message;
                    match message.code {
                        Some(100..200) if message.branch == self.branch && !provisional => {
                            provisional = true;
                            repeat = None;
                            deadline = started + self.dial.patience;
                        }
                        Some(200..) if message.branch == self.branch && message.method == "INVITE" => {
                            return Ok(message);
                        }
                        Some(_) | None => {}
                    }
                }
                () = self.cancelled.notified(), if !self.given_up => self.given_up = true,
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    if now >= deadline {
                        if !provisional {
                            return Err(Failure::NoResponse { method: "INVITE", seconds: TIMER_B.as_secs() });
                        }
                        if self.given_up {
                            return Err(self.unanswered());
                        }
                        self.given_up = true;
                        self.out_of_patience = true;
                        deadline = now + TIMER_B;
                    } else if repeat.is_some_and(|at| at <= now) {
                        self.shared.wire.send(self.dial.via, invite.clone());
                        pause *= 2;
                        repeat = Some(now + pause);
                    }
                }
            }
            if self.given_up && !cancel_sent && (provisional || !self.shared.manners.cancel_waits) {
                self.cancel();
                cancel_sent = true;
            }
        }
    }

    /// Why a call that was given up has no answer.
    fn unanswered(&self) -> Failure {
        match self.out_of_patience {
            true => Failure::NoAnswer { seconds: self.dial.patience.as_secs() },
            false => Failure::Cancelled,
        }
    }

    fn invite(&self) -> Vec<u8> {
        let mut headers = self.common("INVITE", &self.uri_as_name_addr());
        headers.push(headers::Contact::new(self.shared.contact(self.dial.via)).into());
        headers.push(headers::Allow::new(self.shared.manners.allow).into());
        headers.extend(self.authorization.clone());
        let further =
            self.dial.headers.iter().map(|(name, value)| Header::Other(name.clone(), value.clone()));
        headers.extend(further);
        message::finish(message::request("INVITE", &self.uri, headers), Some(self.sdp.clone()))
    }

    /// What INVITE, CANCEL and the ACK of a refusal have in common, which makes them one transaction.
    fn common(&self, method: &str, to: &str) -> Vec<Header> {
        vec![
            headers::Via::new(self.shared.via(self.dial.via, &self.branch)).into(),
            headers::CSeq::new(format!("{} {method}", self.cseq)).into(),
            headers::CallId::new(self.call_id.clone()).into(),
            headers::To::new(to).into(),
            headers::From::new(self.from.clone()).into(),
            headers::MaxForwards::new("70").into(),
        ]
    }

    fn uri_as_name_addr(&self) -> String {
        format!("<{}>", self.uri)
    }

    fn cancel(&self) {
        let mut headers = self.common("CANCEL", &self.uri_as_name_addr());
        headers.extend(self.shared.manners.user_agent.map(|name| headers::UserAgent::new(name).into()));
        self.shared
            .wire
            .send(self.dial.via, message::finish(message::request("CANCEL", &self.uri, headers), None));
    }

    fn acknowledge_refusal(&self, response: &Message) {
        let to = response.value("To").unwrap_or_default();
        let request = message::request("ACK", &self.uri, self.common("ACK", &to));
        self.shared.wire.send(self.dial.via, message::finish(request, None));
    }

    /// Answers a challenge in the next INVITE.
    fn authorize(&mut self, code: u16, challenge: &Message) -> Result<(), Failure> {
        let name = if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        let (Some(credentials), Some(value)) = (&self.shared.manners.credentials, challenge.value(name))
        else {
            return Err(Failure::Credentials { code });
        };
        let to = challenge.value("To").unwrap_or_default();
        let uri = if self.shared.manners.digest_over_to { addr_spec(&to) } else { &self.uri };
        let answer = digest::answer(&value, credentials, "INVITE", uri, &self.shared.token(16))?;
        self.authorization = Some(match code {
            401 => headers::Authorization::new(answer).into(),
            _ => headers::ProxyAuthorization::new(answer).into(),
        });
        self.cseq += 1;
        self.branch = self.shared.branch();
        Ok(())
    }

    /// Acknowledges the 200 and makes the dialog; with unusable SDP it is ended by BYE, by
    /// LiveKit without any ACK.
    async fn confirm(self, ok: &Message, invited_ns: u64) -> Result<(Dialog, Call, Reins), Failure> {
        let answered_ns = wall_ns();
        let target = ok.contact().unwrap_or_else(|| self.uri.clone());
        let key = self.key();
        let (audio, law, failure) = match agreed(ok) {
            Ok((audio, law)) => (audio, law, None),
            Err(failure) => {
                let nothing = Audio { remote: self.dial.via.remote(), codecs: Vec::new(), events: None };
                (nothing, Law::Mu, Some(failure))
            }
        };
        let (orders, inbox_of_orders) = mpsc::unbounded_channel();
        let (ended_sender, ended) = watch::channel(None);
        let call = Call {
            call_id: self.call_id.clone(),
            stream: self.port.id,
            law,
            invited_ns,
            answered_ns,
            orders,
            ended,
        };
        let mut dialog = Dialog {
            path: path_to(&target, self.dial.via),
            shared: self.shared,
            inbox: self.inbox,
            keys: vec![key],
            call_id: self.call_id,
            local: self.from,
            remote: ok.value("To").unwrap_or_default(),
            target,
            cseq: self.cseq,
            port: self.port,
            sdp: self.sdp,
            audio,
            law,
            handshake: Handshake::Done,
        };
        let ack = message::finish(dialog.request("ACK", self.cseq, &dialog.shared.branch()), None);
        if failure.is_none() || dialog.shared.manners.side == Side::Carrier {
            dialog.shared.wire.send(dialog.path, ack.clone());
        }
        if let Some(failure) = failure {
            dialog.abandon().await;
            return Err(failure);
        }
        dialog.handshake = Handshake::Caller { ack };
        Ok((dialog, call, Reins { orders: inbox_of_orders, ended: ended_sender }))
    }
}

/// The audio that the 200 agrees to.
fn agreed(ok: &Message) -> Result<(Audio, Law), Failure> {
    let unusable = |error: SdpError| Failure::Sdp(error.to_string());
    let body = ok.sdp().ok_or_else(|| Failure::Sdp("the 200 has none".into()))?;
    let audio = Audio::read(body).map_err(unusable)?;
    match audio.answered().map_err(unusable)? {
        Codec::G711(law) => Ok((audio, law)),
        Codec::G722 => Err(Failure::Unmeasurable),
    }
}

/// Timer B of RFC 3261 §17.1.1.2.
const TIMER_B: Duration = Duration::from_secs(32);
const INVITES: usize = 5;
