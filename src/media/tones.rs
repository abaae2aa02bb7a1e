//! What the peer of a leg hears that no packet brought: ringing, and the digits that are played to it.
//!
//! Ringing stands in place of silence, in packets that are made, and ends with the first packet of real
//! audio. A digit is laid over whatever is sent, relayed or made. Both go by the timestamps of the outgoing
//! stream, so neither shifts it, and nothing is late for their sake.

use std::collections::VecDeque;

use super::digits::Press;
use crate::rtp::dtmf::Tone;
use crate::rtp::g711::Law;
use crate::rtp::ringback::Ringback;

/// The tones of one leg.
#[derive(Debug, Default)]
pub(super) struct Tones {
    ringing: Option<Ringing>,
    waiting: VecDeque<Press>,
    current: Option<Tone>,
}

#[derive(Clone, Copy, Debug)]
struct Ringing {
    tone: Ringback,
    /// The timestamp of its first packet.
    began: Option<u32>,
}

impl Tones {
    /// Rings from here on, or no longer; to ring again in the same way goes on with it.
    pub(super) fn ring(&mut self, tone: Option<Ringback>) {
        if self.ringing.map(|ringing| ringing.tone) != tone {
            self.ringing = tone.map(|tone| Ringing { tone, began: None });
        }
    }

    /// Has a digit played behind those that wait; false if those are too many.
    pub(super) fn press(&mut self, press: Press) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(press);
        }
        has_room
    }

    /// Forgets the digits that wait, and the one that sounds.
    pub(super) fn clear_digits(&mut self) {
        self.waiting.clear();
        self.current = None;
    }

    /// Whether digits are played or wait.
    pub(super) fn is_pressing(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// Whether anything is to be heard even where nothing is relayed.
    pub(super) fn is_sounding(&self) -> bool {
        self.ringing.is_some() || self.is_pressing()
    }

    /// Fills a packet that is made, from `timestamp` on.
    ///
    /// Hot path: no allocation.
    pub(super) fn fill(&mut self, law: Law, timestamp: u32, payload: &mut [u8]) {
        match &mut self.ringing {
            Some(Ringing { tone, began }) => {
                let began = *began.get_or_insert(timestamp);
                tone.fill(law, timestamp.wrapping_sub(began).into(), payload);
            }
            None => payload.fill(law.silence()),
        }
        self.lay_over(law, timestamp, payload);
    }

    /// Lays the digit that is due over the audio from `timestamp` on.
    ///
    /// Hot path: no allocation.
    pub(super) fn lay_over(&mut self, law: Law, timestamp: u32, payload: &mut [u8]) {
        if self.current.is_none_or(|tone| tone.is_over(timestamp)) {
            let next = self.waiting.pop_front();
            self.current = next.map(|press| Tone::new(press.digit, press.duration, timestamp));
        }
        if let Some(tone) = &self.current {
            tone.lay_over(law, timestamp, payload);
        }
    }
}

/// More than anybody types ahead.
const MOST_WAITING: usize = 64;
