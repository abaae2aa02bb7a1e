//! The SIP protocol, pure: messages, transactions, dialogs and authentication, with no I/O and no clock.
//!
//! Nothing here knows of calls, trunks or Retell; what a *bridge* does lives in `call`.

pub mod answer_repeat;
pub mod auth;
pub mod build;
pub mod cause;
pub mod dialog;
pub mod flow;
pub mod framing;
pub mod headers;
pub mod interop;
pub mod message;
pub mod multipart;
pub mod nat;
pub mod prack;
pub mod probe;
pub mod reason;
pub mod registration;
pub mod session_timer;
pub mod status;
pub mod timers;
pub mod transaction;
pub mod uri;
