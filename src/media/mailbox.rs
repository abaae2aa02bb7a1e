//! Commands from signalling to one media thread: never lost, never waited for, and mostly without a wake-up.
//!
//! Most commands don't need the thread at once: what they say matters to the next packet, and the thread
//! looks here before it looks at any packet. So it is woken only when it sleeps without end, when commands
//! pile up, or for one that has it send something; while calls are up it comes by on its own. At a thousand
//! calls a second this saves most context switches.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::counters::LegCounters;
use super::latch::Signalled;
use super::leg::Leg;
use super::reports::Reports;
use super::socket::Waker;
use super::stream::Stream;
use super::{LegMedia, Press, Side};
use crate::rtp::ringback::Ringback;

/// The place of a call's stream in its media thread's table.
pub(crate) type StreamId = u32;

/// The place of a socket in its media thread's table.
pub(crate) type SocketId = u32;

/// One side's sockets; RTCP is opened where it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SideSockets {
    pub(crate) rtp: SocketId,
    pub(crate) rtcp: Option<SocketId>,
}

/// What signalling tells a media thread.
pub(crate) enum Command {
    /// A socket of the pool is the thread's from here on.
    Adopt { id: SocketId, socket: UdpSocket },
    /// A call reserved its ports.
    Open { id: StreamId, stream: Box<Stream> },
    /// One side is known, or changed.
    Describe { id: StreamId, side: Side, signalled: Signalled, media: LegMedia, at: Instant },
    /// One side is to be forgotten; the next peer there gets these.
    Clear { id: StreamId, side: Side, leg: Box<Leg>, reports: Box<Reports>, counters: Arc<LegCounters> },
    /// The call was answered.
    Answered { id: StreamId, at: Instant },
    /// One side was put on hold or taken off it.
    Hold { id: StreamId, side: Side, held: bool, at: Instant },
    /// A digit is to be sent to the peer of one side.
    Press { id: StreamId, side: Side, press: Press },
    /// The peer of one side is to hear ringing, or none any more.
    Ring { id: StreamId, side: Side, tone: Option<Ringback> },
    /// The RTCP port of one side was opened.
    OpenRtcp { id: StreamId, side: Side, rtcp: SocketId },
    /// One side goes on with other sockets, at another of our addresses.
    Rebind { id: StreamId, side: Side, sockets: SideSockets, at: Instant },
    /// The call is over and its sockets go back to the pool.
    Release { id: StreamId },
    /// The call goes to another thread, under the ids it has there.
    Leave { id: StreamId, to: Arc<Mailbox>, new_id: StreamId, new_sockets: [SideSockets; 2] },
    /// A call will come from another thread; what is said of it until then waits.
    Expect { id: StreamId },
    /// It came.
    Arrive { id: StreamId, stream: Box<Stream>, sockets: Vec<(SocketId, UdpSocket)> },
    /// The thread is to end.
    Stop,
}

/// The queue and the two flags that decide about waking.
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    pending: AtomicBool,
    rest: AtomicU8,
    waker: Waker,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            commands: Mutex::new(Vec::new()),
            pending: AtomicBool::new(false),
            rest: AtomicU8::new(AWAKE),
            waker,
        }
    }

    /// Leaves `command`. The lock is only ever held to push or to swap.
    pub(crate) fn push(&self, command: Command) {
        let urgency = command.urgency();
        let waiting = {
            let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
            commands.push(command);
            commands.len()
        };
        self.pending.store(true, Ordering::SeqCst);
        let wakes = |rest| rest >= urgency || rest == DOZING && waiting >= PILE;
        if self
            .rest
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |rest| wakes(rest).then_some(AWAKE))
            .is_ok()
        {
            self.waker.wake();
        }
    }

    /// Swaps what was left into `inbox`, which must be empty; the capacity goes round, so
    /// that nothing is allocated.
    pub(crate) fn take(&self, inbox: &mut Vec<Command>) {
        if self.pending.load(Ordering::Relaxed) && self.pending.swap(false, Ordering::SeqCst) {
            std::mem::swap(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner), inbox);
        }
    }

    /// Announces a wait, `without_end` or not; false if a command came in the meantime.
    pub(crate) fn may_rest(&self, without_end: bool) -> bool {
        self.rest.store(if without_end { ASLEEP } else { DOZING }, Ordering::SeqCst);
        !self.pending.load(Ordering::SeqCst)
    }

    /// Takes [`Self::may_rest`] back.
    pub(crate) fn on_wake(&self) {
        self.rest.store(AWAKE, Ordering::Relaxed);
    }
}

