//! All audio of both far ends, on one thread with one clock: every stream is served once in 20 ms.
//!
//! A task or a timer per stream would cost more than the packets do, and its delays would look like the
//! bridge's. Here the streams are dealt over 20 slots of 1 ms; at its slot a stream sends what is due and
//! takes what has come. Reading late does no harm, since the kernel stamps arrivals.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::sim::g711::Law;
use crate::sim::mark::{Mark, Payload};
use crate::sim::rtp_socket::RtpSocket;
use crate::sim::stream::{Aim, Numbering, Origin, Recording, Stream, StreamId, Voice};

/// The audio thread, as the far ends see it; it ends when the last handle is gone.
#[derive(Clone)]
pub struct Media {
    commands: Sender<Command>,
    next: Arc<AtomicUsize>,
    lateness_us: Arc<AtomicU64>,
}

/// A stream of one call: its socket is open, and it listens.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) id: StreamId,
    /// What the SDP names.
    pub(super) address: SocketAddr,
    heard: Arc<AtomicU64>,
}

impl Port {
    /// Packets that ever came, of any kind.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

enum Command {
    Open(StreamId, Box<Stream>),
    Aim(StreamId, Aim),
    Talk(StreamId, bool),
    Record(StreamId, oneshot::Sender<Recording>),
    Stop(StreamId),
    Close(StreamId),
}

impl Media {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The operating system's, when it has no thread to give.
    pub fn start() -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let stamps = RtpSocket::bind(Ipv4Addr::LOCALHOST.into())?;
        let lateness_us = Arc::new(AtomicU64::new(0));
        let late = lateness_us.clone();
        thread::Builder::new()
            .name("sim-media".into())
            .spawn(move || Ticker { inbox, streams: Vec::new(), late, _stamps: stamps }.run())?;
        Ok(Self { commands, next: Arc::default(), lateness_us })
    }

    /// By how much the thread was ever behind its clock, in µs: the far ends' own slowness.
    #[must_use]
    pub fn lateness_us(&self) -> u64 {
        self.lateness_us.load(Ordering::Relaxed)
    }

    /// What `stream` has heard so far; empty for one that is closed.
    pub async fn recording(&self, stream: StreamId) -> Recording {
        let (reply, recording) = oneshot::channel();
        self.command(Command::Record(stream, reply));
        recording.await.unwrap_or_default()
    }

    /// Lets `stream` send its tone, or silence.
    pub fn talk(&self, stream: StreamId, talks: bool) {
        self.command(Command::Talk(stream, talks));
    }

    pub(super) fn open(&self, ip: IpAddr, voice: Arc<Voice>, numbering: Numbering) -> io::Result<Port> {
        let socket = RtpSocket::bind(ip)?;
        let address = socket.address()?;
        let id = StreamId(self.next.fetch_add(1, Ordering::Relaxed));
        let heard = Arc::new(AtomicU64::new(0));
        let stream = Stream::new(id, socket, numbering, voice, heard.clone());
        self.command(Command::Open(id, Box::new(stream)));
        Ok(Port { id, address, heard })
    }

    pub(super) fn aim(&self, stream: StreamId, remote: SocketAddr, law: Law, events: Option<u8>) {
        self.command(Command::Aim(stream, Aim { remote, law, events }));
    }

    /// Ends sending and listening, and keeps what was heard.
    pub fn stop(&self, stream: StreamId) {
        self.command(Command::Stop(stream));
    }

    pub(super) fn close(&self, stream: StreamId) {
        self.command(Command::Close(stream));
    }

    fn command(&self, command: Command) {
        // The thread outlives every handle; after a panic of its own there is nothing left to command.
        let _ = self.commands.send(command);
    }
}

struct Ticker {
    inbox: Receiver<Command>,
    streams: Vec<Option<Box<Stream>>>,
    late: Arc<AtomicU64>,
    /// Keeps the kernel stamping from the first call on.
    _stamps: RtpSocket,
}

impl Ticker {
    fn run(mut self) {
        let mut scratch = [0; 2048];
        let mut due = Instant::now();
        for slot in (0..SLOTS).cycle() {
            if self.obey() == Obeyed::AllGone {
                return;
            }
            for id in (slot..self.streams.len()).step_by(SLOTS) {
                self.serve(id, &mut scratch);
            }
            due += SLOT;
            let now = Instant::now();
            match due.checked_duration_since(now) {
                Some(wait) => thread::sleep(wait),
                None => self.fall_behind(now, &mut due),
            }
        }
    }

    /// Notes how late it is; more than a whole round late, what was missed is not sent in a burst.
    fn fall_behind(&self, now: Instant, due: &mut Instant) {
        let late = now - *due;
        self.late.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
        if late > SLOT * SLOTS as u32 {
            *due = now;
        }
    }

    fn serve(&mut self, id: usize, scratch: &mut [u8]) {
        loop {
            let Some(Some(stream)) = self.streams.get_mut(id) else { return };
            match stream.receive(scratch) {
                Some(Some((payload, came_ns))) => {
                    let origin = self.origin(&payload, came_ns);
                    if let Some(Some(stream)) = self.streams.get_mut(id) {
                        stream.note(origin);
                    }
                }
                Some(None) => {}
                None => return stream.send(scratch),
            }
        }
    }

    fn origin(&self, payload: &Payload, came_ns: u64) -> Option<Origin> {
        let mark = Mark::of(payload)?;
        self.streams.get(usize::from(mark.stream))?.as_ref()?.origin(mark.number, payload, came_ns)
    }

    fn obey(&mut self) -> Obeyed {
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.carry_out(command),
                Err(TryRecvError::Empty) => return Obeyed::All,
                Err(TryRecvError::Disconnected) => return Obeyed::AllGone,
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Open(id, stream) => {
                self.streams.resize_with(self.streams.len().max(id.0 + 1), || None);
                self.streams[id.0] = Some(stream);
            }
            Command::Aim(id, aim) => {
                if let Some(Some(stream)) = self.streams.get_mut(id.0) {
                    stream.aim(aim);
                }
            }
            Command::Talk(id, talks) => {
                if let Some(Some(stream)) = self.streams.get_mut(id.0) {
                    stream.talk(talks);
                }
            }
            Command::Record(id, reply) => {
                if let Some(Some(stream)) = self.streams.get(id.0) {
                    // Whoever asked may have gone; then nobody misses the answer.
                    let _ = reply.send(stream.recording());
                }
            }
            Command::Stop(id) => {
                if let Some(Some(stream)) = self.streams.get_mut(id.0) {
                    stream.stop();
                }
            }
            Command::Close(id) => {
                if let Some(stream) = self.streams.get_mut(id.0) {
                    *stream = None;
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Obeyed {
    All,
    AllGone,
}

const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
