//! RTP and RTCP, pure: a view on packets, in-place setters, statistics: STUB.
pub mod leg;
