//! Commands from signalling to one media thread: never lost, never waited for, and mostly without a wake-up.
//!
//! No command but the last needs the thread at once: what it says matters to the next packet, and the thread looks here
//! before it looks at any packet. So it is woken only when it sleeps without end, or when commands pile up; while calls
//! are up it comes by on its own. At a thousand calls a second this saves a context switch for each command.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::counters::LegCounters;
use super::forward::Leg;
use super::latch::Signalled;
use super::socket::Waker;
use super::stream::Stream;
use super::{LegMedia, Side};
use std::sync::Arc;

/// The place of a call's stream in its media thread's table.
pub(crate) type StreamId = u32;

/// The place of a socket in its media thread's table.
pub(crate) type SocketId = u32;

/// What signalling tells a media thread.
pub(crate) enum Command {
    /// A socket of the pool is the thread's from here on; ids count up from 0 in the order of these commands.
    Adopt { socket: UdpSocket },
    /// A call reserved its ports.
    Open { id: StreamId, stream: Box<Stream> },
    /// One side is known, or changed.
    Describe { id: StreamId, side: Side, signalled: Signalled, media: LegMedia, at: Instant },
    /// One side is to be forgotten for `leg`.
    Clear { id: StreamId, side: Side, leg: Box<Leg>, counters: Arc<LegCounters> },
    /// The call was answered.
    Answered { id: StreamId, at: Instant },
    /// One side was put on hold or taken off it.
    Hold { id: StreamId, side: Side, held: bool, at: Instant },
    /// The call is over and its sockets go back to the pool.
    Release { id: StreamId },
    /// The thread is to end.
    Stop,
}

/// The queue and the two flags that decide about waking.
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    pending: AtomicBool,
    asleep: AtomicBool,
    waker: Waker,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            commands: Mutex::new(Vec::new()),
            pending: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            waker,
        }
    }

    /// Leaves `command`. The lock is only ever held to push or to swap.
    pub(crate) fn push(&self, command: Command) {
        let urgent = matches!(command, Command::Stop);
        let waiting = {
            let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
            commands.push(command);
            commands.len()
        };
        self.pending.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) || waiting == PILE || urgent {
            self.waker.wake();
        }
    }

    /// Swaps what was left into `inbox`, which must be empty; the capacity goes round, so that nothing is allocated.
    pub(crate) fn take(&self, inbox: &mut Vec<Command>) {
        if self.pending.load(Ordering::Relaxed) && self.pending.swap(false, Ordering::SeqCst) {
            std::mem::swap(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner), inbox);
        }
    }

    /// Announces a sleep without end; false if a command came in the meantime.
    pub(crate) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.pending.load(Ordering::SeqCst)
    }

    /// Takes [`Self::may_sleep`] back.
    pub(crate) fn on_wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// How many commands may wait before the thread is woken for them: some tens of kilobytes.
const PILE: usize = 256;
