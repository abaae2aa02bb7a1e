//! The handle that signalling holds: reserves ports, says who is where, reads counters.
//!
//! All of it happens on the signalling thread, which is never made to wait: what a media thread must know is
//! left in its mailbox, and what it counts is read from atomics. Both legs of a call are with one media
//! thread, and change it together.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::address::{Addresses, Local, PoolConfig};
use super::counters::LegCounters;
use super::handle::{Handle, Setup};
use super::latch::Signalled;
use super::leg::Leg;
use super::limits::{Capacity, pairs_by_files};
use super::mailbox::{Command, StreamId};
use super::ports::{Occupation, Pair, Ports, Rest};
use super::reason::Reason;
use super::reports::Reports;
use super::socket::cpus;
use super::stream::{Half, Stream};
use super::{Config, Event, LegMedia, LegStats, Press, ReserveError, Reserved, Rtcp, Side, StartError, Way};
use crate::clock;
use crate::id::CallId;
use crate::rtp::continuity::Position;
use crate::rtp::ringback::Ringback;
use crate::rtp::rtcp::{Cname, NtpClock, Session};

/// Held by the signalling thread. No method blocks or fails for a full queue: commands are never lost.
pub struct Engine {
    workers: Vec<Handle>,
    addresses: Addresses,
    ports: Ports,
    calls: HashMap<CallId, Call>,
    rng: StdRng,
    ntp_clock: NtpClock,
    silence_timeout: Option<Duration>,
    streams_active: usize,
}

/// What the engine knows of one call.
struct Call {
    worker: usize,
    stream: StreamId,
    pairs: [Pair; 2],
    described: [bool; 2],
    /// Whether a peer was there, which may go on sending.
    used: [bool; 2],
    counters: [Arc<LegCounters>; 2],
    reserved: Reserved,
}

/// What all media threads did with the datagrams they received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketTotals {
    /// Sent on.
    pub relayed: u64,
    /// Sent without having been received: silence, mostly.
    pub made: u64,
    /// Dropped, by reason.
    pub dropped: [(Reason, u64); Reason::ALL.len()],
    /// System calls that failed without a packet to blame.
    pub errors: u64,
}

