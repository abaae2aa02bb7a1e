//! DTMF digits of one leg: those that its peer presses, and those that are pressed for
//! it (RFC 4733, ITU-T Q.24).
//!
//! What the peer presses goes on to the other leg by itself; here it is told when a digit is over, for who
//! has to say it in another way (an INFO, or tones of ours). Tones are heard only where a leg is said to play
//! them, and go on as events once they are over, since only then their duration is known.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rtp::continuity::Position;
use crate::rtp::dtmf::{Detector, Digit, Event, EventPacket, EventRelay, Generator, Heard};
use crate::rtp::g711::Law;
use crate::rtp::{CLOCK_RATE, sequence_distance};

/// A digit, and how long it was or is to be pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Press {
    /// Which key.
    pub digit: Digit,
    /// For how long.
    pub duration: Duration,
}

/// What the peer presses.
#[derive(Debug, Default)]
pub(super) struct Pressed {
    /// Tells which digit a packet is of, whatever the network did to it.
    events: EventRelay,
    event: Option<Lasting>,
    ear: Option<Box<Ear>>,
    /// Over, and not yet told.
    over: VecDeque<Over>,
}

/// A digit that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Over {
    pub(super) press: Press,
    /// It came as an event, and not as tones.
    pub(super) was_event: bool,
}

/// An event of the peer.
#[derive(Clone, Copy, Debug)]
struct Lasting {
    /// The timestamp of its beginning.
    began: u32,
    press: Press,
    heard: Instant,
    told: bool,
}

/// Listens to audio.
#[derive(Debug)]
struct Ear {
    detector: Detector,
    newest: Option<u16>,
    /// The sample that a digit began with.
    began: Option<u64>,
}

/// What is pressed for the peer, one after the other.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    waiting: VecDeque<Press>,
    current: Option<Generator>,
    /// No digit begins before.
    free: Option<Instant>,
}

impl Pressed {
    /// The peer plays its digits as tones of `law`, or, with `None`, does not.
    pub(super) fn listen(&mut self, law: Option<Law>) {
        self.ear = law.map(|law| Box::new(Ear { detector: Detector::new(law), newest: None, began: None }));
    }

    /// A packet of an event came.
    pub(super) fn on_event(&mut self, position: Position, marker: bool, event: Event, now: Instant) {
        let Some(digit) = Digit::of_code(event.code) else { return };
        let Some(placing) = self.events.on_packet(position, marker, event, now) else { return };
        let EventPacket { timestamp, marker: begins, .. } = placing.place(position.timestamp);
        let lasted =
            |began: u32| duration_of(u64::from(timestamp.wrapping_sub(began)) + u64::from(event.duration));
        match &mut self.event {
            Some(lasting) if !begins => {
                lasting.heard = now;
                lasting.press.duration = lasting.press.duration.max(lasted(lasting.began));
            }
            former => {
                let press = Press { digit, duration: lasted(timestamp) };
                let former = former.replace(Lasting { began: timestamp, press, heard: now, told: false });
                self.over.extend(former.filter(|former| !former.told).map(Lasting::over));
            }
        }
        if event.end {
            self.tell();
        }
    }

    /// Audio came; the tone in it, if there is one. The tones of a peer that sends
    /// events say the same once more.
    ///
    /// Hot path: no allocation but for a digit that is over.
    pub(super) fn on_audio(&mut self, sequence: u16, payload: &[u8]) -> Option<Tone> {
        let ear = self.ear.as_mut().filter(|_| self.event.is_none())?;
        let is_new = ear.newest.is_none_or(|newest| sequence_distance(newest, sequence) > 0);
        if !is_new {
            return ear.began.map(|_| Tone { over: None });
        }
        ear.newest = Some(sequence);
        let (mut began, mut over) = (ear.began, None);
        let was_in = began.is_some();
        ear.detector.listen(payload, |heard| match heard {
            Heard::Begins { at, .. } => began = Some(at),
            Heard::Ends { digit, at } => {
                let ticks = at.saturating_sub(began.take().unwrap_or(at));
                over = Some(Press { digit, duration: duration_of(ticks) });
            }
        });
        ear.began = began;
        self.over.extend(over.map(|press| Over { press, was_event: false }));
        (was_in || began.is_some()).then_some(Tone { over })
    }

    /// Gives up waiting for the end of an event at `now`.
    pub(super) fn on_time(&mut self, now: Instant) {
        if self.event.is_some_and(|event| now.saturating_duration_since(event.heard) >= PATIENCE) {
            self.tell();
        }
    }

    /// A digit that is over; each is told once.
    pub(super) fn next(&mut self) -> Option<Over> {
        self.over.pop_front()
    }

    fn tell(&mut self) {
        if let Some(event) = self.event.as_mut().filter(|event| !event.told) {
            event.told = true;
            self.over.push_back(event.over());
        }
    }
}

impl Lasting {
    fn over(self) -> Over {
        Over { press: self.press, was_event: true }
    }
}

/// A tone in a packet of audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tone {
    /// It ends in this packet.
    pub(super) over: Option<Press>,
}

