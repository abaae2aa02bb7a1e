//! Session descriptions, pure: reading what peers write, negotiating each leg (RFC 3264),
//! writing our own (RFC 8866).
//!
//! No description is ever passed from one leg to the other: a call reads the one it got, takes codecs and an
//! address from it, and writes a fresh one with its own addresses for the other side.

pub mod build;
pub mod codec;
pub mod crypto;
pub mod exchange;
pub mod negotiate;
pub mod session;
