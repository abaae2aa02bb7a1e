//! What was sent by UDP lately, so that an ICMP error (RFC 1122 §3.2.2.1) finds the transactions it ends.
//!
//! An ICMP error quotes the beginning of the datagram it is about: at least 8 bytes behind the IP header,
//! which is the UDP header alone, and from most hosts today over 500. Where enough is quoted only the message
//! itself matches, since its branch lies within the part kept here; where nothing is, everything sent to that
//! address lately does.

use std::net::SocketAddr;

use super::UNTRACKED;

/// The last sends of a socket that somebody wants to hear about.
#[derive(Debug, Default)]
pub(super) struct Recent {
    ring: Vec<Sent>,
    oldest: usize,
}

#[derive(Debug)]
struct Sent {
    remote: SocketAddr,
    /// [`UNTRACKED`] once reported.
    token: u64,
    head: [u8; HEAD_BYTES],
}

impl Recent {
    /// Remembers a send, in place of the oldest.
    pub(super) fn note(&mut self, remote: SocketAddr, token: u64, bytes: &[u8]) {
        if token == UNTRACKED {
            return;
        }
        let mut head = [0; HEAD_BYTES];
        let length = bytes.len().min(HEAD_BYTES);
        head[..length].copy_from_slice(&bytes[..length]);
        let sent = Sent { remote, token, head };
        match self.ring.get_mut(self.oldest) {
            Some(oldest) => *oldest = sent,
            None => self.ring.push(sent),
        }
        self.oldest = (self.oldest + 1) % RING;
    }

    /// Takes out the tokens of what was sent to `remote` and begins as `quoted` does; each once.
    pub(super) fn take(&mut self, remote: SocketAddr, quoted: &[u8]) -> Vec<u64> {
        let quoted = &quoted[..quoted.len().min(HEAD_BYTES)];
        let mut tokens = Vec::new();
        for sent in &mut self.ring {
            if sent.token != UNTRACKED && sent.remote == remote && sent.head.starts_with(quoted) {
                if !tokens.contains(&sent.token) {
                    tokens.push(sent.token);
                }
                sent.token = UNTRACKED;
            }
        }
        tokens
    }
}

/// Sends remembered: about a tenth of a second at full load, more than a report within reach takes.
const RING: usize = 1024;

/// Bytes of each kept: request line and topmost Via.
pub(super) const HEAD_BYTES: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_quotation_finds_the_one_message() {
        let mut recent = Recent::default();
        recent.note(remote(1), 7, b"INVITE sip:a@b SIP/2.0\r\nVia: branch=z9hG4bK7");
        recent.note(remote(1), 8, b"INVITE sip:a@b SIP/2.0\r\nVia: branch=z9hG4bK8");
        recent.note(remote(2), 9, b"INVITE sip:a@b SIP/2.0\r\nVia: branch=z9hG4bK8");

        let tokens = recent.take(remote(1), b"INVITE sip:a@b SIP/2.0\r\nVia: branch=z9hG4bK8");

        assert_eq!(tokens, [8]);
    }

    #[test]
    fn a_report_without_quotation_takes_all_that_went_there_once() {
        let mut recent = Recent::default();
        for token in [7, 8, 7, UNTRACKED] {
            recent.note(remote(1), token, b"INVITE");
        }

        assert_eq!(recent.take(remote(1), b""), [7, 8]);
        assert!(recent.take(remote(1), b"").is_empty());
    }

    #[test]
    fn the_oldest_sends_are_forgotten() {
        let mut recent = Recent::default();
        for token in 1..=(RING as u64 + 10) {
            recent.note(remote(1), token, b"INVITE");
        }

        let tokens = recent.take(remote(1), b"INV");

        assert_eq!((tokens.len(), tokens.iter().min()), (RING, Some(&11)));
    }

    fn remote(host: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, host], 5060))
    }
}
