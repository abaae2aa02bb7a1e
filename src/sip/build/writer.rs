//! The one place where bytes of a message are put together.
//!
//! Values pass through [`Writer::value`] or its `fmt::Write`, which let no line end through; [`Writer::raw`]
//! is for what this room spells out itself.

use std::fmt::{self, Write as _};

use bytes::Bytes;

use crate::sip::headers::{Name, lex};

/// A message in the making.
#[derive(Clone, Debug)]
pub(in crate::sip) struct Writer {
    bytes: Vec<u8>,
    /// Which known headers are there, one bit each.
    written: u64,
}

impl Writer {
    pub(in crate::sip) fn new() -> Self {
        Self { bytes: Vec::with_capacity(1_024), written: 0 }
    }

    pub(in crate::sip) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that are known to be right.
    pub(in crate::sip) fn raw(&mut self, text: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(text.as_ref());
    }

    /// Bytes from outside: control characters other than tab become spaces.
    pub(in crate::sip) fn value(&mut self, value: &[u8]) {
        self.bytes.extend(value.iter().map(|&byte| clean(byte)));
    }

    /// A header that a builder was asked for: Via is its own, and an unknown name has no spelling.
    pub(in crate::sip) fn add(&mut self, name: Name, value: impl fmt::Display) {
        if !matches!(name, Name::Other | Name::Via) {
            self.header(name, value);
        }
    }

    /// The same by its spelling.
    pub(in crate::sip) fn add_raw(&mut self, name: &[u8], value: &[u8]) {
        if Name::parse(name) != Name::Via {
            self.header_raw(name, value);
        }
    }

    /// A header of our own, unless it may stand once and already does.
    pub(in crate::sip) fn header(&mut self, name: Name, value: impl fmt::Display) {
        if self.claims(name) {
            self.open(name);
            write!(self, "{value}").expect("a Display of our own types does not fail, and the writer can't");
            self.raw("\r\n");
        }
    }

    /// The same with a value in bytes.
    pub(in crate::sip) fn header_bytes(&mut self, name: Name, value: &[u8]) {
        if self.claims(name) {
            self.open(name);
            self.value(value);
            self.raw("\r\n");
        }
    }

    /// A header by its spelling; dropped when its name is no token or its line would be longer than
    /// [`LINE_BYTES`], which other elements may refuse, and when it may stand once and already does.
    /// Tells whether it was written.
    pub(in crate::sip) fn header_raw(&mut self, name: &[u8], value: &[u8]) -> bool {
        let value = lex::trim(value);
        let known = Name::parse(name);
        if !lex::is_token(name) || name.len() + 2 + value.len() > LINE_BYTES || !self.claims(known) {
            return false;
        }
        self.raw(name);
        self.raw(": ");
        self.value(value);
        self.raw("\r\n");
        true
    }

    /// What was written so far, in no more memory than it takes: transactions keep it for half a minute.
    pub(in crate::sip) fn into_bytes(self) -> Bytes {
        self.bytes.into_boxed_slice().into()
    }

    /// Content-Type, Content-Length, the empty line and the body.
    pub(in crate::sip) fn finish(mut self, content_type: Option<&str>, body: &[u8]) -> Bytes {
        if let Some(content_type) = content_type {
            self.open(Name::ContentType);
            self.value(content_type.as_bytes());
            self.raw("\r\n");
        }
        self.open(Name::ContentLength);
        write!(self, "{}", body.len()).expect("the writer can't fail");
        self.raw("\r\n\r\n");
        self.raw(body);
        self.into_bytes()
    }

    fn open(&mut self, name: Name) {
        self.raw(name.as_str());
        self.raw(": ");
    }

    /// Whether `name` may be written (again), noting that it is.
    fn claims(&mut self, name: Name) -> bool {
        let bit = 1_u64 << (name as u8);
        let is_there = self.written & bit != 0;
        self.written |= bit;
        match name {
            Name::ContentLength | Name::ContentType => false,
            Name::From | Name::To | Name::CallId | Name::CSeq | Name::MaxForwards => !is_there,
            _ => true,
        }
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.value(text.as_bytes());
        Ok(())
    }
}

fn clean(byte: u8) -> u8 {
    if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }
}

/// The longest header line passed on, as long as the longest that we take by default.
const LINE_BYTES: usize = 8_192;
