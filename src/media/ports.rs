//! The pool of port pairs: RTP on an even port, RTCP on the next (RFC 3550 §11).
//!
//! A pair is opened when it is first needed, belongs to one media thread at a time, and is never closed:
//! what a former peer still sends is drained by that thread while the pair rests, for two seconds at least
//! as long as others are left, and the one that rested longest is used first. A range that is short of
//! that many pairs is no reason to refuse a call: then pairs rest for less. A hand-over costs no system
//! call. An RTCP socket is opened for the first peer that has reports, since an idle socket costs the
//! kernel as much as a busy one.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::address::PoolConfig;
use super::handle::Handle;
use super::mailbox::{SideSockets, SocketId};
use super::socket::stamp_arrivals;

/// The pairs of every listening address.
#[derive(Debug)]
pub(crate) struct Ports {
    pools: Vec<Pool>,
    /// How many pairs may still be opened: more would take the files that connections need.
    openable: usize,
}

/// How long a pair must have rested to be lent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// Two seconds, if any peer was there before; else one is opened.
    Enough,
    /// As long as it could, there being no better one.
    Any,
}

/// What the pairs of all pools are doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Occupation {
    pub(crate) in_use: usize,
    pub(crate) resting: usize,
    /// Those left that were tried, and that the operating system refused.
    pub(crate) refused: usize,
}

/// An open pair of sockets, lent to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pair {
    /// The place of the listening address.
    pub(crate) listen: usize,
    /// The media thread it belongs to.
    pub(crate) worker: usize,
    /// The RTP port; RTCP is the one above.
    pub(crate) port: u16,
    pub(crate) sockets: SideSockets,
}

/// The pairs of one listening address.
#[derive(Debug)]
struct Pool {
    address: IpAddr,
    unopened: VecDeque<u16>,
    /// How many of those, the last ones, were refused in a row.
    refused: usize,
    /// No port is tried before: all that are left were refused.
    refused_until: Option<Instant>,
    /// For each media thread, the one that rested longest first.
    resting: Vec<VecDeque<Resting>>,
    lent: usize,
    pairs: usize,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    pair: Pair,
    /// `None` for one that was never used.
    since: Option<Instant>,
}

impl Ports {
    /// For each of `pools`, the pairs in its range, shared by `workers` threads; at most `openable` of all
    /// are opened.
    pub(crate) fn new(pools: &[PoolConfig], workers: usize, openable: usize) -> Self {
        let even = |port: &u16| port.is_multiple_of(2);
        let pool = |&PoolConfig { address, ports: [first, last] }: &PoolConfig| {
            let unopened: VecDeque<u16> = (first..last).filter(even).collect();
            let resting = vec![VecDeque::new(); workers];
            let pairs = unopened.len();
            Pool { address, pairs, unopened, refused: 0, refused_until: None, resting, lent: 0 }
        };
        Self { pools: pools.iter().map(pool).collect(), openable }
    }

    /// Lends a pair of the address at `listen` that belongs to `worker`, the one that rested longest.
    pub(crate) fn take(
        &mut self,
        listen: usize,
        worker: usize,
        handle: &mut Handle,
        rest: Rest,
        now: Instant,
    ) -> Option<Pair> {
        let pool = self.pools.get_mut(listen)?;
        let pair = match rest {
            Rest::Enough => pool.rested(worker, now).or_else(|| {
                let left = self.openable.checked_sub(1)?;
                let (port, rtp) = pool.open(handle, now)?;
                self.openable = left;
                Some(Pair { listen, worker, port, sockets: SideSockets { rtp, rtcp: None } })
            }),
            Rest::Any => pool.longest_resting(worker),
        }?;
        pool.lent += 1;
        Some(pair)
    }

    /// The RTCP socket of `pair`, just opened; `None` if it was open, or can't be.
    pub(crate) fn open_rtcp(&self, pair: &mut Pair, handle: &mut Handle) -> Option<SocketId> {
        if pair.sockets.rtcp.is_some() {
            return None;
        }
        let address = SocketAddr::new(self.pools.get(pair.listen)?.address, pair.port + 1);
        match open(address).and_then(|socket| handle.adopt(socket)) {
            Ok(rtcp) => pair.sockets.rtcp = Some(rtcp),
            Err(error) => tracing::debug!(%error, %address, "RTCP port can't be opened"),
        }
        pair.sockets.rtcp
    }

    /// Takes back a pair that a call used.
    pub(crate) fn give_back(&mut self, pair: Pair, now: Instant) {
        self.rest(pair, Some(now), VecDeque::push_back);
    }

