//! The far ends: a simulated carrier and a simulated Retell endpoint, for `trunkline demo` and for tests.
//!
//! They share no parser, builder or codec with the product: SIP is rsip's, SDP is read by sdp-types, RTP is rtp-rs's,
//! G.711 is their own. So each side catches the other's mistakes, which it could not if both misread alike.

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
