//! Session timers (RFC 4028), pure: what the headers say, who refreshes, and when.
//!
//! `refresher` names the roles of the transaction it stands in, not those of the call: in a refresh that the
//! callee sends, the callee is the `uac`. Whoever refreshes does so after half of the interval; whoever waits
//! says BYE a little before it ends (§10), because the peer may be as late as its end.

use std::fmt;
use std::time::{Duration, Instant};

use super::headers::{Name, lex};
use super::message::Message;

/// The option tag.
pub const OPTION_TAG: &str = "timer";

/// The least interval that anybody may ask for (§5).
pub const LEAST_S: u32 = 90;

/// Who refreshes, by its role in one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresher {
    /// Whoever sent the request.
    Uac,
    /// Whoever answers it.
    Uas,
}

/// Session-Expires (§4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// The interval.
    pub seconds: u32,
    /// Who refreshes, if that is said.
    pub refresher: Option<Refresher>,
}

/// What we ask for, and what we bear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The interval that we ask for.
    pub expires_s: u32,
    /// The least that we let a peer ask for.
    pub min_se_s: u32,
    /// Whether a session is to have a timer that nobody asked for.
    pub forced: bool,
}

/// A peer asks for less than [`Policy::min_se_s`]: 422 with that as Min-SE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooSmall;

/// The running timer of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTimer {
    seconds: u32,
    /// Whether we refresh.
    ours: bool,
    refresh_at: Option<Instant>,
    ends_at: Instant,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// We are to refresh; another refresh becomes due only after [`SessionTimer::retry_at`] or a new timer.
    Refresh,
    /// Nobody refreshed in time.
    Ended,
}

impl SessionExpires {
    /// Reads the Session-Expires of `message`; `None` when there is none that can be read.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        let value = message.value(Name::SessionExpires)?;
        let end = lex::find(&value, b';').unwrap_or(value.len());
        let refresher = match lex::param(&value[end..], "refresher").flatten() {
            Some(role) if role.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(role) if role.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) | None => None,
        };
        Some(Self { seconds: lex::number(lex::trim(&value[..end]))?, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.refresher {
            Some(Refresher::Uac) => ";refresher=uac",
            Some(Refresher::Uas) => ";refresher=uas",
            None => "",
        };
        write!(f, "{}{role}", self.seconds)
    }
}

/// Min-SE of `message`, at least [`LEAST_S`].
#[must_use]
pub fn min_se_of(message: &Message) -> u32 {
    let value = message.value(Name::MinSe);
    let digits = value.as_deref().map(|value| &value[..lex::find(value, b';').unwrap_or(value.len())]);
    digits.and_then(|digits| lex::number(lex::trim(digits))).unwrap_or(LEAST_S).max(LEAST_S)
}

/// What a UAS puts into its 2xx to `request` (§9), given the timer that runs already; `None` is no timer.
///
/// Where the choice is ours we refresh: a session then never dies of a peer's forgetfulness.
///
/// # Errors
///
/// When a peer that knows session timers asks for less than we bear.
pub fn granted(
    request: &Message,
    policy: Policy,
    running: Option<&SessionTimer>,
) -> Result<Option<SessionExpires>, TooSmall> {
    let knows_timers = supports_timer(request);
    let asked = SessionExpires::of(request);
    let seconds = match (asked, running) {
        (Some(asked), _) if asked.seconds < policy.min_se_s && knows_timers => return Err(TooSmall),
        (Some(asked), _) => asked.seconds.max(LEAST_S),
        (None, Some(running)) => running.seconds,
        (None, None) if policy.forced => policy.expires_s.max(min_se_of(request)),
        (None, None) => return Ok(None),
    };
    let before = running.map(|timer| if timer.ours { Refresher::Uas } else { Refresher::Uac });
    let wanted = asked.and_then(|asked| asked.refresher).or(before);
    let refresher = match wanted {
        Some(Refresher::Uac) if knows_timers => Refresher::Uac,
        Some(_) | None => Refresher::Uas,
    };
    Ok(Some(SessionExpires { seconds, refresher: Some(refresher) }))
}

