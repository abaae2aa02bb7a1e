//! Which keys a reload can't change: what is bound, opened or spawned once at start.
//!
//! A reload that changes one of them is refused whole, because half a reload would leave a configuration that
//! no file describes.

use super::Config;

/// The names of the keys that differ between `old` and `new` and need a restart; empty: the reload may go on.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("sip.listen", old.sip.listen != new.sip.listen),
        ("sip.advertise", old.sip.advertise != new.sip.advertise),
        ("sip.max_message_bytes", old.sip.limits.message_bytes != new.sip.limits.message_bytes),
        ("sip.max_line_bytes", old.sip.limits.line_bytes != new.sip.limits.line_bytes),
        ("sip.max_headers", old.sip.limits.headers != new.sip.limits.headers),
        ("media.listen", old.media.listen != new.media.listen),
        ("media.advertise", old.media.advertise != new.media.advertise),
        ("media.ports", old.media.ports != new.media.ports),
        ("media.silence_timeout_s", old.media.silence_timeout_s != new.media.silence_timeout_s),
        ("http.listen", old.http.listen != new.http.listen),
        ("http.token", old.http.token != new.http.token),
        ("records.file", old.records.file != new.records.file),
        ("log.level", old.log.level != new.log.level),
        ("log.format", old.log.format != new.log.format),
    ];
    changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}
