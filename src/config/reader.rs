//! Reads spanned TOML, records every mistake with its place and goes on: STUB.
/// A part of the configuration that knows how to read itself.
pub trait Section: Sized {
    fn read(table: &mut Reader<'_>) -> Self;
}
pub struct Reader<'a> {
    _a: std::marker::PhantomData<&'a ()>,
}
/// One mistake or warning with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub what: String,
    pub instead: String,
}
/// A literal, `env:NAME` or `file:path`; Debug and Display never show the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub source: SecretSource,
}
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    Literal(String),
    Env(String),
    File(std::path::PathBuf),
}
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum SecretError {
    #[error("environment variable {0} is not set")]
    Unset(String),
    #[error("{0}: {1}")]
    File(String, String),
}
impl Secret {
    /** The value (a file's without its last newline). */
    pub fn reveal(&self) -> Result<String, SecretError> {
        todo!()
    }
}
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