impl Engine {
    /// Starts the relay threads. `events` is called from them and must not block; an event is passed once.
    ///
    /// # Errors
    ///
    /// An address that can't be listened on, no room for a single call, or the operating system's.
    pub fn start(config: &Config, events: Arc<dyn Fn(Event) + Send + Sync>) -> Result<Self, StartError> {
        let addresses = Addresses::new(config);
        for &PoolConfig { address, .. } in addresses.pools() {
            UdpSocket::bind((address, 0)).map_err(|error| StartError::Listen { address, error })?;
        }
        let silence_timeout = Some(config.silence_timeout_s)
            .filter(|&seconds| seconds > 0)
            .map(|seconds| Duration::from_secs(u64::from(seconds)));
        let cpus = cpus()?;
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        };
        let cpu = |n: usize| cpus.get(n % cpus.len().max(1)).copied().filter(|_| config.pin_threads);
        let setup = Setup { silence_timeout, realtime: config.realtime, events };
        let start = |n: usize| Handle::start(format!("media-{n}"), setup.clone(), cpu(n));
        let anchor = clock::anchor();
        let ports = Ports::new(addresses.pools(), threads, pairs_by_files());
        let capacity = Capacity::of(ports.pairs());
        if capacity.calls() == 0 {
            return Err(StartError::NoRoom(capacity));
        }
        Ok(Self {
            workers: (0..threads).map(start).collect::<io::Result<_>>()?,
            ports,
            addresses,
            calls: HashMap::new(),
            ntp_clock: NtpClock::new(anchor.now, anchor.unix),
            rng: StdRng::from_seed(clock::seed().map_err(io::Error::other)?),
            silence_timeout,
            streams_active: 0,
        })
    }

    /// Two port pairs on one media thread, where `caller` and `callee` can reach them.
    ///
    /// # Errors
    ///
    /// No port is free, or none of our addresses can reach a peer.
    pub fn reserve(
        &mut self,
        call: CallId,
        caller: impl Into<Way>,
        callee: impl Into<Way>,
    ) -> Result<Reserved, ReserveError> {
        if let Some(known) = self.calls.get(&call) {
            return Ok(known.reserved);
        }
        let now = clock::now();
        let locals = [
            self.addresses.toward(Side::Caller, caller.into(), now)?,
            self.addresses.toward(Side::Callee, callee.into(), now)?,
        ];
        let pairs = self.take_pairs(locals, now).ok_or_else(|| self.no_ports())?;
        let [caller_end, callee_end] =
            [0, 1].map(|side| SocketAddr::new(locals[side].advertised, pairs[side].port));
        let reserved = Reserved { caller: caller_end, callee: callee_end };
        let counters = [Arc::<LegCounters>::default(), Arc::default()];
        let halves = [0, 1].map(|side: usize| {
            let (leg, reports) = self.leg();
            Half::new(leg, reports, Arc::clone(&counters[side]), pairs[side].sockets, now)
        });
        let worker = pairs[0].worker;
        let stream = self.workers[worker].open(Box::new(Stream::new(call, halves)));
        let (described, used) = ([false; 2], [false; 2]);
        self.calls.insert(call, Call { worker, stream, pairs, described, used, counters, reserved });
        Ok(reserved)
    }

    /// Another pair for the callee of `call`, where `callee` can reach it; the caller's stays. Whoever was
    /// there before has to be cleared first.
    ///
    /// # Errors
    ///
    /// As [`Self::reserve`]; the pair that it has stays.
    pub fn reserve_callee(&mut self, call: CallId, callee: impl Into<Way>) -> Result<Reserved, ReserveError> {
        let now = clock::now();
        let local = self.addresses.toward(Side::Callee, callee.into(), now)?;
        let pair = self.calls.get(&call).and_then(|known| {
            let (ports, handle) = (&mut self.ports, &mut self.workers[known.worker]);
            let mut take = |rest| ports.take(local.pool, known.worker, handle, rest, now);
            take(Rest::Enough).or_else(|| take(Rest::Any))
        });
        let (Some(pair), Some(known)) = (pair, self.calls.get_mut(&call)) else {
            return Err(self.no_ports());
        };
        let (place, side) = (Side::Callee as usize, Side::Callee);
        let before = std::mem::replace(&mut known.pairs[place], pair);
        let was_used = std::mem::take(&mut known.used[place]) || known.counters[place].was_used();
        known.reserved.callee = SocketAddr::new(local.advertised, pair.port);
        let (id, reserved, sockets) = (known.stream, known.reserved, pair.sockets);
        self.workers[known.worker].push(Command::Rebind { id, side, sockets, at: now });
        if was_used {
            self.ports.give_back(before, now);
        } else {
            self.ports.give_back_unused(before);
        }
        Ok(reserved)
    }

    fn no_ports(&self) -> ReserveError {
        let Occupation { in_use, resting, refused } = self.ports.occupation();
        ReserveError::NoPorts { in_use, resting, refused }
    }

    /// Sets or changes one side; one whose address changed is learned again. Relays from
    /// when both sides are set.
    pub fn set_leg(&mut self, call: CallId, side: Side, media: LegMedia) {
        let Some(known) = self.calls.get_mut(&call) else { return };
        let both = known.described == [true; 2];
        known.described[side as usize] = true;
        self.streams_active += usize::from(!both && known.described == [true; 2]);
        let signalled = Signalled::new(media.remote, media.learn);
        let (id, at, worker) = (known.stream, clock::now(), &mut self.workers[known.worker]);
        if media.rtcp == Rtcp::Separate
            && let Some(rtcp) = self.ports.open_rtcp(&mut known.pairs[side as usize], worker)
        {
            worker.push(Command::OpenRtcp { id, side, rtcp });
        }
        worker.push(Command::Describe { id, side, signalled, media, at });
    }

    /// Forgets who is at `side` (the next target is tried); its ports stay reserved, its counters begin at 0.
    pub fn clear_leg(&mut self, call: CallId, side: Side) {
        let (leg, reports) = self.leg();
        let (leg, reports) = (Box::new(leg), Box::new(reports));
        let Some(known) = self.calls.get_mut(&call) else { return };
        self.streams_active -= usize::from(known.described == [true; 2]);
        known.described[side as usize] = false;
        let counters = Arc::<LegCounters>::default();
        let before = std::mem::replace(&mut known.counters[side as usize], Arc::clone(&counters));
        known.used[side as usize] |= before.was_used();
        let id = known.stream;
        self.workers[known.worker].push(Command::Clear { id, side, leg, reports, counters });
    }

    /// The call was answered: silence time-outs run from here, and a silent SDP address may be doubted.
    pub fn answered(&mut self, call: CallId) {
        if let Some(known) = self.calls.get_mut(&call) {
            known.used = [true; 2];
            self.workers[known.worker].push(Command::Answered { id: known.stream, at: clock::now() });
        }
    }

    /// Sends the peer of `side` a digit behind those that wait: as a telephone event, for which its audio
    /// pauses, or as tones, as its description says. One that takes neither is sent none.
    pub fn press(&mut self, call: CallId, side: Side, press: Press) {
        if let Some(known) = self.calls.get(&call) {
            self.workers[known.worker].push(Command::Press { id: known.stream, side, press });
        }
    }

    /// The peer of `side` hears ringing in place of silence, answered or not, until there is real audio for
    /// it or this is called with none.
    pub fn ring(&mut self, call: CallId, side: Side, tone: Option<Ringback>) {
        if let Some(known) = self.calls.get(&call) {
            self.workers[known.worker].push(Command::Ring { id: known.stream, side, tone });
        }
    }

    /// No silence time-out for `side` while it is held.
    pub fn set_held(&mut self, call: CallId, side: Side, held: bool) {
        if let Some(known) = self.calls.get(&call) {
            self.workers[known.worker].push(Command::Hold { id: known.stream, side, held, at: clock::now() });
        }
    }

    /// Both legs' counters, the caller's first; at any time before release.
    #[must_use]
    pub fn stats(&self, call: CallId) -> Option<[LegStats; 2]> {
        let [caller, callee] = &self.calls.get(&call)?.counters;
        Some([caller.snapshot(), callee.snapshot()])
    }

    /// How many media threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len()
    }

    /// Moves both legs of `call` to another media thread, counted from 0; packets that arrive meanwhile wait
    /// in their sockets. False if there is no such call or thread.
    pub fn move_to_thread(&mut self, call: CallId, thread: usize) -> bool {
        let Some(known) = self.calls.get_mut(&call).filter(|_| thread < self.workers.len()) else {
            return false;
        };
        if let Ok([from, to]) = self.workers.get_disjoint_mut([known.worker, thread]) {
            let sockets = known.pairs.map(|pair| pair.sockets);
            let (stream, sockets) = from.move_to(to, known.stream, sockets);
            (known.worker, known.stream) = (thread, stream);
            for (pair, sockets) in known.pairs.iter_mut().zip(sockets) {
                (pair.worker, pair.sockets) = (thread, sockets);
            }
        }
        true
    }

    /// Ends the call's media; its ports go back to the pool.
    pub fn release(&mut self, call: CallId) {
        let Some(known) = self.calls.remove(&call) else { return };
        let now = clock::now();
        self.streams_active -= usize::from(known.described == [true; 2]);
        self.workers[known.worker].release(known.stream);
        for (side, pair) in known.pairs.into_iter().enumerate() {
            if known.used[side] || known.counters[side].was_used() {
                self.ports.give_back(pair, now);
            } else {
                self.ports.give_back_unused(pair);
            }
        }
    }

    /// Calls whose media is relayed: both sides are set.
    #[must_use]
    pub fn streams_active(&self) -> usize {
        self.streams_active
    }

    /// `[media].silence_timeout_s`; `None` is never.
    #[must_use]
    pub fn silence_timeout(&self) -> Option<Duration> {
        self.silence_timeout
    }

    /// How many calls there is room for, and what bounds them; its text says what to raise.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        Capacity::of(self.ports.pairs())
    }

    /// What became of every datagram since the start.
    #[must_use]
    pub fn packet_totals(&self) -> PacketTotals {
        let sum = |read: &dyn Fn(&Handle) -> u64| self.workers.iter().map(read).sum();
        PacketTotals {
            relayed: sum(&|worker| worker.totals().relayed()),
            made: sum(&|worker| worker.totals().made()),
            dropped: Reason::ALL.map(|reason| (reason, sum(&|worker| worker.totals().dropped(reason)))),
            errors: sum(&|worker| worker.totals().errors()),
        }
    }

    /// A pair for each side, both of one media thread, the least busy one that has them.
    fn take_pairs(&mut self, locals: [Local; 2], now: Instant) -> Option<[Pair; 2]> {
        let mut order: Vec<usize> = (0..self.workers.len()).collect();
        order.sort_by_key(|&n| self.workers[n].load());
        let take = |rest| order.iter().find_map(|&n| self.take_pairs_of(n, locals, rest, now));
        [Rest::Enough, Rest::Any].into_iter().find_map(take)
    }

    fn take_pairs_of(
        &mut self,
        worker: usize,
        [caller, callee]: [Local; 2],
        rest: Rest,
        now: Instant,
    ) -> Option<[Pair; 2]> {
        let handle = &mut self.workers[worker];
        let first = self.ports.take(caller.pool, worker, handle, Rest::Enough, now);
        let first = first.or_else(|| self.ports.take(caller.pool, worker, handle, rest, now))?;
        let second = self.ports.take(callee.pool, worker, handle, Rest::Enough, now);
        let second = second.or_else(|| self.ports.take(callee.pool, worker, handle, rest, now));
        if second.is_none() {
            self.ports.give_back_unused(first);
        }
        Some([first, second?])
    }

    /// A leg whose numbers begin where nobody can guess; low enough to stay clear of the
    /// first wrap (RFC 3711 §3.3.1).
    fn leg(&mut self) -> (Leg, Reports) {
        let sequence = self.rng.random::<u16>() >> 1;
        let leg = Leg::new(Position { ssrc: self.rng.random(), sequence, timestamp: self.rng.random() });
        let session =
            Session::new(leg.outbound.ssrc(), Cname::from_random(self.rng.random()), self.ntp_clock);
        (leg, Reports::new(session, self.rng.random()))
    }
}