/// Whether `message` says that its sender knows session timers.
#[must_use]
pub fn supports_timer(message: &Message) -> bool {
    [Name::Supported, Name::Require].iter().any(|&name| message.has_token(name, OPTION_TAG))
}

impl SessionTimer {
    /// After our 2xx with `granted`.
    #[must_use]
    pub fn of_uas(granted: SessionExpires, now: Instant) -> Self {
        Self::start(granted.seconds, granted.refresher != Some(Refresher::Uac), now)
    }

    /// After the 2xx to a request of ours that asked for `asked` seconds, if it asked: a peer that knows no
    /// timers says nothing of them, and we refresh (§7.2).
    #[must_use]
    pub fn of_uac(response: &Message, asked: Option<u32>, now: Instant) -> Option<Self> {
        match SessionExpires::of(response) {
            Some(told) => {
                Some(Self::start(told.seconds.max(LEAST_S), told.refresher != Some(Refresher::Uas), now))
            }
            None => asked.map(|seconds| Self::start(seconds, true, now)),
        }
    }

    fn start(seconds: u32, ours: bool, now: Instant) -> Self {
        let interval = Duration::from_secs(seconds.into());
        let refresh_at = ours.then(|| now + interval / 2);
        Self { seconds, ours, refresh_at, ends_at: now + interval - MARGIN.min(interval / 3) }
    }

    /// The interval.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        self.seconds
    }

    /// When [`Self::on_deadline`] must be called.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.refresh_at.map_or(self.ends_at, |at| at.min(self.ends_at))
    }

    /// What is due at `now`.
    pub fn on_deadline(&mut self, now: Instant) -> Option<Due> {
        if self.ends_at <= now {
            return Some(Due::Ended);
        }
        self.refresh_at.take_if(|at| *at <= now).map(|_| Due::Refresh)
    }

    /// The refresh did not succeed, but may at `at`.
    pub fn retry_at(&mut self, at: Instant) {
        self.refresh_at = Some(at);
    }
}

