//! One media thread: waits for packets, relays them, and does as signalling told it in between.
//!
//! A turn is: wait, take commands, one batch for every socket that has something, then whoever is due on the
//! wheel. Edge-triggered epoll reports a socket once, so one that was not drained stays on the ready list;
//! one that floods gets a batch a turn like everybody else. The clocks are read once a turn, no packet is
//! looked at before the commands that preceded it, and neither an error nor a panic ends the thread: a panic
//! ends the calls it had, which are told of to signalling, since one that a peer can cause must not take the
//! calls of other threads with it.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::Totals;
use super::handle::Setup;
use super::link::Change;
use super::mailbox::{Command, Mailbox, SideSockets, SocketId, StreamId};
use super::socket::{Batch, CAPACITY, Epoll, Events, disconnect};
use super::stream::Stream;
use super::wheel::Wheel;
use super::{Event, Side};
use crate::clock::{self, Anchor};

mod looks;
mod round;

use round::{Parcel, Received};

/// The thread's own state.
pub(crate) struct Worker {
    mailbox: Arc<Mailbox>,
    epoll: Arc<Epoll>,
    totals: Arc<Totals>,
    setup: Setup,
    sockets: Vec<Option<Socket>>,
    streams: Vec<Place>,
    /// When each side of each stream is looked at next.
    wheel: Wheel,
    /// What epoll reported last.
    readable: Events,
    /// Sockets that may hold packets, each once.
    ready: VecDeque<SocketId>,
    batch: Batch,
    /// What was received and is not relayed yet.
    received: Vec<Received>,
    /// What is relayed and not sent yet.
    parcels: Vec<Parcel>,
    /// The next one last.
    inbox: Vec<Command>,
    stopped: bool,
    anchor: Anchor,
}

struct Socket {
    socket: UdpSocket,
    role: Role,
    ready: bool,
    /// How many datagrams to ask for: more of one that had as many as it was asked for.
    wanted: u8,
    /// System calls in a row that failed.
    errors: u8,
}

/// Whose packets a socket receives.
#[derive(Clone, Copy)]
enum Role {
    /// Nobody's: what comes is for a call that is over.
    Pooled,
    Rtp(StreamId, Side),
    Rtcp(StreamId, Side),
}

/// What stands at the place of a stream.
enum Place {
    Empty,
    /// It is on its way here, and these commands are for it.
    Expected(Vec<Command>),
    Here(Box<Stream>),
}

impl Worker {
    pub(crate) fn new(mailbox: Arc<Mailbox>, epoll: Arc<Epoll>, totals: Arc<Totals>, setup: Setup) -> Self {
        let anchor = clock::anchor();
        Self {
            mailbox,
            epoll,
            totals,
            setup,
            sockets: Vec::new(),
            streams: Vec::new(),
            wheel: Wheel::new(anchor.now),
            readable: Events::default(),
            ready: VecDeque::new(),
            batch: Batch::default(),
            received: Vec::with_capacity(CAPACITY),
            parcels: Vec::with_capacity(CAPACITY),
            inbox: Vec::new(),
            stopped: false,
            anchor,
        }
    }

