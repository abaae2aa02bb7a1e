//! Sources that are not listened to for a while: their connections are closed as they come, their datagrams
//! dropped unread.
//!
//! Whoever can get another banned has a weapon, so only what cannot be forged counts: what came by a
//! connection, whose sender has answered from its address, and wrong answers to a challenge that went to that
//! very address. A datagram alone proves nothing, however bad it is.
//!
//! And an address may be shared, so that the innocent would pay. Never banned are those in a peer's `allow`
//! and Retell's own, which other customers of LiveKit call from too; where our calls go, or a peer has shown
//! good credentials lately, as a PBX behind the NAT of somebody who guesses; and whoever is in a call.
//! Guesses from there are refused one by one. A reload lifts every ban: who was caught by a wrong password
//! need not wait.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::api::bans::BanView;
use crate::call::timestamp::rfc3339;
use crate::sip::flow::ConnectionId;
use crate::sip::nat::subscriber;

use super::bridge::Bridge;
use super::counters::Rejection;
use super::lapsing::Lapsing;
use super::world::World;

/// How many faults within ten minutes are too many, and how long a ban lasts; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BanPolicy {
    /// Faults.
    pub after: u32,
    /// Zero: nobody is banned.
    pub lasts: Duration,
}

/// What a source did that nobody else can have done for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Connected from where no peer can be, or sent what is no peer's by a stream.
    Stranger,
    /// Broke the framing rules, or left a message unfinished.
    Framing,
    /// Sent what is no SIP message by a stream.
    Malformed,
    /// Connected, and did not agree with us on TLS.
    Handshake,
    /// Connected, and said nothing to be recognised by.
    Idle,
    /// Answered our challenge with a wrong password or an unknown user.
    Credentials,
}

/// The sources that are banned; shared with whoever takes connections.
pub(super) type Banned = Arc<DashMap<IpAddr, Ban>>;

/// One ban.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ban {
    until: Instant,
    until_ms: i64,
    reason: &'static str,
}

/// Who is banned, who may be next, and who never.
#[derive(Debug, Default)]
pub(super) struct Bans {
    policy: BanPolicy,
    banned: Banned,
    faults: HashMap<IpAddr, Faults>,
    spared: Lapsing<IpAddr>,
}

/// What a source did within the window that began with the first of it.
#[derive(Clone, Copy, Debug)]
struct Faults {
    count: u32,
    since: Instant,
}

impl Bans {
    /// From here on.
    pub(super) fn follow(&mut self, policy: BanPolicy) {
        self.policy = policy;
    }

    /// Hot path: one look into a table that is empty most of the time.
    pub(super) fn holds(&self, source: IpAddr, now: Instant) -> bool {
        holds(&self.banned, source, now)
    }

    /// For whoever takes connections.
    pub(super) fn banned(&self) -> Banned {
        Arc::clone(&self.banned)
    }

    /// It is one of ours: not banned for an hour, and from now on if it was.
    pub(super) fn spare(&mut self, source: IpAddr, now: Instant) {
        let source = subscriber(source);
        self.spared.note(source, now + SPARED, now);
        self.faults.remove(&source);
        self.banned.remove(&source);
    }

    /// Whether it has shown within the hour that it is one of ours.
    pub(super) fn is_spared(&self, source: IpAddr, now: Instant) -> bool {
        self.spared.holds(&subscriber(source), now)
    }

    /// Lifts every ban.
    pub(super) fn lift(&mut self) {
        self.banned.clear();
        self.faults.clear();
    }

    /// Forgets what has lapsed.
    pub(super) fn forget(&mut self, now: Instant) {
        self.spared.forget(now);
        self.banned.retain(|_, ban| now < ban.until);
        self.faults.retain(|_, faults| now.saturating_duration_since(faults.since) < WINDOW);
    }

    /// Notes a fault of `source`; whether it was one too many.
    fn is_last_straw(&mut self, source: IpAddr, now: Instant) -> bool {
        if self.policy.lasts.is_zero() || self.spared.holds(&source, now) {
            return false;
        }
        let fresh = Faults { count: 0, since: now };
        if self.faults.len() >= MOST && !self.faults.contains_key(&source) {
            let oldest = self.faults.iter().min_by_key(|(_, faults)| faults.since).map(|(&source, _)| source);
            oldest.map(|oldest| self.faults.remove(&oldest));
        }
        let faults = self.faults.entry(source).or_insert(fresh);
        if now.saturating_duration_since(faults.since) >= WINDOW {
            *faults = fresh;
        }
        faults.count += 1;
        let is_last = faults.count >= self.policy.after;
        if is_last {
            self.faults.remove(&source);
        }
        is_last
    }

    /// Bans `source`; in a full table the ban that would end first makes room.
    fn ban(&mut self, source: IpAddr, reason: &'static str, now: Instant, unix_ms: i64) {
        if self.banned.len() >= MOST {
            let first = self.banned.iter().min_by_key(|ban| ban.until).map(|ban| *ban.key());
            first.map(|first| self.banned.remove(&first));
        }
        let lasts_ms = i64::try_from(self.policy.lasts.as_millis()).unwrap_or(i64::MAX);
        let until_ms = unix_ms.saturating_add(lasts_ms);
        self.banned.insert(source, Ban { until: now + self.policy.lasts, until_ms, reason });
    }
}

/// Whether `source` is in `banned`.
pub(super) fn holds(banned: &Banned, source: IpAddr, now: Instant) -> bool {
    !banned.is_empty() && banned.get(&subscriber(source)).is_some_and(|ban| now < ban.until)
}