/// How long before its end a session that nobody refreshes is given up, unless a third of it is less (§10).
const MARGIN: Duration = Duration::from_secs(32);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::message::Limits;
    use super::super::transaction::testing::{at_ms, epoch};
    use super::*;

    #[test]
    fn session_expires_is_read_and_written() {
        for (line, written) in [
            ("Session-Expires: 1800", Some("1800")),
            ("x: 1800 ; Refresher=UAS", Some("1800;refresher=uas")),
            ("Session-Expires: 4000;refresher=uac;x=y", Some("4000;refresher=uac")),
            ("Session-Expires: 90;refresher=me", Some("90")),
            ("Session-Expires: soon", None),
            ("Session-Expires: 99999999999", None),
            ("Subject: none", None),
        ] {
            let read = SessionExpires::of(&request(line)).map(|read| read.to_string());
            assert_eq!(read.as_deref(), written, "{line}");
        }
    }

    #[test]
    fn min_se_is_90_at_least() {
        let told = ["Min-SE: 120", "Min-SE: 60", "Min-SE: 3600;x=y", "Subject: none"];

        assert_eq!(told.map(|line| min_se_of(&request(line))), [120, 90, 3_600, 90]);
    }

    #[test]
    fn a_uas_grants_what_is_asked_and_refreshes_where_it_may_choose() {
        for (lines, granted_as) in [
            ("Session-Expires: 1800\r\nSupported: timer", "1800;refresher=uas"),
            ("Session-Expires: 1800;refresher=uac\r\nSupported: timer", "1800;refresher=uac"),
            ("Session-Expires: 1800;refresher=uas\r\nSupported: timer", "1800;refresher=uas"),
            ("Session-Expires: 1800;refresher=uac", "1800;refresher=uas"),
            ("Session-Expires: 60", "90;refresher=uas"),
            ("Supported: timer", "none"),
        ] {
            assert_eq!(shown(granted(&request(lines), POLICY, None)), granted_as, "{lines}");
        }
    }

    #[test]
    fn a_forced_timer_is_ours_and_heeds_the_peers_min_se() {
        let forced = Policy { forced: true, ..POLICY };

        assert_eq!(shown(granted(&request("Subject: none"), forced, None)), "1800;refresher=uas");
        assert_eq!(shown(granted(&request("Min-SE: 3600"), forced, None)), "3600;refresher=uas");
    }

    #[test]
    fn less_than_we_bear_is_refused_to_a_peer_that_knows_timers() {
        let strict = Policy { min_se_s: 300, ..POLICY };
        let ask = |lines| granted(&request(lines), strict, None);

        assert_eq!(ask("Session-Expires: 299\r\nSupported: timer"), Err(TooSmall));
        assert_eq!(shown(ask("Session-Expires: 300\r\nSupported: timer")), "300;refresher=uas");
        assert_eq!(shown(ask("Session-Expires: 299")), "299;refresher=uas");
    }

    #[test]
    fn a_refresh_without_a_word_keeps_interval_and_roles() {
        let waiting = SessionTimer::start(600, false, epoch());
        let refreshing = SessionTimer::start(600, true, epoch());
        let refresh = request("Supported: timer");

        assert_eq!(shown(granted(&refresh, POLICY, Some(&waiting))), "600;refresher=uac");
        assert_eq!(shown(granted(&refresh, POLICY, Some(&refreshing))), "600;refresher=uas");
    }

    #[test]
    fn the_refresher_refreshes_after_half_the_interval_and_the_other_waits_to_shortly_before_its_end() {
        for (seconds, ours, due) in [
            (1_800, true, vec![(900_000, Due::Refresh), (1_768_000, Due::Ended)]),
            (1_800, false, vec![(1_768_000, Due::Ended)]),
            (90, true, vec![(45_000, Due::Refresh), (60_000, Due::Ended)]),
            (90, false, vec![(60_000, Due::Ended)]),
        ] {
            let mut timer = SessionTimer::start(seconds, ours, epoch());
            let mut happened = Vec::new();
            while happened.last().is_none_or(|&(_, due)| due != Due::Ended) {
                let now = timer.next_deadline();
                let due = timer.on_deadline(now).expect("something is due at a deadline");
                happened.push(((now - epoch()).as_millis(), due));
            }
            assert_eq!(happened, due, "{seconds} {ours}");
        }
    }

    #[test]
    fn a_uac_refreshes_unless_the_answer_says_that_the_peer_does() {
        for (lines, asked, refreshes) in [
            ("Session-Expires: 600;refresher=uac", None, Some(true)),
            ("Session-Expires: 600;refresher=uas", Some(600), Some(false)),
            ("Session-Expires: 600", None, Some(true)),
            ("Subject: none", Some(600), Some(true)),
            ("Subject: none", None, None),
        ] {
            let timer = SessionTimer::of_uac(&response(lines), asked, epoch());
            assert_eq!(timer.map(|timer| timer.refresh_at == Some(at_ms(300_000))), refreshes, "{lines}");
        }
    }

    const POLICY: Policy = Policy { expires_s: 1_800, min_se_s: 90, forced: false };

    fn shown(granted: Result<Option<SessionExpires>, TooSmall>) -> String {
        granted.expect("granted").map_or_else(|| "none".to_owned(), |granted| granted.to_string())
    }

    fn request(lines: &str) -> Message {
        parse("INVITE sip:h SIP/2.0", lines)
    }

    fn response(lines: &str) -> Message {
        parse("SIP/2.0 200 OK", lines)
    }

    fn parse(start: &str, lines: &str) -> Message {
        Message::parse(Bytes::from(format!("{start}\r\n{lines}\r\n\r\n")), &Limits::default()).unwrap()
    }
}
