//! The running bridge: everything wired together around one signalling thread.
//!
//! ```text
//! transports ► receive ► dispatch ► transaction table ► calls ► effects ► table, transports, media, store
//!                             └► admission (recognition, digest, routing) ─► new call
//! ```
//!
//! One thread owns every call, transaction and limit, so nothing here locks. What must not wait for the
//! world (name look-ups, HTTP, the record file, media) runs elsewhere and hands over through bounded
//! queues. The one thing to know before changing anything: the actions of one input are carried out before
//! the next input, through `inbox`.

mod admission;
mod bans;
mod bridge;
mod certificate;
mod complaints;
pub mod config;
pub mod counters;
mod deadlines;
mod dispatch;
mod effects;
mod errands;
mod lapsing;
mod lifecycle;
mod live;
mod log_writer;
mod media_metrics;
mod memory;
mod overload;
mod probes;
mod receive;
mod refusals;
mod registrations;
mod reload;
mod requests;
mod running;
mod signalling;
pub mod telemetry;
mod trunks;
mod unproven;
mod way;
mod world;

pub use bans::BanPolicy;
pub use bridge::{Bridge, Parts, Standing};
pub use lifecycle::{RunError, run};
pub use requests::{Resolved, Waiting};
pub use running::{Running, start};
pub use world::World;
