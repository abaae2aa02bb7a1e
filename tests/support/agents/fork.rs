//! A second telephone that answers an INVITE beside another one: it waits for its ACK, and for
//! the BYE that releases it, unless it was the first.

use std::net::SocketAddr;
use std::time::Duration;

use super::BRIDGE;
use super::repeat::Repeat;
use super::text::{NO_BODY, SDP, answer, with_body};

/// Its answer, and how far it got.
pub(super) struct Fork {
    here: SocketAddr,
    ok: Option<Repeat>,
    acknowledged: bool,
    released: bool,
}

impl Fork {
    /// Its To-tag.
    pub(super) const TAG: &str = "fork";
    /// Where it wants its audio.
    pub(super) const PORT: u16 = 7_000;

    /// One that answers `invite` with the 200 that comes with it.
    pub(super) fn answering(here: SocketAddr, invite: &str, now: Duration) -> (Self, String) {
        let ok = answer(invite, 200, "Said", Self::TAG, &described(here));
        let repeat = Repeat::new(ok.clone(), BRIDGE, now);
        (Self { here, ok: Some(repeat), acknowledged: false, released: false }, ok)
    }

    /// Its answer to a request.
    pub(super) fn on_request(&mut self, text: &str) -> Option<String> {
        match text.split(' ').next().unwrap_or_default() {
            "ACK" => {
                (self.ok, self.acknowledged) = (None, true);
                return None;
            }
            "BYE" => self.released = true,
            "INVITE" => return Some(answer(text, 200, "Said", "", &described(self.here))),
            _ => {}
        }
        Some(answer(text, 200, "Said", "", NO_BODY))
    }

    /// Its 200, until its ACK comes or never does.
    pub(super) fn repeat(&mut self) -> Option<&mut Repeat> {
        self.ok.take_if(|ok| ok.is_over());
        self.ok.as_mut()
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.ok.as_ref().and_then(Repeat::next)
    }

    /// Whether it thinks that it has a call.
    pub(super) fn stands(&self) -> bool {
        self.acknowledged && !self.released
    }
}

fn described(here: SocketAddr) -> String {
    let sdp = SDP.replace("m=audio 6000", &format!("m=audio {}", Fork::PORT));
    with_body(&format!("Contact: <sip:fork@{here}>\r\nAllow: INVITE\r\n"), &sdp)
}
