//! Session descriptions, pure: reading what peers write, negotiating per leg (RFC 3264), writing our own. STUB
pub mod build;
pub mod codec;
pub mod negotiate;
pub mod session;