    /// Works until [`Command::Stop`].
    pub(crate) fn run(mut self) {
        while !self.stopped {
            if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
                self.on_panic();
            }
        }
    }

    fn work(&mut self) {
        while !self.stopped {
            let timeout = self.timeout();
            if self.epoll.wait(&mut self.readable, timeout).is_err() {
                self.totals.add_error();
                std::thread::sleep(AFTER_ERROR);
            }
            self.mailbox.on_wake();
            self.anchor = clock::anchor();
            self.obey();
            for place in 0..self.readable.len() {
                self.on_readable(self.readable.token(place));
            }
            self.relay_round();
            while let Some(entry) = self.wheel.take(self.anchor.now) {
                self.on_timer(entry);
            }
        }
    }

    /// How long to wait for packets; `None` is without end.
    fn timeout(&self) -> Option<Duration> {
        let deadline = self.wheel.next_deadline();
        if !self.ready.is_empty() || !self.mailbox.may_rest(deadline.is_none()) {
            return Some(Duration::ZERO);
        }
        deadline.map(|deadline| deadline.saturating_duration_since(clock::now()))
    }

    /// Ends every call, as nobody knows what state they are in, and begins anew with the
    /// sockets and commands there are.
    fn on_panic(&mut self) {
        self.totals.add_error();
        let mut ended = 0;
        for id in 0..self.streams.len() as StreamId {
            if let Some(stream) = self.take(id) {
                (self.setup.events)(Event::Failed { call: stream.call });
                ended += 1;
            }
        }
        let thread = std::thread::current();
        tracing::error!(thread = thread.name(), ended, "media thread panicked, and its calls end: a defect");
        self.received.clear();
        self.parcels.clear();
        self.ready.clear();
        for id in 0..self.sockets.len() as SocketId {
            if let Some(socket) = self.socket(id) {
                socket.ready = false;
                self.on_readable(id);
            }
        }
        std::thread::sleep(AFTER_ERROR);
    }

    /// Carries out what signalling left.
    fn obey(&mut self) {
        if self.inbox.is_empty() {
            self.mailbox.take(&mut self.inbox);
            self.inbox.reverse();
        }
        while let Some(command) = self.inbox.pop() {
            self.on_command(command);
        }
    }

    fn on_command(&mut self, command: Command) {
        if let Some(Place::Expected(waiting)) =
            command.stream().and_then(|id| self.streams.get_mut(id as usize))
        {
            waiting.push(command);
            return;
        }
        match command {
            Command::Adopt { id, socket } => self.adopt(id, socket),
            Command::Open { id, stream } => self.open(id, stream),
            Command::Release { id } => {
                self.report(id, Side::Caller, true);
                self.report(id, Side::Callee, true);
                self.take(id);
            }
            Command::Describe { id, side, signalled, media, at } => {
                self.with(id, |stream| stream.describe(side, signalled, &media, at));
                self.follow_peer(id, side);
                self.look_soon(id, side);
            }
            Command::Clear { id, side, leg, reports, counters } => {
                self.report(id, side, true);
                self.with(id, |stream| stream.clear(side, *leg, *reports, counters));
                self.follow_peer(id, side);
            }
            Command::Answered { id, at } => {
                self.with(id, |stream| stream.on_answer(at));
                for side in [Side::Caller, Side::Callee] {
                    self.look_soon(id, side);
                }
            }
            Command::Hold { id, side, held, at } => self.with(id, |stream| stream.hold(side, held, at)),
            Command::Press { id, side, press } => {
                self.with(id, |stream| {
                    stream.side(side).leg.press(press);
                });
                self.look_soon(id, side);
            }
            Command::Ring { id, side, tone } => {
                self.with(id, |stream| stream.side(side).leg.ring(tone));
                self.look_soon(id, side);
            }
            Command::OpenRtcp { id, side, rtcp } => {
                self.with(id, |stream| stream.side(side).sockets.rtcp = Some(rtcp));
                self.assign(rtcp, Role::Rtcp(id, side));
            }
            Command::Rebind { id, side, sockets, at } => self.rebind(id, side, sockets, at),
            Command::Leave { id, to, new_id, new_sockets } => self.leave(id, &to, new_id, new_sockets),
            Command::Expect { id } => *self.place(id) = Place::Expected(Vec::new()),
            Command::Arrive { id, stream, sockets } => self.arrive(id, stream, sockets),
            Command::Stop => self.stopped = true,
        }
    }

    fn adopt(&mut self, id: SocketId, socket: UdpSocket) {
        self.forget_received(id);
        let place = id as usize;
        if place >= self.sockets.len() {
            self.sockets.resize_with(place + 1, || None);
            self.ready.reserve(self.sockets.len().saturating_sub(self.ready.len()));
        }
        self.sockets[place] =
            Some(Socket { socket, role: Role::Pooled, ready: false, wanted: FEW, errors: 0 });
        self.on_readable(id);
    }

    fn open(&mut self, id: StreamId, stream: Box<Stream>) {
        for (side, sockets) in stream.sockets() {
            self.lend(sockets, id, side);
        }
        *self.place(id) = Place::Here(stream);
        for side in [Side::Caller, Side::Callee] {
            self.look_soon(id, side);
        }
    }

    /// Gives one side of a stream other sockets; those it had are nobody's again.
    fn rebind(&mut self, id: StreamId, side: Side, sockets: SideSockets, at: Instant) {
        let Some(half) = self.stream(id).map(|stream| stream.side(side)) else { return };
        let change = half.link.reset();
        let before = std::mem::replace(&mut half.sockets, sockets);
        half.lent = at;
        self.take_back(before, change);
        self.lend(sockets, id, side);
    }

    fn lend(&mut self, sockets: SideSockets, id: StreamId, side: Side) {
        self.assign(sockets.rtp, Role::Rtp(id, side));
        if let Some(rtcp) = sockets.rtcp {
            self.assign(rtcp, Role::Rtcp(id, side));
        }
    }

    fn take_back(&mut self, sockets: SideSockets, change: Option<Change>) {
        self.relink(sockets.rtp, change);
        for socket in std::iter::once(sockets.rtp).chain(sockets.rtcp) {
            self.assign(socket, Role::Pooled);
        }
    }

    /// Ends a stream; its sockets are nobody's again.
    fn take(&mut self, id: StreamId) -> Option<Box<Stream>> {
        let place = self.streams.get_mut(id as usize)?;
        let Place::Here(mut stream) = std::mem::replace(place, Place::Empty) else { return None };
        for (side, sockets) in stream.sockets() {
            let change = stream.side(side).link.reset();
            self.take_back(sockets, change);
            self.wheel.disarm(entry(id, side));
        }
        Some(stream)
    }

    /// Hands a stream over. What arrives meanwhile waits in its sockets.
    fn leave(&mut self, id: StreamId, to: &Mailbox, new_id: StreamId, new_sockets: [SideSockets; 2]) {
        self.relay_at_once(id);
        let Some(mut stream) = self.take(id) else { return };
        let mut sockets = Vec::new();
        for ((side, old), new) in stream.sockets().into_iter().zip(new_sockets) {
            let pairs = [(Some(old.rtp), Some(new.rtp)), (old.rtcp, new.rtcp)];
            for (old, new) in pairs.into_iter().filter_map(|(old, new)| old.zip(new)) {
                let Some(socket) = self.sockets.get_mut(old as usize).and_then(Option::take) else {
                    continue;
                };
                if self.epoll.remove(&socket.socket).is_err() {
                    self.totals.add_error();
                }
                sockets.push((new, socket.socket));
            }
            stream.side(side).sockets = new;
        }
        let left = |id: SocketId| self.sockets.get(id as usize).is_none_or(Option::is_none);
        self.ready.retain(|&id| !left(id));
        to.push(Command::Arrive { id: new_id, stream, sockets });
    }

    fn arrive(&mut self, id: StreamId, stream: Box<Stream>, sockets: Vec<(SocketId, UdpSocket)>) {
        for (socket_id, socket) in sockets {
            if self.epoll.add(&socket, socket_id).is_err() {
                self.totals.add_error();
            }
            self.adopt(socket_id, socket);
        }
        let before = std::mem::replace(self.place(id), Place::Empty);
        self.open(id, stream);
        if let Place::Expected(waiting) = before {
            for command in waiting {
                self.on_command(command);
            }
        }
    }

    fn place(&mut self, id: StreamId) -> &mut Place {
        let place = id as usize;
        if place >= self.streams.len() {
            self.streams.resize_with(place + 1, || Place::Empty);
        }
        &mut self.streams[place]
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        match self.streams.get_mut(id as usize) {
            Some(Place::Here(stream)) => Some(stream),
            Some(Place::Empty | Place::Expected(_)) | None => None,
        }
    }

    fn with(&mut self, id: StreamId, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.stream(id) {
            change(stream);
        }
    }

    fn socket(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(id as usize).and_then(Option::as_mut)
    }

    fn assign(&mut self, id: SocketId, role: Role) {
        if let Some(socket) = self.socket(id) {
            socket.role = role;
        }
    }

    fn on_readable(&mut self, id: SocketId) {
        if let Some(socket) = self.socket(id)
            && !socket.ready
        {
            socket.ready = true;
            self.ready.push_back(id);
        }
    }

    /// Carries out `change`; false if it failed.
    fn relink(&mut self, id: SocketId, change: Option<Change>) -> bool {
        let (Some(change), Some(socket)) = (change, self.socket(id)) else { return true };
        let done = match change {
            Change::Connect(to) => socket.socket.connect(to),
            Change::Disconnect => disconnect(&socket.socket),
        };
        if done.is_err() {
            self.totals.add_error();
        }
        done.is_ok()
    }
}

/// The wheel's number for one side of a stream.
fn entry(id: StreamId, side: Side) -> u32 {
    2 * id + side as u32
}

const AFTER_ERROR: Duration = Duration::from_millis(10);
/// Datagrams asked of a socket that did not fill a batch last time.
const FEW: u8 = 2;
/// The waker's token; no socket's id comes near it.
pub(crate) const WAKE: u32 = u32::MAX;

#[cfg(test)]
mod tests;
