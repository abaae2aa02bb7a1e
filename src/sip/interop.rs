//! To and from rsip's types, so that users of rsip can drive the library: STUB.
