//! The far ends: a simulated carrier and a simulated Retell endpoint.
pub mod g711;
pub mod media;
mod message;
mod rtp_socket;
mod sdp;
pub mod stream;
pub mod tone;
