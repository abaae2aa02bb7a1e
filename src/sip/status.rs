//! Status codes and their standard reason phrases: STUB.
pub fn reason_phrase(_code: u16) -> &'static str {
    todo!()
}
