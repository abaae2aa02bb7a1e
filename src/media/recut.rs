//! Packets of another length than a leg wants, cut to it and sent at its pace.
//!
//! What a packet holds beyond its first frame waits for the time at which its peer would have sent it: to a
//! receiver that plays as it comes, three frames at once are a pause and a burst. Nothing waits longer than
//! until the next packet, so that no delay adds up.

use std::time::Instant;

use crate::rtp::CLOCK_RATE;
use crate::rtp::continuity::Position;
use crate::rtp::repacketise::{Cut, Frame, NotCut, Repacketiser, Shape};

/// What one leg is sent by pieces.
///
/// Some six kilobytes: for the legs that need it.
#[derive(Debug)]
pub(super) struct Recut {
    repacketiser: Repacketiser,
    waiting: Waiting,
}

/// Frames of the last packet that are not sent yet.
#[derive(Debug)]
struct Waiting {
    frames: [Option<Held>; MOST_FRAMES],
    /// The frames from here on wait; those before were sent.
    next: usize,
    filled: usize,
    octets: [u8; MOST_OCTETS],
    used: usize,
}

/// Where a frame is kept.
#[derive(Clone, Copy, Debug)]
struct Held {
    due: Instant,
    position: Position,
    marker: bool,
    begin: usize,
    end: usize,
}

impl Recut {
    pub(super) fn new(shape: Shape) -> Self {
        let waiting =
            Waiting { frames: [None; MOST_FRAMES], next: 0, filled: 0, octets: [0; MOST_OCTETS], used: 0 };
        Self { repacketiser: Repacketiser::new(shape), waiting }
    }

    pub(super) fn shape(&self) -> Shape {
        self.repacketiser.shape()
    }

    /// Cuts a packet that came at `now`: the first of its frames goes to `send` at once. What waits must have
    /// been taken.
    ///
    /// Hot path: no allocation.
    pub(super) fn push(
        &mut self,
        position: Position,
        marker: bool,
        payload: &[u8],
        now: Instant,
        mut send: impl FnMut(&Frame<'_>),
    ) -> Result<(), NotCut> {
        self.waiting.clear();
        let mut cut = self.repacketiser.push(position, marker, payload)?;
        while let Some(frame) = cut.next_frame() {
            if frame.after.is_zero() || !self.waiting.hold(&frame, now) {
                send(&frame);
            }
        }
        Ok(())
    }

    /// The place that a packet which is not cut has between the frames.
    pub(super) fn aside(&mut self, position: Position) -> Result<Position, NotCut> {
        self.repacketiser.aside(position)
    }

    /// What never filled a frame: for when the source pauses.
    pub(super) fn flush(&mut self) -> Cut<'_> {
        self.repacketiser.flush()
    }

    /// When the next frame is to be sent.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|held| held.due)
    }

    /// The next frame that waits, if it is due `by` then; with `None`, whenever it is.
    pub(super) fn take(&mut self, by: Option<Instant>) -> Option<Frame<'_>> {
        let held = self.waiting.first().filter(|held| by.is_none_or(|by| held.due <= by))?;
        self.waiting.next += 1;
        let payload = self.waiting.octets.get(held.begin..held.end)?;
        let Held { position, marker, .. } = held;
        Some(Frame { position, marker, after: std::time::Duration::ZERO, payload })
    }
}

impl Waiting {
    fn first(&self) -> Option<Held> {
        self.frames.get(self.next..self.filled)?.first().copied().flatten()
    }

    fn clear(&mut self) {
        (self.next, self.filled, self.used) = (0, 0, 0);
    }

    /// False if there is no room.
    fn hold(&mut self, frame: &Frame<'_>, now: Instant) -> bool {
        let (begin, end) = (self.used, self.used + frame.payload.len());
        let (Some(place), Some(octets)) = (self.frames.get_mut(self.filled), self.octets.get_mut(begin..end))
        else {
            return false;
        };
        octets.copy_from_slice(frame.payload);
        let Frame { position, marker, after, .. } = *frame;
        *place = Some(Held { due: now + after, position, marker, begin, end });
        self.filled += 1;
        self.used = end;
        true
    }
}

/// 200 ms, the longest packet that is cut, and what a slot held before.
const MOST_OCTETS: usize = CLOCK_RATE as usize * 3 / 10;
/// Of 10 ms.
const MOST_FRAMES: usize = 24;
