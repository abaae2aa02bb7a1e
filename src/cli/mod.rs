//! cli: STUB