    /// Takes back a pair that no peer ever heard of.
    pub(crate) fn give_back_unused(&mut self, pair: Pair) {
        self.rest(pair, None, VecDeque::push_front);
    }

    /// What all pairs are doing.
    pub(crate) fn occupation(&self) -> Occupation {
        let sum = |count: fn(&Pool) -> usize| self.pools.iter().map(count).sum();
        Occupation {
            in_use: sum(|pool| pool.lent),
            resting: sum(|pool| pool.resting.iter().map(VecDeque::len).sum()),
            refused: sum(|pool| pool.refused.min(pool.unopened.len())),
        }
    }

    /// Pairs in the range, for the address that has the fewest.
    pub(crate) fn pairs(&self) -> usize {
        self.pools.iter().map(|pool| pool.pairs).min().unwrap_or(0)
    }

    fn rest(
        &mut self,
        pair: Pair,
        since: Option<Instant>,
        place: impl FnOnce(&mut VecDeque<Resting>, Resting),
    ) {
        let Some(pool) = self.pools.get_mut(pair.listen) else { return };
        pool.lent -= 1;
        if let Some(resting) = pool.resting.get_mut(pair.worker) {
            place(resting, Resting { pair, since });
        }
    }
}

impl Pool {
    fn rested(&mut self, worker: usize, now: Instant) -> Option<Pair> {
        let over = |since: Instant| now.saturating_duration_since(since) >= QUARANTINE;
        let resting = self.resting.get_mut(worker)?;
        resting.pop_front_if(|first| first.since.is_none_or(over)).map(|rested| rested.pair)
    }

    fn longest_resting(&mut self, worker: usize) -> Option<Pair> {
        self.resting.get_mut(worker)?.pop_front().map(|resting| resting.pair)
    }

    /// Opens the next pair that nobody else holds; refused ones go to the end of the row.
    fn open(&mut self, handle: &mut Handle, now: Instant) -> Option<(u16, SocketId)> {
        if self.refused_until.is_some_and(|until| now < until) {
            return None;
        }
        for _ in 0..self.unopened.len().min(ATTEMPTS) {
            let port = self.unopened.pop_front()?;
            let error = match open(SocketAddr::new(self.address, port)).and_then(|rtp| handle.adopt(rtp)) {
                Ok(rtp) => {
                    self.refused = 0;
                    return Some((port, rtp));
                }
                Err(error) => error,
            };
            self.unopened.push_back(port);
            if error.kind() != io::ErrorKind::AddrInUse {
                tracing::warn!(%error, port, address = %self.address, "media port can't be opened");
                self.refused = self.unopened.len();
                break;
            }
            self.refused += 1;
            tracing::debug!(port, address = %self.address, "media port is in use by another program");
        }
        if self.refused >= self.unopened.len() {
            self.refused_until = Some(now + RETRY);
        }
        None
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(EXPEDITED_FORWARDING)?;
    } else {
        socket.set_tos_v4(EXPEDITED_FORWARDING)?;
    }
    socket.bind(&address.into())?;
    let socket = socket.into();
    stamp_arrivals(&socket)?;
    Ok(socket)
}

