//! Which keys a reload can't change: what is bound, opened or spawned once at start.
//!
//! A reload that changes one of them is refused whole, because half a reload would leave a configuration that
//! no file describes. Every section is taken apart here field by field, so that a new key does not compile
//! until somebody has decided on which side it stands.

use super::Config;
use crate::routing::config::InterfaceConfig;
use crate::sip::message::Limits;
use crate::{api, media, server, store, transport};

/// The names of the keys that differ between `old` and `new` and need a restart; empty: the reload may go on.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let Config { sip, tls, dns, media, http, records, server, log, routing } = old;
    compare!(
        changed,
        "sip.",
        transport::config::Config,
        sip => new.sip,
        [listen advertise],
        [ban_after ban_s limits interfaces]
    );
    compare!(
        changed,
        "sip.max_",
        Limits,
        &sip.limits => new.sip.limits,
        [message_bytes line_bytes headers],
        []
    );
    compare!(
        changed,
        "tls.",
        transport::config::tls::Config,
        tls => new.tls,
        [],
        [certificate key ca mtls client_ca]
    );
    compare!(changed, "dns.", transport::config::dns::Config, dns => new.dns, [servers], []);
    compare!(
        changed,
        "media.",
        media::Config,
        media => new.media,
        [listen advertise ports silence_timeout_s threads pin_threads realtime],
        [interfaces]
    );
    compare!(changed, "http.", api::config::Config, http => new.http, [listen token], []);
    compare!(changed, "records.", store::config::Config, records => new.records, [file], []);
    compare!(
        changed,
        "server.",
        server::config::Config,
        server => new.server,
        [state],
        [drain_s max_calls calls_per_second]
    );
    compare!(changed, "log.", server::config::LogConfig, log => new.log, [level format], []);
    let (own, new_own) = (&routing.interfaces, &new.routing.interfaces);
    if own.len() != new_own.len() {
        changed.push("interfaces");
    }
    for (own, new) in own.iter().zip(new_own) {
        compare!(
            changed,
            "interfaces.",
            InterfaceConfig,
            own => new,
            [address advertise ports],
            [name networks]
        );
    }
    changed.dedup();
    changed
}

/// Adds to `$changed` the `$fixed` fields that differ; `$free` are the ones that a reload may change.
/// Together they must be all there are.
macro_rules! compare {
    (
        $changed:ident,
        $section:literal,
        $type:path,
        $old:expr => $new:expr,
        [$($fixed:ident)*],
        [$($free:ident)*]
    ) => {
        let $type { $($fixed,)* $($free: _,)* } = $old;
        $(if *$fixed != $new.$fixed {
            $changed.push(concat!($section, stringify!($fixed)));
        })*
    };
}
use compare;

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
        new.media.threads += 1;
        new.media.pin_threads = true;
        new.media.realtime = false;
        new.http.listen.set_port(8081);
        new.http.token = Some(Secret::literal("s3cret"));
        new.records.file = Some("calls.jsonl".into());
        new.server.state = Some("state.json".into());
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
                "media.threads",
                "media.pin_threads",
                "media.realtime",
                "http.listen",
                "http.token",
                "records.file",
                "server.state",
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