impl Command {
    /// The stream that a command is for: it waits where another stream of that id is still expected.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Describe { id, .. }
            | Self::Clear { id, .. }
            | Self::Answered { id, .. }
            | Self::Hold { id, .. }
            | Self::Press { id, .. }
            | Self::Ring { id, .. }
            | Self::OpenRtcp { id, .. }
            | Self::Rebind { id, .. }
            | Self::Release { id }
            | Self::Leave { id, .. }
            | Self::Open { id, .. }
            | Self::Expect { id } => Some(*id),
            Self::Adopt { .. } | Self::Arrive { .. } | Self::Stop => None,
        }
    }

    /// From which rest on the thread is woken for it.
    fn urgency(&self) -> u8 {
        match self {
            Self::Stop
            | Self::Answered { .. }
            | Self::Press { .. }
            | Self::Ring { .. }
            | Self::Leave { .. }
            | Self::Arrive { .. } => DOZING,
            Self::Adopt { .. }
            | Self::Open { .. }
            | Self::Describe { .. }
            | Self::Clear { .. }
            | Self::Hold { .. }
            | Self::OpenRtcp { .. }
            | Self::Rebind { .. }
            | Self::Release { .. }
            | Self::Expect { .. } => ASLEEP,
        }
    }
}

/// At work: it will look here by itself.
const AWAKE: u8 = 0;
/// Waiting, and soon back.
const DOZING: u8 = 1;
/// Waiting without end.
const ASLEEP: u8 = 2;
/// How many commands may wait before the thread is woken for them: some tens of kilobytes.
const PILE: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::socket::{Epoll, Events};

    #[test]
    fn a_sleeping_thread_is_woken_by_the_first_command_only() {
        let mut thread = Thread::new();

        assert!(thread.mailbox.may_rest(true));
        thread.mailbox.push(release(1));
        assert!(thread.is_woken());
        thread.mailbox.push(release(2));
        assert!(!thread.is_woken());
    }

    #[test]
    fn a_thread_does_not_go_to_sleep_over_a_command() {
        let thread = Thread::new();
        thread.mailbox.push(release(1));

        assert!(!thread.mailbox.may_rest(true));
    }

    #[test]
    fn a_thread_that_will_come_by_is_woken_when_commands_pile_up_and_for_one_that_can_not_wait() {
        let mut thread = Thread::new();

        assert!(thread.mailbox.may_rest(false));
        for id in 1..PILE {
            thread.mailbox.push(release(id));
        }
        assert!(!thread.is_woken());
        thread.mailbox.push(release(PILE));
        assert!(thread.is_woken());
        thread.mailbox.may_rest(false);
        thread.mailbox.push(Command::Stop);
        assert!(thread.is_woken());
    }

    #[test]
    fn a_thread_at_work_is_not_woken() {
        let mut thread = Thread::new();

        for id in 0..2 * PILE {
            thread.mailbox.push(release(id));
        }
        thread.mailbox.push(Command::Stop);

        assert!(!thread.is_woken());
    }

    #[test]
    fn commands_are_taken_once_in_the_order_they_were_left() {
        let thread = Thread::new();
        let mut inbox = Vec::new();
        for id in 0..3 {
            thread.mailbox.push(release(id));
        }

        thread.mailbox.take(&mut inbox);
        let taken: Vec<_> = inbox.drain(..).map(released).collect();
        thread.mailbox.take(&mut inbox);

        assert_eq!((taken, inbox.len()), (vec![Some(0), Some(1), Some(2)], 0));
    }

    struct Thread {
        mailbox: Mailbox,
        epoll: Epoll,
        events: Events,
    }

    impl Thread {
        fn new() -> Self {
            let (epoll, waker) = (Epoll::new().unwrap(), Waker::new().unwrap());
            epoll.add(&waker, 0).unwrap();
            Self { mailbox: Mailbox::new(waker), epoll, events: Events::default() }
        }

        fn is_woken(&mut self) -> bool {
            self.epoll.wait(&mut self.events, Some(Duration::ZERO)).unwrap();
            self.events.len() > 0
        }
    }

    fn release(id: usize) -> Command {
        Command::Release { id: id as StreamId }
    }

    fn released(command: Command) -> Option<StreamId> {
        match command {
            Command::Release { id } => Some(id),
            _ => None,
        }
    }
}
