//! The headers that SIP itself needs, read when asked for (RFC 3261 §20).
//!
//! Each reads its header anew: what is needed more than once is kept by whoever needs it. Those marked as hot
//! path cut out one parameter and allocate nothing.

use super::Message;
use crate::sip::headers::{CSeq, HeaderError, Name, NameAddr, Via, lex};

impl Message {
    /// All Via values, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via, HeaderError>> {
        self.raw_elements(Name::Via).map(Via::parse)
    }

    /// The Via of whoever sent us the message.
    ///
    /// # Errors
    /// [`HeaderError`] when there is none or it can't be read.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        self.raw_elements(Name::Via).next().map_or(Err(HeaderError::Missing("Via")), Via::parse)
    }

    /// Branch of the top Via without reading the rest. Hot path.
    #[must_use]
    pub fn top_branch(&self) -> Option<&[u8]> {
        let via = self.raw_elements(Name::Via).next()?;
        lex::param(lex::params_of_address(via), "branch").flatten()
    }

    /// Who the request is from.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or can't be read.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse_in("From", self.mandatory(Name::From)?)
    }

    /// Who the request is for.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or can't be read.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse_in("To", self.mandatory(Name::To)?)
    }

    /// The From-tag, without reading the URI. Hot path.
    #[must_use]
    pub fn from_tag(&self) -> Option<&[u8]> {
        self.tag_of(Name::From)
    }

    /// The To-tag, without reading the URI. Hot path.
    #[must_use]
    pub fn to_tag(&self) -> Option<&[u8]> {
        self.tag_of(Name::To)
    }

    /// The Call-ID, to be compared byte by byte.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing, empty, or holds white space.
    pub fn call_id(&self) -> Result<&[u8], HeaderError> {
        let value = self.mandatory(Name::CallId)?;
        if value.is_empty() || value.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
        {
            return Err(HeaderError::Bad { header: "Call-ID", problem: "not a word" });
        }
        Ok(value)
    }

    /// Number and method of the CSeq.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or can't be read.
    pub fn cseq(&self) -> Result<CSeq<'_>, HeaderError> {
        CSeq::parse(self.mandatory(Name::CSeq)?)
    }

    /// How many hops are left; absent is `Ok(None)`.
    ///
    /// # Errors
    /// [`HeaderError::Bad`] when it is no number from 0 to 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        let bad = HeaderError::Bad { header: "Max-Forwards", problem: "not a number from 0 to 255" };
        self.raw_value(Name::MaxForwards).map(|value| lex::number(value).ok_or(bad)).transpose()
    }

    /// The first Contact; `*` is an error here.
    ///
    /// # Errors
    /// [`HeaderError`] when it can't be read.
    pub fn contact(&self) -> Result<Option<NameAddr>, HeaderError> {
        self.raw_elements(Name::Contact).next().map(|value| NameAddr::parse_in("Contact", value)).transpose()
    }

    /// All Record-Route values, topmost first.
    ///
    /// # Errors
    /// [`HeaderError`] when one can't be read.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.raw_elements(Name::RecordRoute).map(|value| NameAddr::parse_in("Record-Route", value)).collect()
    }

    /// Expires in seconds; what is too large to count is as long as can be counted.
    ///
    /// # Errors
    /// [`HeaderError::Bad`] when it is no number.
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        let Some(value) = self.raw_value(Name::Expires) else { return Ok(None) };
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(HeaderError::Bad { header: "Expires", problem: "not a number" });
        }
        Ok(Some(lex::number(value).unwrap_or(u32::MAX)))
    }

    /// Retry-After in seconds, its comment and parameters left aside; `None` also when it can't be read.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        let value = self.raw_value(Name::RetryAfter)?;
        let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
        lex::number(&value[..end])
    }

    /// `type/subtype` of the body in lower case, without parameters.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        let value = self.raw_value(Name::ContentType)?;
        let media_type = value.split(|&byte| byte == b';').next()?;
        let text = media_type.iter().filter(|&&byte| !lex::is_space(byte)).copied().collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&text).to_ascii_lowercase())
    }

    fn mandatory(&self, name: Name) -> Result<&[u8], HeaderError> {
        self.raw_value(name).ok_or(HeaderError::Missing(name.as_str()))
    }

    fn tag_of(&self, name: Name) -> Option<&[u8]> {
        let tag = lex::param(lex::params_of_address(self.raw_value(name)?), "tag").flatten();
        tag.filter(|tag| !tag.is_empty())
    }
}
