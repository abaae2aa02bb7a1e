//! A call: pure state machine over two legs. STUB
pub mod record;
pub mod timestamp;
