//! sim: STUB
