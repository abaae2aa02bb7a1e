//! The indexer: one pass over the head of a message that notes where everything stands (RFC 3261 §7).
//!
//! Lines end with CRLF and with nothing else. A CR or LF alone is an error, because a neighbour that takes it
//! for a line end would see headers, or a whole request, that we don't: the framer of streams uses the same
//! scanner, so the two can't disagree about where a message ends.

use smallvec::SmallVec;

use super::{Limits, ParseError};
use crate::sip::headers::{Name, lex};

/// One header line: offsets into the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) start: u32,
    /// First and one past the last byte of the trimmed value.
    pub(super) value: (u32, u32),
    pub(super) name_length: u16,
    pub(super) name: Name,
    /// Whether the value holds a fold.
    pub(super) folded: bool,
}

/// What the start line says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// `method SP uri SP version`.
    Request { method_end: u32, uri: (u32, u32), is_version_2: bool },
    /// `version SP code SP reason`.
    Response { code: u16, reason: (u32, u32) },
}

/// Everything the pass found, and the first thing that was wrong.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) start: Option<Start>,
    pub(super) lines: SmallVec<[Line; 32]>,
    /// Where the body begins.
    pub(super) head_end: usize,
    pub(super) error: Option<ParseError>,
}

/// Indexes the head of `raw`, which is shorter than 4 GiB. Lines that are wrong are left out.
pub(super) fn index(raw: &[u8], limits: &Limits) -> Index {
    let mut scanner = Scanner::default();
    let mut index = Index { start: None, lines: SmallVec::new(), head_end: raw.len(), error: None };
    match scanner.physical_line(raw) {
        Scan::Line(line) => {
            let text = &raw[..line.end];
            if line.is_stray {
                index.fail(ParseError::StrayLineEnd { line: 1 });
            } else if text.len() > limits.line_bytes {
                index.fail(ParseError::LineTooLong { line: 1, limit: limits.line_bytes });
            } else {
                let (start, error) = start_line(text);
                index.start = start;
                index.error = error;
            }
        }
        Scan::End(_) | Scan::More => {
            index.fail(ParseError::NoStartLine);
            return index;
        }
    }
    for number in 2.. {
        match scanner.line(raw) {
            Scan::Line(line) => match header(raw, &line, number, limits) {
                Ok(header) if index.lines.len() < limits.headers => index.lines.push(header),
                Ok(_) => index.fail(ParseError::TooManyHeaders { limit: limits.headers }),
                Err(error) => index.fail(error),
            },
            Scan::End(end) => {
                index.head_end = end;
                return index;
            }
            Scan::More => {
                index.fail(ParseError::NoEmptyLine);
                return index;
            }
        }
    }
    index
}

impl Index {
    fn fail(&mut self, error: ParseError) {
        self.error.get_or_insert(error);
    }
}

/// Cuts a head into lines; keeps its place, so that a stream is never read from the start again.
#[derive(Debug, Default, Clone)]
pub(in crate::sip) struct Scanner {
    /// Start of the line being read.
    start: usize,
    /// Up to here the line holds no line end.
    scanned: usize,
    is_folded: bool,
    is_stray: bool,
}

/// A line without its CRLF.
#[derive(Debug, Clone, Copy)]
pub(in crate::sip) struct Span {
    pub(in crate::sip) start: usize,
    pub(in crate::sip) end: usize,
    pub(in crate::sip) is_folded: bool,
    /// Whether a CR or LF stands alone in it.
    pub(in crate::sip) is_stray: bool,
}

/// What the scanner met.
#[derive(Debug, Clone, Copy)]
pub(in crate::sip) enum Scan {
    Line(Span),
    /// The empty line; the body begins at this offset.
    End(usize),
    /// The input ends within a line.
    More,
}

impl Scanner {
    /// The next header line, with its folded continuations.
    pub(in crate::sip) fn line(&mut self, raw: &[u8]) -> Scan {
        self.scan(raw, true)
    }

    /// The next line as it stands; a start line can't be folded.
    pub(in crate::sip) fn physical_line(&mut self, raw: &[u8]) -> Scan {
        self.scan(raw, false)
    }

    /// Whether nothing has been scanned yet.
    pub(in crate::sip) fn is_at_start(&self) -> bool {
        self.scanned == 0
    }

    /// How much of the current line has come in so far.
    pub(in crate::sip) fn pending(&self, raw: &[u8]) -> usize {
        raw.len() - self.start
    }

    /// Whether the line that is still coming in holds a CR or LF alone.
    pub(in crate::sip) fn is_stray(&self) -> bool {
        self.is_stray
    }

