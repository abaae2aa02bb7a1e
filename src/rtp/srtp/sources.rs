//! The synchronisation sources of one direction under one master key, and what was seen of each (RFC 3711
//! §3.2.3).
//!
//! The table is bounded and forgets nobody: a source that came back after its indices were forgotten could
//! be replayed, and if it is our own, its keystream would be used twice.

use super::window::Window;

/// Every source of one direction; room for all is made at once.
#[derive(Clone, Debug)]
pub(super) struct Sources(Vec<Source>);

/// One source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    ssrc: u32,
    pub(super) rtp: Stream,
    pub(super) rtcp: Stream,
}

/// Its RTP or its RTCP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    pub(super) window: Window,
    /// The window was made under an earlier key, and nothing came under this one yet.
    pub(super) is_carried: bool,
}

impl Sources {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(MAX_SOURCES))
    }

    pub(super) fn find(&self, ssrc: u32) -> Option<&Source> {
        self.0.iter().find(|source| source.ssrc == ssrc)
    }

    /// The source, with nothing seen of it if it is new; `None` if it is new and there is no room.
    pub(super) fn entry(&mut self, ssrc: u32) -> Option<&mut Source> {
        let place = match self.0.iter().position(|source| source.ssrc == ssrc) {
            Some(place) => place,
            None if self.is_full() => return None,
            None => {
                self.0.push(Source { ssrc, rtp: Stream::default(), rtcp: Stream::default() });
                self.0.len() - 1
            }
        };
        Some(&mut self.0[place])
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() == MAX_SOURCES
    }

    /// The table under the next key: indices go on (RFC 3711 §3.3.1), unless the peer began anew.
    pub(super) fn carried(&self) -> Self {
        let carried = |stream: Stream| Stream { is_carried: !stream.window.is_empty(), ..stream };
        let mut next = Self::new();
        next.0.extend(self.0.iter().map(|source| Source {
            ssrc: source.ssrc,
            rtp: carried(source.rtp),
            rtcp: carried(source.rtcp),
        }));
        next
    }
}

/// Sources under one key. A phone has one; a peer that plays announcements may show another after each.
pub(super) const MAX_SOURCES: usize = 64;
