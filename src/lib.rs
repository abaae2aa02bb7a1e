//! trunkline joins SIP trunks to Retell AI's voice agents: a back-to-back user agent and an
//! RTP relay in one process.
//!
//! The rooms, and the only arrows between them; `tests/architecture.rs` fails when a file draws another:
//!
//! ```text
//!             main, cli (cli::demo -> sim)
//!                        │
//!           config ── server                     see everything; nothing sees them
//!   ┌────────────────────┼─────────────┐
//!  api     transport   media         store       the world: sockets, threads, files; none sees another
//!   └────────────────────┼─────────────┘         (beside them clock and net, which see nothing)
//!                      call ──► routing          pure: no I/O, no clock, no async, no randomness of its own
//!                        │         │
//!                 sip   sdp   rtp   id           pure; sip, sdp and rtp do not see each other
//! ```
//!
//! - [`call`] is one call as a state machine: inputs and the time go in, actions come
//!   out. Start reading there.
//! - [`server`] owns every call and transaction on one thread and carries the actions out.
//! - [`sip`] indexes messages in place and holds the transaction machines, dialogs and digest authentication.
//! - [`sdp`] reads what peers write, builds ours, and answers offers.
//! - [`rtp`] views and rewrites single packets; [`media`] moves them on threads of its own.
//! - [`routing`] decides who is calling, where the call goes and what its headers say.
//! - [`transport`] sends and receives messages over UDP, TCP and TLS, and looks names up.
//! - [`store`] writes call records; [`api`] answers HTTP.
//! - [`clock`] reads the time, [`net`] asks the kernel about addresses.
//! - [`config`] reads `config.toml`; every room declares the part of it that it uses.
//! - `sim` plays both far ends of the demonstration, and shares no parser with the rest.
pub mod api;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod id;
pub mod media;
pub mod net;
pub mod routing;
pub mod rtp;
pub mod sdp;
pub mod server;
#[cfg(feature = "demo")]
pub mod sim;
pub mod sip;
pub mod store;
pub mod transport;