    fn scan(&mut self, raw: &[u8], may_fold: bool) -> Scan {
        while let Some(at) = memchr::memchr2(b'\r', b'\n', &raw[self.scanned..]) {
            let at = self.scanned + at;
            match (raw[at], raw.get(at + 1)) {
                (b'\r', None) => {
                    self.scanned = at;
                    return Scan::More;
                }
                (b'\r', Some(b'\n')) if at == self.start => return Scan::End(at + 2),
                (b'\r', Some(b'\n')) if may_fold => match raw.get(at + 2) {
                    None => {
                        self.scanned = at;
                        return Scan::More;
                    }
                    Some(b' ' | b'\t') => {
                        self.is_folded = true;
                        self.scanned = at + 2;
                    }
                    Some(_) => return Scan::Line(self.take(at)),
                },
                (b'\r', Some(b'\n')) => return Scan::Line(self.take(at)),
                (_, _) => {
                    self.is_stray = true;
                    self.scanned = at + 1;
                }
            }
        }
        self.scanned = raw.len();
        Scan::More
    }

    fn take(&mut self, end: usize) -> Span {
        let span = Span { start: self.start, end, is_folded: self.is_folded, is_stray: self.is_stray };
        *self = Self { start: end + 2, scanned: end + 2, is_folded: false, is_stray: false };
        span
    }
}

/// The name of a header line and where its value begins, both relative to the line.
pub(in crate::sip) fn split_header(line: &[u8]) -> Option<(&[u8], usize)> {
    let name_length = line.iter().position(|&byte| !lex::is_token_byte(byte))?;
    let blank = line[name_length..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let colon = name_length + blank;
    (name_length > 0 && line[colon] == b':').then(|| (&line[..name_length], colon + 1))
}

fn header(raw: &[u8], span: &Span, line: usize, limits: &Limits) -> Result<Line, ParseError> {
    let text = &raw[span.start..span.end];
    if span.is_stray {
        return Err(ParseError::StrayLineEnd { line });
    }
    if text.len() > limits.line_bytes {
        return Err(ParseError::LineTooLong { line, limit: limits.line_bytes });
    }
    let (name, value_at) = split_header(text).ok_or(ParseError::NotAHeader { line })?;
    let name_length = u16::try_from(name.len()).map_err(|_| ParseError::NotAHeader { line })?;
    let rest = &text[value_at..];
    let value = lex::trim(rest);
    let skipped =
        if value.is_empty() { 0 } else { rest.iter().position(|&byte| !lex::is_space(byte)).unwrap_or(0) };
    let start = span.start + value_at + skipped;
    Ok(Line {
        start: offset(span.start),
        value: (offset(start), offset(start + value.len())),
        name_length,
        name: Name::parse(name),
        folded: span.is_folded && memchr::memchr(b'\r', value).is_some(),
    })
}

/// What the line says, as far as it can be told, and what is wrong with it.
fn start_line(line: &[u8]) -> (Option<Start>, Option<ParseError>) {
    if line.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return match status_line(line) {
            Ok(start) => (Some(start), None),
            Err(problem) => (None, Some(ParseError::StatusLine(problem))),
        };
    }
    let Some(method_end) = memchr::memchr(b' ', line).filter(|&end| lex::is_token(&line[..end])) else {
        return (None, Some(ParseError::RequestLine("no method")));
    };
    let rest = &line[method_end + 1..];
    let Some(version_at) = memchr::memrchr(b' ', rest.trim_ascii_end()).map(|at| method_end + 2 + at) else {
        return (None, Some(ParseError::RequestLine("not method, URI and version")));
    };
    let Some(is_version_2) = sip_version(line[version_at..].trim_ascii_end()) else {
        return (None, Some(ParseError::RequestLine("does not end with SIP/2.0")));
    };
    let uri = (method_end + 1, version_at - 1);
    let start =
        Start::Request { method_end: offset(method_end), uri: (offset(uri.0), offset(uri.1)), is_version_2 };
    let is_exact =
        uri.0 < uri.1 && !line[uri.0..uri.1].iter().any(u8::is_ascii_whitespace) && !line.ends_with(b" ");
    (Some(start), (!is_exact).then_some(ParseError::RequestLine("other than one space between its parts")))
}

fn status_line(line: &[u8]) -> Result<Start, &'static str> {
    let space = memchr::memchr(b' ', line).ok_or("no status code")?;
    if sip_version(&line[..space]) != Some(true) {
        return Err("not SIP/2.0");
    }
    let rest = &line[space + 1..];
    let digits = rest.get(..3).ok_or("no status code")?;
    let code = lex::number(digits).filter(|code| (100..700).contains(code)).ok_or("bad status code")?;
    let reason_at = match rest.get(3) {
        None => line.len(),
        Some(b' ') => space + 5,
        Some(_) => return Err("bad status code"),
    };
    Ok(Start::Response { code, reason: (offset(reason_at), offset(line.len())) })
}

/// Whether `text` is a SIP version, and if so whether it is 2.0.
fn sip_version(text: &[u8]) -> Option<bool> {
    let (name, number) = (text.get(..4)?, text.get(4..)?);
    let dot = memchr::memchr(b'.', number)?;
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    (name.eq_ignore_ascii_case(b"SIP/") && is_number(&number[..dot]) && is_number(&number[dot + 1..]))
        .then_some(number == b"2.0")
}

/// Offsets fit: `Message::parse` refuses what is longer than 32 bits can count.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