const QUARANTINE: Duration = Duration::from_secs(2);
/// How long refused ports are left alone.
const RETRY: Duration = Duration::from_secs(5);
/// Ports tried for one call: signalling waits meanwhile.
const ATTEMPTS: usize = 64;
/// DSCP EF (RFC 3246) in the upper six bits.
const EXPEDITED_FORWARDING: u32 = 0xB8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::media::handle::Setup;

    #[test]
    fn pairs_are_even_and_inside_the_range() {
        let (mut ports, mut handle) = pool("127.0.9.1", [41_001, 41_006]);
        let now = Instant::now();

        let taken: Vec<_> =
            (0..3).map(|_| ports.take(0, 0, &mut handle, Rest::Enough, now).map(|pair| pair.port)).collect();

        assert_eq!(taken, [Some(41_002), Some(41_004), None]);
        assert_eq!(ports.pairs(), 2);
        assert_eq!(ports.occupation(), Occupation { in_use: 2, resting: 0, refused: 0 });
    }

    #[test]
    fn a_pair_rests_two_seconds_and_the_one_that_rested_longest_comes_first() {
        let (mut ports, mut handle) = pool("127.0.9.2", [41_000, 41_003]);
        let start = Instant::now();
        let mut take = |ports: &mut Ports, ms| {
            ports.take(0, 0, &mut handle, Rest::Enough, start + Duration::from_millis(ms))
        };
        let (first, second) = (take(&mut ports, 0).unwrap(), take(&mut ports, 0).unwrap());
        ports.give_back(second, start);
        ports.give_back(first, start + Duration::from_millis(5));

        assert_eq!(take(&mut ports, 1_999), None);
        assert_eq!(take(&mut ports, 2_000), Some(second));
        assert_eq!(take(&mut ports, 2_004), None);
        assert_eq!(take(&mut ports, 2_005), Some(first));
    }

    #[test]
    fn a_range_too_short_for_the_rest_of_all_lends_the_pair_that_rested_longest() {
        let (mut ports, mut handle) = pool("127.0.9.7", [41_000, 41_019]);
        let start = Instant::now();
        let mut last = [None; 10];

        for call in 0..1_000 {
            let now = start + Duration::from_millis(10 * call);
            let taken = ports
                .take(0, 0, &mut handle, Rest::Enough, now)
                .or_else(|| ports.take(0, 0, &mut handle, Rest::Any, now));
            let pair = taken.unwrap();
            let before = last[usize::from(pair.port - 41_000) / 2].replace(call);
            assert!(before.is_none_or(|before| call - before == 10));
            ports.give_back(pair, now);
        }
    }

    #[test]
    fn no_more_pairs_are_opened_than_there_are_files_for_and_the_others_rest_for_less() {
        let (mut ports, mut handle) = pool("127.0.9.8", [41_000, 41_019]);
        ports.openable = 2;
        let now = Instant::now();
        let mut take = |ports: &mut Ports, rest| ports.take(0, 0, &mut handle, rest, now);

        let opened = [(); 3].map(|()| take(&mut ports, Rest::Enough));
        ports.give_back(opened[0].unwrap(), now);

        assert_eq!(opened[2], None);
        assert_eq!(take(&mut ports, Rest::Enough), None);
        assert_eq!(take(&mut ports, Rest::Any), opened[0]);
    }

    #[test]
    fn an_unused_pair_needs_no_rest_and_waits_for_none_that_does() {
        let (mut ports, mut handle) = pool("127.0.9.3", [41_000, 41_003]);
        let now = Instant::now();
        let [used, unused] = [(); 2].map(|()| ports.take(0, 0, &mut handle, Rest::Enough, now).unwrap());

        ports.give_back(used, now);
        ports.give_back_unused(unused);

        assert_eq!(ports.take(0, 0, &mut handle, Rest::Enough, now), Some(unused));
    }

    #[test]
    fn a_port_that_another_program_holds_is_skipped_and_tried_again_later() {
        let held = UdpSocket::bind("127.0.9.4:41000").unwrap();
        let (mut ports, mut handle) = pool("127.0.9.4", [41_000, 41_003]);
        let now = Instant::now();
        let mut take =
            |ports: &mut Ports, at| ports.take(0, 0, &mut handle, Rest::Enough, at).map(|pair| pair.port);

        assert_eq!(take(&mut ports, now), Some(41_002));
        assert_eq!(take(&mut ports, now), None);
        assert_eq!(ports.occupation(), Occupation { in_use: 1, resting: 0, refused: 1 });
        drop(held);
        assert_eq!(take(&mut ports, now), None);
        assert_eq!(take(&mut ports, now + RETRY), Some(41_000));
    }

    #[test]
    fn media_sockets_are_marked_for_expedited_forwarding() {
        let v4: Socket = open("127.0.9.5:0".parse().unwrap()).unwrap().into();
        let v6: Socket = open("[::1]:0".parse().unwrap()).unwrap().into();

        assert_eq!((v4.tos_v4().unwrap(), v6.tclass_v6().unwrap()), (0xB8, 0xB8));
    }

    #[test]
    fn rtcp_is_opened_once_on_the_port_above() {
        let (mut ports, mut handle) = pool("127.0.9.6", [41_000, 41_001]);
        let now = Instant::now();
        let mut pair = ports.take(0, 0, &mut handle, Rest::Enough, now).unwrap();
        assert!(UdpSocket::bind("127.0.9.6:41001").is_ok());

        let opened = ports.open_rtcp(&mut pair, &mut handle);

        assert_eq!(opened, pair.sockets.rtcp);
        assert!(opened.is_some() && UdpSocket::bind("127.0.9.6:41001").is_err());
        assert_eq!(ports.open_rtcp(&mut pair, &mut handle), None);
    }

    fn pool(address: &str, range: [u16; 2]) -> (Ports, Handle) {
        let setup = Setup { silence_timeout: None, realtime: false, events: Arc::new(|_| ()) };
        let handle = Handle::start("media-test".to_owned(), setup, None).unwrap();
        let pool = PoolConfig { address: address.parse().unwrap(), ports: range };
        (Ports::new(&[pool], 1, usize::MAX), handle)
    }
}