impl Keypad {
    /// Has `press` follow those that wait; false if those are too many.
    pub(super) fn push(&mut self, press: Press) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(press);
        }
        has_room
    }

    /// Whether a digit is being sent.
    pub(super) fn is_pressing(&self) -> bool {
        self.current.is_some()
    }

    /// When to call [`Self::on_time`]; `None` is never.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        match &self.current {
            Some(current) => current.next_deadline(),
            None => self.waiting.front().map(|_| self.free.unwrap_or(now).max(now)),
        }
    }

    /// The packet that is due at `now`, if one is: call until there is none. `timestamp`
    /// is that of audio sent now.
    pub(super) fn on_time(&mut self, now: Instant, timestamp: u32) -> Option<EventPacket> {
        if self.current.is_none() && self.free.is_none_or(|free| free <= now) {
            let Press { digit, duration } = self.waiting.pop_front()?;
            self.current = Some(Generator::new(digit, duration, PTIME_MS, now, timestamp));
        }
        let current = self.current.as_mut()?;
        let packet = current.on_time(now);
        if current.next_deadline().is_none() {
            self.current = None;
            self.free = Some(now + PAUSE);
        }
        packet
    }

    /// Forgets everything: the peer takes no digits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.current = None;
    }
}

fn duration_of(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / u64::from(CLOCK_RATE))
}

/// Four packets at the 50 ms that RFC 4733 §2.5.1.2 recommends at most.
const PATIENCE: Duration = Duration::from_millis(200);
/// More than anybody types ahead.
const MOST_WAITING: usize = 64;
const PTIME_MS: u8 = 20;
/// Between the last packet of a digit and the first of the next: with the ends that are 40 ms of it, more
/// than the pause of 65 ms that ITU-T Q.24 has the slowest receivers need.
const PAUSE: Duration = Duration::from_millis(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_once_at_its_first_end_or_when_the_next_begins_or_when_nothing_more_comes() {
        let (mut pressed, start) = (Pressed::default(), Instant::now());

        for (timestamp, code, duration, end) in
            [(100, 5, 160, false), (100, 5, 800, true), (100, 5, 800, true), (100, 5, 800, true)]
        {
            pressed.on_event(at(1, timestamp), false, event(code, duration, end), start);
        }
        assert_eq!(told(&mut pressed), ["5 100"]);
        pressed.on_event(at(2, 2_000), true, event(11, 320, false), start);
        pressed.on_event(at(3, 3_000), true, event(1, 480, false), start);
        assert_eq!(told(&mut pressed), ["# 40"]);
        pressed.on_time(start + Duration::from_millis(199));
        assert_eq!(told(&mut pressed), Vec::<String>::new());
        pressed.on_time(start + Duration::from_millis(200));
        pressed.on_time(start + Duration::from_millis(900));
        assert_eq!(told(&mut pressed), ["1 60"]);
    }

    #[test]
    fn an_end_that_comes_after_the_next_digit_began_makes_no_further_digits() {
        let (mut pressed, start) = (Pressed::default(), Instant::now());

        for (sequence, timestamp, code, duration, end) in [
            (1, 100, 5, 160, false),
            (2, 100, 5, 320, true),
            (5, 900, 6, 160, false),
            (3, 100, 5, 320, true),
            (4, 100, 5, 320, true),
            (6, 900, 6, 320, true),
            (5, 900, 6, 160, false),
        ] {
            let marker = duration == 160;
            pressed.on_event(at(sequence, timestamp), marker, event(code, duration, end), start);
        }

        assert_eq!(told(&mut pressed), ["5 40", "6 40"]);
    }

    #[test]
    fn a_key_that_is_held_for_longer_than_a_packet_can_tell_is_one_digit_of_all_that_time() {
        let (mut pressed, start) = (Pressed::default(), Instant::now());

        pressed.on_event(at(1, 0), true, event(5, 160, false), start);
        pressed.on_event(at(2, 0), false, event(5, 65_280, false), start);
        pressed.on_event(at(4, 65_535), false, event(5, 160, false), start);
        pressed.on_event(at(5, 65_535), false, event(5, 14_465, true), start);

        assert_eq!(told(&mut pressed), ["5 10000"]);
    }

    #[test]
    fn digits_wait_for_one_another_with_a_pause_between_and_never_without_bound() {
        let (mut keypad, start) = (Keypad::default(), Instant::now());
        for key in ['1', '2'] {
            assert!(keypad.push(press(key, 100)));
        }

        let mut sent = Vec::new();
        for ms in 0..600_u32 {
            let now = start + Duration::from_millis(ms.into());
            while let Some(packet) = keypad.on_time(now, ms * 8) {
                sent.push((ms, packet.timestamp, packet.event.code, packet.event.end, packet.marker));
            }
        }

        let ends = |code| sent.iter().filter(|packet| packet.2 == code && packet.3).count();
        let begins: Vec<_> =
            sent.iter().filter(|packet| packet.4).map(|packet| (packet.0, packet.1)).collect();
        assert_eq!((ends(1), ends(2)), (3, 3));
        assert_eq!(begins, [(0, 0), (160, 1_280)]);
        assert!((0..1_000).filter(|_| keypad.push(press('9', 100))).count() == MOST_WAITING);
    }

    fn told(pressed: &mut Pressed) -> Vec<String> {
        std::iter::from_fn(|| pressed.next()).map(|over| shown(over.press)).collect()
    }

    fn shown(press: Press) -> String {
        format!("{} {}", press.digit, press.duration.as_millis())
    }

    fn press(key: char, ms: u64) -> Press {
        Press { digit: Digit::try_from(key).unwrap(), duration: Duration::from_millis(ms) }
    }

    fn event(code: u8, duration: u16, end: bool) -> Event {
        Event { code, end, volume: 10, duration }
    }

    fn at(sequence: u16, timestamp: u32) -> Position {
        Position { ssrc: 7, sequence, timestamp }
    }
}
