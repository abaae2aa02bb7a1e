//! Signalling's end of a media thread: starts it, hands it sockets and streams, and
//! gives out the ids of both.
//!
//! Ids are given out here and used there. That is safe without an answer because commands arrive in the order
//! they were left: whatever frees an id is carried out before what uses it again.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Event;
use super::counters::Totals;
use super::mailbox::{Command, Mailbox, SideSockets, SocketId, StreamId};
use super::socket::{Epoll, Waker, pin_to, run_realtime};
use super::stream::Stream;
use super::worker::{WAKE, Worker};

/// A running media thread.
pub(crate) struct Handle {
    mailbox: Arc<Mailbox>,
    epoll: Arc<Epoll>,
    totals: Arc<Totals>,
    thread: Option<JoinHandle<()>>,
    sockets: Ids,
    streams: Ids,
}

/// What a media thread is started with.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Of a peer that is to be heard; `None` is never.
    pub(crate) silence_timeout: Option<Duration>,
    /// Packets wait in a queue while the thread waits for a CPU: with 1000 calls on one, being let in first
    /// takes the 99th percentile of the latency from milliseconds to hundreds of microseconds. Linux leaves
    /// ordinary threads 5 % of every CPU at any load, which is signalling enough to end calls by.
    pub(crate) realtime: bool,
    pub(crate) events: Arc<dyn Fn(Event) + Send + Sync>,
}

/// Numbers from 0 up, each in one use at a time.
#[derive(Default)]
struct Ids {
    next: u32,
    free: Vec<u32>,
}

impl Handle {
    /// Starts the thread called `name`, on `cpu` alone if one is given.
    ///
    /// # Errors
    ///
    /// The operating system's, out of descriptors or threads for one.
    pub(crate) fn start(name: String, setup: Setup, cpu: Option<usize>) -> io::Result<Self> {
        let (epoll, waker) = (Arc::new(Epoll::new()?), Waker::new()?);
        epoll.add(&waker, WAKE)?;
        let (mailbox, totals) = (Arc::new(Mailbox::new(waker)), Arc::<Totals>::default());
        let (theirs, watched, counted) = (Arc::clone(&mailbox), Arc::clone(&epoll), Arc::clone(&totals));
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if let Some(Err(error)) = cpu.map(pin_to) {
                tracing::warn!(%error, ?cpu, "media thread can't be kept on its CPU");
            }
            if let Some(Err(error)) = setup.realtime.then(run_realtime) {
                tracing::debug!(%error, "media thread runs as an ordinary one");
            }
            Worker::new(theirs, watched, counted, setup).run();
        })?;
        let (sockets, streams) = (Ids::default(), Ids::default());
        Ok(Self { mailbox, epoll, totals, thread: Some(thread), sockets, streams })
    }

    /// Hands a socket over for good; the thread drains it from here on.
    ///
    /// # Errors
    ///
    /// The operating system's, out of memory or watches for one.
    pub(crate) fn adopt(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        let id = self.sockets.take();
        if let Err(error) = self.epoll.add(&socket, id) {
            self.sockets.give_back(id);
            return Err(error);
        }
        self.mailbox.push(Command::Adopt { id, socket });
        Ok(id)
    }

    /// Gives a call its stream.
    pub(crate) fn open(&mut self, stream: Box<Stream>) -> StreamId {
        let id = self.streams.take();
        self.mailbox.push(Command::Open { id, stream });
        id
    }

    /// Ends a call's stream.
    pub(crate) fn release(&mut self, id: StreamId) {
        self.mailbox.push(Command::Release { id });
        self.streams.give_back(id);
    }

    /// Sends the stream `id` and its `sockets` to the thread of `to`; returns what they are called there.
    pub(crate) fn move_to(
        &mut self,
        to: &mut Self,
        id: StreamId,
        sockets: [SideSockets; 2],
    ) -> (StreamId, [SideSockets; 2]) {
        let new_id = to.streams.take();
        let new_sockets = sockets
            .map(|side| SideSockets { rtp: to.sockets.take(), rtcp: side.rtcp.map(|_| to.sockets.take()) });
        to.mailbox.push(Command::Expect { id: new_id });
        self.mailbox.push(Command::Leave { id, to: Arc::clone(&to.mailbox), new_id, new_sockets });
        self.streams.give_back(id);
        for socket in sockets.into_iter().flat_map(|side| [Some(side.rtp), side.rtcp]).flatten() {
            self.sockets.give_back(socket);
        }
        (new_id, new_sockets)
    }

    pub(crate) fn push(&self, command: Command) {
        self.mailbox.push(command);
    }

    /// How many calls have a stream.
    pub(crate) fn load(&self) -> usize {
        self.streams.in_use()
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

impl Ids {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    fn give_back(&mut self, id: u32) {
        self.free.push(id);
    }

    fn in_use(&self) -> usize {
        self.next as usize - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_socket_whose_every_read_fails_is_left_alone_and_its_thread_goes_on() {
        let setup = Setup { silence_timeout: None, realtime: false, events: Arc::new(|_| ()) };
        let mut handle = Handle::start("media-test".to_owned(), setup, None).unwrap();
        let (no_socket, mut trigger) = std::io::pipe().unwrap();
        handle.adopt(UdpSocket::from(OwnedFd::from(no_socket))).unwrap();

        trigger.write_all(b"x").unwrap();
        let errors = (0..200)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(5));
                handle.totals().errors()
            })
            .find(|&errors| errors > 0);
        std::thread::sleep(Duration::from_millis(50));

        assert!(errors.is_some());
        assert!(handle.totals().errors() <= 16, "{} failed reads", handle.totals().errors());
    }

    #[test]
    fn a_real_time_thread_runs_ahead_of_ordinary_ones_where_the_process_may() {
        let may = std::thread::spawn(run_realtime).join().unwrap().is_ok();
        let started = |name: &str, realtime| {
            let setup = Setup { silence_timeout: None, realtime, events: Arc::new(|_| ()) };
            Handle::start(name.to_owned(), setup, None).unwrap()
        };

        let _threads = [started("media-ahead", true), started("media-plain", false)];

        assert!(reaches_policy("media-ahead", if may { SCHED_FIFO } else { SCHED_OTHER }));
        assert!(reaches_policy("media-plain", SCHED_OTHER));
    }

    /// Whether the thread called `name` comes to be scheduled by `policy`, field 41 of proc_pid_stat(5).
    fn reaches_policy(name: &str, policy: &str) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            std::fs::read_dir("/proc/self/task").unwrap().flatten().any(|task| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                let Some((head, tail)) = stat.rsplit_once(") ") else { return false };
                head.ends_with(&format!("({name}")) && tail.split(' ').nth(41 - 3) == Some(policy)
            })
        })
    }

    const SCHED_OTHER: &str = "0";
    const SCHED_FIFO: &str = "1";
}
