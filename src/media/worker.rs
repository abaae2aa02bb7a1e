//! One media thread: waits for packets, relays them, and does as signalling told it in between.
//!
//! A turn is: wait, take commands, then one batch for every socket that has something, round and round. Edge-triggered
//! epoll reports a socket once, so one that was not drained stays on the ready list; one that floods gets a batch a
//! round like everybody else. The clock is read once a turn, commands come before packets, and no error ends the thread.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::counters::Totals;
use super::forward::{Reason, Verdict, forward};
use super::mailbox::{Command, Mailbox, SocketId, StreamId};
use super::socket::{BATCH, Batch, Epoll, Events, Waker};
use super::stream::Stream;
use super::{Event, Side};
use crate::clock;
use crate::rtp::rtcp::is_rtcp;

/// Signalling's end of a media thread.
pub(crate) struct Handle {
    mailbox: Arc<Mailbox>,
    epoll: Arc<Epoll>,
    totals: Arc<Totals>,
    thread: Option<JoinHandle<()>>,
    sockets: SocketId,
    streams: StreamId,
    free_streams: Vec<StreamId>,
}

/// The thread's own state.
struct Worker {
    mailbox: Arc<Mailbox>,
    epoll: Arc<Epoll>,
    totals: Arc<Totals>,
    events: Arc<dyn Fn(Event) + Send + Sync>,
    silence_timeout: Option<Duration>,
    sockets: Vec<Socket>,
    streams: Vec<Option<Box<Stream>>>,
    /// Calls that have a stream.
    active: usize,
    /// Sockets that may hold packets.
    ready: VecDeque<SocketId>,
    batch: Batch,
    inbox: Vec<Command>,
    next_tick: Instant,
}

struct Socket {
    socket: UdpSocket,
    role: Role,
    ready: bool,
}

/// Whose packets a socket receives.
#[derive(Clone, Copy)]
enum Role {
    /// Nobody's: what comes is for a call that is over.
    Pooled,
    Rtp(StreamId, Side),
    Rtcp(StreamId, Side),
}

