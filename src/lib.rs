//! trunkline: STUB head.
#![allow(missing_docs, unused, unreachable_pub, dead_code, clippy::all, clippy::todo, rustdoc::all)] // TEMPORARY while rooms are being filled
pub mod api;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod id;
pub mod media;
pub mod routing;
pub mod rtp;
pub mod sdp;
pub mod server;
#[cfg(feature = "demo")]
pub mod sim;
pub mod sip;
pub mod store;
pub mod transport;
