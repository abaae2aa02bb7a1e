//! `[server]` and `[log]`: STUB (the configuration helper completes it).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub drain_s: u32,
}
impl Default for Config {
    fn default() -> Self {
        Self { drain_s: 300 }
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}
/// Level is a tracing filter (`info`, `trunkline=debug`); default `info`, text.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
}
impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}