impl Handle {
    /// Starts the thread called `name`.
    ///
    /// # Errors
    ///
    /// The operating system's, out of descriptors or threads for one.
    pub(crate) fn start(
        name: String,
        silence_timeout: Option<Duration>,
        events: Arc<dyn Fn(Event) + Send + Sync>,
    ) -> io::Result<Self> {
        let (epoll, waker) = (Arc::new(Epoll::new()?), Waker::new()?);
        epoll.add(&waker, WAKE)?;
        let (mailbox, totals) = (Arc::new(Mailbox::new(waker)), Arc::<Totals>::default());
        let shared = (Arc::clone(&mailbox), Arc::clone(&epoll), Arc::clone(&totals));
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let (mailbox, epoll, totals) = shared;
            let worker = Worker {
                mailbox,
                epoll,
                totals,
                events,
                silence_timeout,
                sockets: Vec::new(),
                streams: Vec::new(),
                active: 0,
                ready: VecDeque::new(),
                batch: Batch::default(),
                inbox: Vec::new(),
                next_tick: clock::now(),
            };
            worker.run();
        })?;
        let free_streams = Vec::new();
        Ok(Self { mailbox, epoll, totals, thread: Some(thread), sockets: 0, streams: 0, free_streams })
    }

    /// Hands a socket over for good; the thread drains it from here on.
    ///
    /// # Errors
    ///
    /// The operating system's, out of memory or watches for one.
    pub(crate) fn adopt(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        self.epoll.add(&socket, self.sockets)?;
        self.mailbox.push(Command::Adopt { socket });
        self.sockets += 1;
        Ok(self.sockets - 1)
    }

    /// Gives a call its stream.
    pub(crate) fn open(&mut self, stream: Box<Stream>) -> StreamId {
        let id = self.free_streams.pop().unwrap_or_else(|| {
            self.streams += 1;
            self.streams - 1
        });
        self.mailbox.push(Command::Open { id, stream });
        id
    }

    /// Ends a call's stream.
    pub(crate) fn release(&mut self, id: StreamId) {
        self.mailbox.push(Command::Release { id });
        self.free_streams.push(id);
    }

    pub(crate) fn push(&self, command: Command) {
        self.mailbox.push(command);
    }

    /// How many calls have a stream.
    pub(crate) fn load(&self) -> usize {
        self.streams as usize - self.free_streams.len()
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.mailbox.push(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

impl Worker {
    fn run(mut self) {
        let mut readable = Events::default();
        let mut now = clock::now();
        loop {
            let timeout = self.timeout(now);
            if self.epoll.wait(&mut readable, timeout).is_err() {
                self.totals.add_error();
                std::thread::sleep(AFTER_ERROR);
            }
            self.mailbox.on_wake();
            now = clock::now();
            if !self.obey() {
                return;
            }
            for id in readable.tokens() {
                self.on_readable(id);
            }
            self.relay_round(now);
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.on_tick(now);
            }
        }
    }

    /// How long to wait for packets; `None` is without end.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() {
            Some(Duration::ZERO)
        } else if self.active > 0 {
            Some(self.next_tick.saturating_duration_since(now))
        } else if self.mailbox.may_sleep() {
            None
        } else {
            Some(Duration::ZERO)
        }
    }

    /// Carries out what signalling left; false when the thread is to end.
    fn obey(&mut self) -> bool {
        let mut inbox = std::mem::take(&mut self.inbox);
        self.mailbox.take(&mut inbox);
        let mut going_on = true;
        for command in inbox.drain(..) {
            going_on &= self.on_command(command);
        }
        self.inbox = inbox;
        going_on
    }

    fn on_command(&mut self, command: Command) -> bool {
        match command {
            Command::Adopt { socket } => {
                self.sockets.push(Socket { socket, role: Role::Pooled, ready: false });
                self.on_readable((self.sockets.len() - 1) as SocketId);
            }
            Command::Open { id, stream } => self.open(id, stream),
            Command::Release { id } => self.release(id),
            Command::Describe { id, side, signalled, media, at } => {
                self.with(id, |stream| stream.describe(side, signalled, &media, at));
            }
            Command::Clear { id, side, leg, counters } => {
                self.with(id, |stream| stream.clear(side, *leg, counters));
            }
            Command::Answered { id, at } => self.with(id, |stream| stream.on_answer(at)),
            Command::Hold { id, side, held, at } => self.with(id, |stream| stream.hold(side, held, at)),
            Command::Stop => return false,
        }
        true
    }

    fn open(&mut self, id: StreamId, stream: Box<Stream>) {
        for (side, rtp, rtcp) in stream.sockets() {
            self.assign(rtp, Role::Rtp(id, side));
            self.assign(rtcp, Role::Rtcp(id, side));
        }
        let place = id as usize;
        if place >= self.streams.len() {
            self.streams.resize_with(place + 1, || None);
        }
        self.streams[place] = Some(stream);
        self.active += 1;
    }

    fn release(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id as usize).and_then(Option::take) else { return };
        for (_, rtp, rtcp) in stream.sockets() {
            self.assign(rtp, Role::Pooled);
            self.assign(rtcp, Role::Pooled);
        }
        self.active -= 1;
    }

    fn assign(&mut self, id: SocketId, role: Role) {
        if let Some(socket) = self.sockets.get_mut(id as usize) {
            socket.role = role;
        }
    }

    fn with(&mut self, id: StreamId, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.streams.get_mut(id as usize).and_then(Option::as_mut) {
            change(stream);
        }
    }

    fn on_readable(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id as usize)
            && !socket.ready
        {
            socket.ready = true;
            self.ready.push_back(id);
        }
    }

    /// One batch for each socket on the ready list.
    fn relay_round(&mut self, now: Instant) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            if self.relay(id, now) {
                self.ready.push_back(id);
            } else if let Some(socket) = self.sockets.get_mut(id as usize) {
                socket.ready = false;
            }
        }
    }

    /// Takes one batch from a socket; true if it may hold more.
    ///
    /// Hot path: two system calls for up to [`BATCH`] packets, no allocation, no lock, no clock.
    fn relay(&mut self, id: SocketId, now: Instant) -> bool {
        let Some(Socket { socket, role, .. }) = self.sockets.get(id as usize) else { return false };
        let received = match self.batch.receive(socket) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => {
                // A pending error is cleared by being read, and packets may stand behind it.
                self.totals.add_error();
                return true;
            }
        };
        match *role {
            Role::Pooled => self.totals.add_dropped(Reason::Pooled, received),
            Role::Rtp(stream, side) => self.on_rtp(stream, side, received, now),
            Role::Rtcp(stream, side) => self.on_rtcp(stream, side, received, now),
        }
        received == BATCH
    }

    fn on_rtp(&mut self, id: StreamId, side: Side, received: usize, now: Instant) {
        let Some(stream) = self.streams.get_mut(id as usize).and_then(Option::as_mut) else { return };
        let (from, to) = stream.from_and_to(side);
        let mut sending = false;
        for place in 0..received {
            let verdict = match self.batch.datagram(place) {
                Some((source, datagram)) => forward(datagram, source, now, &mut from.leg, &mut to.leg),
                None => Verdict::Drop(Reason::TooLong),
            };
            match verdict {
                Verdict::Send => {
                    self.batch.keep(place);
                    sending = true;
                }
                Verdict::Drop(reason) => self.totals.add_dropped(reason, 1),
            }
        }
        from.counters.publish_received(&from.leg);
        let destination = to.leg.peer.as_ref().and_then(|peer| peer.latch.destination());
        if sending
            && let Some(destination) = destination
            && let Some(out) = self.sockets.get(to.rtp as usize)
        {
            let sent = self.batch.send(&out.socket, destination);
            to.counters.add_sent(sent.sent);
            self.totals.add_relayed(sent.sent);
            self.totals.add_dropped(Reason::SendFailed, sent.failed);
        }
    }

    /// RTCP ends here, but a peer that reports is not silent.
    fn on_rtcp(&mut self, id: StreamId, side: Side, received: usize, now: Instant) {
        let Some(stream) = self.streams.get_mut(id as usize).and_then(Option::as_mut) else { return };
        let leg = &mut stream.side(side).leg;
        for place in 0..received {
            let Some((source, datagram)) = self.batch.datagram(place) else { continue };
            let known = leg.peer.as_ref().is_some_and(|peer| peer.latch.knows(source.ip()));
            if known && is_rtcp(datagram) {
                leg.heard = Some(now);
            }
            self.totals.add_dropped(if known { Reason::Rtcp } else { Reason::Stranger }, 1);
        }
    }

    fn on_tick(&mut self, now: Instant) {
        let Some(limit) = self.silence_timeout else { return };
        for stream in self.streams.iter_mut().flatten() {
            while let Some(side) = stream.silent_side(limit, now) {
                (self.events)(Event::Silent { call: stream.call, side });
            }
        }
    }
}

/// How often the thread comes by on its own while calls are up.
const TICK: Duration = Duration::from_millis(200);
const AFTER_ERROR: Duration = Duration::from_millis(10);
/// The waker's token; no socket's id comes near it.
const WAKE: u32 = u32::MAX;
