//! Cutting a byte stream into messages (RFC 3261 §18.3, §20.14; keep-alives of RFC 5626 §3.5.1).
//!
//! Where a message ends is decided by the scanner and the Content-Length reader that the parser uses too.
//! Whatever those two could disagree about with a neighbour (no length, two lengths, a CR or LF alone in the
//! head) is an error, and after an error nothing behind it can be trusted: the connection must be closed.

use bytes::{Buf as _, Bytes, BytesMut};

use super::message::{LengthError, Limits, Scan, Scanner, content_length_of_head};

/// The state of one incoming stream: how far the message at the front of its buffer has been read.
#[derive(Debug, Default)]
pub struct Framer {
    scanner: Scanner,
    has_start_line: bool,
    /// Head and body, once the head is complete.
    frame_length: Option<usize>,
}

/// What a stream is made of.
#[derive(Debug, PartialEq, Eq, Clone)]
pub enum Frame {
    /// One message, in memory of its own, so that a message kept for long does not keep the read buffer.
    Message(Bytes),
    /// A double CRLF between messages: to be answered with one CRLF.
    Ping,
}

/// Why the stream can't be followed any further.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum FramingError {
    /// Without it nobody can say where the body ends.
    #[error("message without Content-Length, which a stream needs")]
    NoContentLength,
    /// It does not say one thing.
    #[error(transparent)]
    ContentLength(#[from] LengthError),
    /// A CR or LF alone in the head.
    #[error("CR or LF alone in the head of a message")]
    StrayLineEnd,
    /// See [`Limits::line_bytes`].
    #[error("line longer than {limit} bytes")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// See [`Limits::message_bytes`].
    #[error("message longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl Framer {
    /// Takes the next whole frame out of `buffer`; `None` means more bytes are needed.
    ///
    /// Bytes are only ever appended to `buffer` between calls. A single CRLF between messages is dropped once
    /// something other than CRLF follows it. Work is linear in the bytes that came, however they were cut.
    ///
    /// # Errors
    /// [`FramingError`]; the connection must be closed then.
    pub fn next(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, FramingError> {
        if !self.has_start_line && self.scanner.is_at_start() {
            match keep_alive(buffer) {
                KeepAlive::Ping => return Ok(Some(Frame::Ping)),
                KeepAlive::Undecided => return Ok(None),
                KeepAlive::None => {}
            }
        }
        if self.frame_length.is_none() {
            self.frame_length = self.read_head(buffer, limits)?;
        }
        let Some(length) = self.frame_length.filter(|&length| length <= buffer.len()) else {
            return Ok(None);
        };
        let message = Bytes::copy_from_slice(&buffer[..length]);
        buffer.advance(length);
        *self = Self::default();
        Ok(Some(Frame::Message(message)))
    }

    /// The length of the frame, if its head is complete.
    fn read_head(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<usize>, FramingError> {
        let too_large = FramingError::TooLarge { limit: limits.message_bytes };
        loop {
            let scan = if self.has_start_line {
                self.scanner.line(buffer)
            } else {
                self.scanner.physical_line(buffer)
            };
            let (line_length, is_stray) = match scan {
                Scan::Line(span) => (span.end - span.start, span.is_stray),
                Scan::More => (self.scanner.pending(buffer), self.scanner.is_stray()),
                Scan::End(head) => {
                    let body =
                        content_length_of_head(&buffer[..head])?.ok_or(FramingError::NoContentLength)?;
                    let length = head.checked_add(body).filter(|&length| length <= limits.message_bytes);
                    return length.map(Some).ok_or(too_large);
                }
            };
            if is_stray {
                return Err(FramingError::StrayLineEnd);
            }
            match scan {
                Scan::More if buffer.len() > limits.message_bytes => return Err(too_large),
                Scan::More if line_length <= limits.line_bytes + PENDING_LINE_END => return Ok(None),
                Scan::Line(_) if line_length <= limits.line_bytes => self.has_start_line = true,
                _ => return Err(FramingError::LineTooLong { limit: limits.line_bytes }),
            }
        }
    }
}

enum KeepAlive {
    /// Taken out of the buffer.
    Ping,
    /// The front may still become one.
    Undecided,
    /// The front is the beginning of a message; a single CRLF before it was dropped.
    None,
}

fn keep_alive(buffer: &mut BytesMut) -> KeepAlive {
    if buffer.starts_with(b"\r\n\r\n") {
        buffer.advance(4);
        return KeepAlive::Ping;
    }
    if b"\r\n\r\n".starts_with(buffer) {
        return KeepAlive::Undecided;
    }
    if buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
    KeepAlive::None
}

/// The CRLF of a line that waits for its successor, to see whether that continues it.
const PENDING_LINE_END: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelined_messages_pings_and_single_crlfs_are_told_apart() {
        let stream = format!("\r\n{OPTIONS}\r\n\r\n\r\n{OPTIONS}{BYE}\r\n\r\n\r\n");

        let (frames, rest) = read_all(stream.as_bytes(), usize::MAX).unwrap();

        assert_eq!(frames, [message(OPTIONS), Frame::Ping, message(OPTIONS), message(BYE), Frame::Ping]);
        assert_eq!(rest, "\r\n");
    }

    #[test]
    fn any_chunking_gives_the_same_frames() {
        let stream = format!("{BYE}\r\n{OPTIONS}\r\n\r\n{FOLDED}{BYE}\r\n\r\n");
        let whole = read_all(stream.as_bytes(), usize::MAX);

        for size in 1..20 {
            assert_eq!(read_all(stream.as_bytes(), size), whole);
        }
    }

    #[test]
    fn a_body_may_hold_anything() {
        let text = "MESSAGE sip:h SIP/2.0\r\nl:7\r\n\r\n\r\n\r\n\n\r\nB".as_bytes();
        let (frames, rest) = read_all(text, 3).unwrap();

        assert_eq!(frames, [Frame::Message(Bytes::copy_from_slice(&text[..text.len() - 1]))]);
        assert_eq!(rest, "B");
    }

    #[test]
    fn what_leaves_the_end_open_is_an_error() {
        let long = "x".repeat(9_000);
        for (head, error) in [
            ("", FramingError::NoContentLength),
            ("Content-Length: -1\r\n", LengthError::NotANumber.into()),
            ("Content-Length: 1\r\nl: 2\r\n", LengthError::Conflict.into()),
            ("Content-Length: 4294967296\r\n", LengthError::Overflow.into()),
            ("Content-Length: 65535\r\n", FramingError::TooLarge { limit: 65_536 }),
            ("X: a\nContent-Length: 0\r\n", FramingError::StrayLineEnd),
            ("X: a\rContent-Length: 0\r\n", FramingError::StrayLineEnd),
            (&format!("X: {long}\r\n"), FramingError::LineTooLong { limit: 8_192 }),
            (&format!("X: {long}"), FramingError::LineTooLong { limit: 8_192 }),
        ] {
            for size in [1, usize::MAX] {
                let stream = format!("BYE sip:h SIP/2.0\r\n{head}\r\n");

                assert_eq!(read_all(stream.as_bytes(), size), Err(error.clone()), "{head}");
            }
        }
    }

    #[test]
    fn a_line_feed_alone_is_refused_before_the_head_is_complete() {
        assert_eq!(read_all(b"BYE sip:h SIP/2.0\nl: 0\n\n", usize::MAX), Err(FramingError::StrayLineEnd));
    }

    #[test]
    fn a_head_that_never_ends_is_an_error_at_the_limit() {
        let stream = format!("BYE sip:h SIP/2.0\r\n{}", "X: a\r\n".repeat(11_000));

        assert_eq!(read_all(stream.as_bytes(), 1_000), Err(FramingError::TooLarge { limit: 65_536 }));
    }

    #[test]
    fn equal_lengths_and_a_line_of_the_limit_are_fine() {
        let stream =
            format!("BYE sip:h SIP/2.0\r\nX: {}\r\nl: 0\r\nContent-Length:\r\n 0\r\n\r\n", "x".repeat(8_189));

        assert_eq!(read_all(stream.as_bytes(), 1).unwrap().0.len(), 1);
    }

    fn read_all(stream: &[u8], chunk: usize) -> Result<(Vec<Frame>, BytesMut), FramingError> {
        let (mut framer, mut buffer, mut frames) = (Framer::default(), BytesMut::new(), Vec::new());
        for chunk in stream.chunks(chunk.min(stream.len().max(1))) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = framer.next(&mut buffer, &Limits::default())? {
                frames.push(frame);
            }
        }
        Ok((frames, buffer))
    }

    fn message(text: &str) -> Frame {
        Frame::Message(Bytes::copy_from_slice(text.as_bytes()))
    }

    const OPTIONS: &str = "OPTIONS sip:h.example SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    const BYE: &str = "BYE sip:h.example SIP/2.0\r\nl : 5\r\n\r\nab\r\nc";
    const FOLDED: &str = "INFO sip:h.example SIP/2.0\r\nX: a\r\n b\r\nContent-Length:\r\n\t2\r\n\r\nab";
}
