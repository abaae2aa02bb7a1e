//! CSeq (RFC 3261 §20.16).
//!
//! The number ends at 2³¹ − 1 (RFC 3261 §8.1.1.5), not where the integer type does.

use std::fmt;

use super::{HeaderError, lex};
use crate::sip::message::Method;

/// A CSeq: it orders requests within a dialog, and its method tells a CANCEL's response from the INVITE's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2³¹.
    pub number: u32,
    /// As in the request line.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads the value of a CSeq header.
    ///
    /// # Errors
    /// [`HeaderError::Bad`].
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let bad = |problem| HeaderError::Bad { header: "CSeq", problem };
        let space =
            value.iter().position(|&byte| lex::is_space(byte)).ok_or(bad("not a number and a method"))?;
        let (digits, method) = (&value[..space], lex::trim(&value[space..]));
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(bad("not a number and a method"));
        }
        let number = lex::number(digits).filter(|&number: &u32| number <= MAX);
        let number = number.ok_or(bad("number above 2147483647"))?;
        if !lex::is_token(method) {
            return Err(bad("not a number and a method"));
        }
        Ok(Self { number, method: Method::parse(method) })
    }
}

impl fmt::Display for CSeq<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method.as_str())
    }
}

const MAX: u32 = (1 << 31) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_method_are_read() {
        let cseq = CSeq::parse(b"0009\t \r\n  INVITE").unwrap();

        assert_eq!(cseq, CSeq { number: 9, method: Method::Invite });
        assert_eq!(cseq.to_string(), "9 INVITE");
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            "",
            "1",
            "INVITE",
            "1 ",
            "-1 INVITE",
            "2147483648 INVITE",
            "1 INVITE x",
            "36893488147419103232 A",
        ] {
            assert!(CSeq::parse(value.as_bytes()).is_err(), "{value}");
        }
    }
}
