//! Digest authentication in both roles (RFC 7616, RFC 8760, RFC 3261 §22).
//!
//! MD5, SHA-256 and SHA-512/256, without `-sess`, which no SIP peer is known to ask for. The URI that is
//! hashed is the text of the `uri` parameter, not the Request-URI: a proxy may have rewritten the latter, and
//! Retell puts the To there.

mod answers;
mod contact;
mod credentials;
mod digest;
mod nonce;
mod params;
mod replay;
mod uac;
mod verifier;

pub use answers::{Answers, Authorization};
pub use contact::contact_user;
pub use credentials::Credentials;
pub use digest::{Algorithm, Qop};
pub use uac::{Challenge, authorization, challenge_of};
pub use verifier::{Verdict, Verifier};