impl<W: World> Bridge<W> {
    /// Bans sources so from here on.
    pub fn ban_by(&mut self, policy: BanPolicy) {
        self.bans.follow(policy);
    }

    /// `remote` did what it should not have, and nobody can have forged that.
    pub(super) fn blame(&mut self, remote: SocketAddr, fault: Fault) {
        let source = subscriber(remote.ip());
        let is_banned = self.bans.holds(source, self.now);
        if is_banned || self.routes.spares(remote.ip()) || !self.bans.is_last_straw(source, self.now) {
            return;
        }
        let is_it = |address: IpAddr| subscriber(address) == source;
        if self.calls.values().any(|entry| entry.call.is_with(is_it)) {
            return;
        }
        let reason = fault.describe();
        self.bans.ban(source, reason, self.now, self.unix_ms);
        self.metrics.counters.bans.increment(1);
        let seconds = self.bans.policy.lasts.as_secs();
        tracing::warn!(%source, reason, seconds, "source banned; a reload lifts every ban");
    }

    /// A banned source sent something.
    pub(super) fn on_banned(&mut self, connection: Option<ConnectionId>) {
        self.metrics.counters.rejected(Rejection::Banned);
        if let Some(connection) = connection {
            self.world.close(connection);
        }
    }

    /// Every ban, the one that ends first in front.
    #[must_use]
    pub fn bans(&self) -> Vec<BanView> {
        let standing = self.bans.banned.iter().filter(|ban| self.now < ban.until);
        let mut bans: Vec<_> = standing.map(|ban| (*ban.key(), *ban.value())).collect();
        bans.sort_unstable_by_key(|(source, ban)| (ban.until, *source));
        let view = |(source, ban): (IpAddr, Ban)| BanView {
            source: match source {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(network) => format!("{network}/64"),
            },
            reason: ban.reason,
            until: rfc3339(ban.until_ms),
        };
        bans.into_iter().map(view).collect()
    }
}

impl Fault {
    fn describe(self) -> &'static str {
        match self {
            Self::Stranger => "connections from where no peer is",
            Self::Framing => "broken or unfinished messages",
            Self::Malformed => "messages that cannot be read",
            Self::Handshake => "no agreement on TLS",
            Self::Idle => "connections without a message",
            Self::Credentials => "wrong credentials",
        }
    }
}

/// Faults longer ago count no more.
const WINDOW: Duration = Duration::from_secs(600);

/// How long a source is spared after it was shown to be one of ours.
const SPARED: Duration = Duration::from_secs(3_600);

/// Bans, and sources with faults, at once.
const MOST: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_banned_after_so_many_faults_within_the_window_and_for_so_long() {
        let (mut bans, start) = (bans(3, 60), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);

        let straws = [0, 599, 600, 601, 602].map(|seconds| bans.is_last_straw(SOURCE, at(seconds)));
        bans.ban(SOURCE, "", at(602), 0);

        assert_eq!(straws, [false, false, false, false, true], "the window begins anew");
        assert_eq!([602, 661, 662].map(|seconds| bans.holds(SOURCE, at(seconds))), [true, true, false]);
        bans.forget(at(2_000));
        assert_eq!((bans.banned.len(), bans.faults.len()), (0, 0));
    }

    #[test]
    fn with_0_seconds_nobody_is_banned() {
        let mut bans = bans(1, 0);

        assert!(!bans.is_last_straw(SOURCE, Instant::now()));
        assert!(bans.faults.is_empty());
    }

    #[test]
    fn who_is_spared_is_set_free_and_not_banned_for_an_hour() {
        let (mut bans, start) = (bans(1, 600), Instant::now());
        assert!(bans.is_last_straw(SOURCE, start));
        bans.ban(SOURCE, "", start, 0);

        bans.spare(SOURCE, start);

        assert!(!bans.holds(SOURCE, start));
        assert!(!bans.is_last_straw(SOURCE, start + Duration::from_secs(3_599)));
        assert!(bans.is_last_straw(SOURCE, start + SPARED));
    }

    #[test]
    fn full_tables_forget_the_oldest_faults_and_the_ban_that_ends_first() {
        let (mut bans, start) = (bans(2, 600), Instant::now());
        let source = |place: u32| IpAddr::from(place.to_be_bytes());
        for place in 0..=u32::try_from(MOST).expect("a small number") {
            let now = start + Duration::from_millis(place.into());
            assert!(!bans.is_last_straw(source(place), now));
            bans.ban(source(place), "", now, 0);
        }

        assert_eq!((bans.faults.len(), bans.banned.len()), (MOST, MOST));
        assert_eq!([0, 1].map(|place| bans.holds(source(place), start)), [false, true]);
        assert_eq!([0, 1].map(|place| bans.faults.contains_key(&source(place))), [false, true]);
    }

    #[test]
    fn of_ipv6_the_network_of_one_subscriber_counts() {
        let (mut bans, now) = (bans(2, 600), Instant::now());
        let [one, other, neighbour] =
            ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"].map(|text| text.parse().expect("IPv6"));

        assert!(!bans.is_last_straw(subscriber(one), now));
        assert!(bans.is_last_straw(subscriber(other), now));
        bans.ban(subscriber(other), "", now, 0);

        assert_eq!([one, other, neighbour].map(|source| bans.holds(source, now)), [true, true, false]);
    }

    fn bans(after: u32, seconds: u64) -> Bans {
        let policy = BanPolicy { after, lasts: Duration::from_secs(seconds) };
        Bans { policy, ..Bans::default() }
    }

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9));
}
