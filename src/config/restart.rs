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
        ("dns.servers", old.dns.servers != new.dns.servers),
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::config::reader::Secret;
    use crate::server::config::LogFormat;

    #[test]
    fn what_is_bound_or_opened_at_start_needs_a_restart_and_is_named() {
        let old = Config::default();
        let mut new = old.clone();
        let address = IpAddr::from([203, 0, 113, 10]);
        new.sip.listen.pop();
        new.sip.advertise.push(address);
        new.sip.limits.message_bytes += 1;
        new.sip.limits.line_bytes += 1;
        new.sip.limits.headers += 1;
        new.dns.servers.push((address, 53).into());
        new.media.listen.push(address);
        new.media.advertise.push(address);
        new.media.ports = [30_000, 39_999];
        new.media.silence_timeout_s += 1;
        new.http.listen.set_port(8081);
        new.http.token = Some(Secret::literal("s3cret"));
        new.records.file = Some("calls.jsonl".into());
        new.log.level = "debug".to_owned();
        new.log.format = LogFormat::Json;

        assert_eq!(
            needs_restart(&old, &new),
            [
                "sip.listen",
                "sip.advertise",
                "sip.max_message_bytes",
                "sip.max_line_bytes",
                "sip.max_headers",
                "dns.servers",
                "media.listen",
                "media.advertise",
                "media.ports",
                "media.silence_timeout_s",
                "http.listen",
                "http.token",
                "records.file",
                "log.level",
                "log.format",
            ]
        );
    }

    #[test]
    fn routing_and_drain_time_are_reloaded() {
        let old = Config::default();
        let mut new = old.clone();
        new.server.drain_s = 1;
        new.routing.extensions.push(("1001".to_owned(), "+14155550100".to_owned()));

        assert_eq!(needs_restart(&old, &new), [""; 0]);
    }
}
