//! The far ends: a simulated carrier and a simulated Retell endpoint, for `trunkline demo` and for tests.
//!
//! They share no parser, builder or codec with the product: SIP is rsip's, SDP is read by sdp-types,
//! RTP is rtp-rs's, G.711 is their own. So each side catches the other's mistakes, which it could
//! not if both misread alike.
//!
//! ```text
//! demo ── report, ladder           calls through a bridge, and what came of them
//!   │  └─ verdict ── tone          is it the right tone, all of it, and nothing else?
//! carrier, retell                  how each treats a call that comes in
//!   └─ endpoint ── uac, uas, dialog, call, digest      one call, from INVITE to BYE
//!        ├─ wire ── message, log   UDP and TCP, rsip and its faults
//!        └─ media ── stream, mark, rtp_socket, g711    all audio, on one thread
//! ```

pub mod call;
pub mod carrier;
pub mod demo;
mod dialog;
pub mod digest;
pub mod endpoint;
pub mod g711;
pub mod ladder;
pub mod log;
mod mark;
pub mod media;
mod message;
pub mod report;
pub mod retell;
mod rtp_socket;
mod sdp;
pub mod stream;
pub mod tone;
pub mod uac;
mod uas;
pub mod verdict;
pub mod wire;
