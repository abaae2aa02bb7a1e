//! `[sip]`, `[dns]`, `[media]` and `[http]`: addresses, ports and what gets in each other's way.

use crate::{PEERS, problems, with_peers};

#[test]
fn listeners_and_addresses_are_checked() {
    let text = r#"[sip]
listen = ["udp:localhost:5060", "tcp:0.0.0.0:5060"]
advertise = ["203.0.113.10", "2001:db8::1", "203.0.113.11"]
max_line_bytes = 5000
max_message_bytes = 2000
[media]
listen = []
advertise = ["0.0.0.0", "sip.example"]
[http]
listen = "0.0.0.0:8080"
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:11: \"localhost:5060\" is no IP address with a port; write it like \"udp:0.0.0.0:5060\" or \
             \"udp:[::]:5060\"",
            "3:45: `advertise` holds two IPv4 addresses, 203.0.113.10 and 203.0.113.11; keep one per \
             address family",
            "4:18: `max_line_bytes` is larger than `max_message_bytes`; write a smaller number",
            "7:10: `listen` is empty; name at least one, such as \"0.0.0.0\"",
            "8:14: nobody can send to 0.0.0.0; write the address that peers reach, such as \"203.0.113.10\"",
            "8:25: \"sip.example\" is no IP address; write the address that peers reach, such as \
             \"203.0.113.10\"",
            "10:10: `listen` is 0.0.0.0:8080, beyond loopback, and there is no `token`; \
             add token = \"env:TRUNKLINE_TOKEN\", or listen on 127.0.0.1",
        ]
    );
}

#[test]
fn a_name_server_is_named_by_its_address() {
    assert_eq!(
        with_peers("[dns]\nservers = [\"192.0.2.53\", \"[2001:db8::53]:5353\", \"ns.example\"]\n"),
        ["2:49: \"ns.example\" is no IP address; write the address of a name server, such as \
          \"192.0.2.53\" \
          or \"192.0.2.53:5353\""]
    );
}

#[test]
fn a_listener_named_twice_is_refused() {
    let text = "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\"]\n";

    assert_eq!(with_peers(text), ["2:55: this stands in `listen` twice; take one out"]);
}

#[test]
fn a_port_range_begins_even_ends_behind_and_holds_a_call() {
    let ports = |ports: &str| with_peers(&format!("[media]\nports = {ports}\n"));

    assert_eq!(
        ports("[20001, 29999]"),
        ["2:9: `ports` begins with 20001, but RTP takes even ports from 2 on; begin with 20002"]
    );
    assert_eq!(
        ports("[29999, 20000]"),
        ["2:9: `ports` runs backwards, from 29999 to 20000; write [20000, 29999]"]
    );
    assert_eq!(
        ports("[20000, 20002]"),
        ["2:9: `ports` holds fewer than 4 ports, which is less than one call takes; write a wider range, \
          such as [20000, 29999]"]
    );
    assert_eq!(ports("[20000, 20003]"), [""; 0]);
    assert_eq!(
        ports("[20000, 70000]"),
        ["2:9: `ports` holds something that is no port (a whole number below 65536); \
          write the first and the last port, such as [20000, 29999]"]
    );
    assert_eq!(
        ports("[20000]"),
        ["2:9: `ports` has not two elements but 1; write the first and the last port, such as [20000, \
          29999]"]
    );
    assert_eq!(
        ports("[5000, 6000]"),
        ["2:9: `ports` from 5000 to 6000 include 5060, where SIP is received; choose a range without it, \
          such as [20000, 29999]"]
    );
}

#[test]
fn sockets_that_take_each_others_port_are_refused() {
    let text = r#"[sip]
listen = ["udp:0.0.0.0:5060", "udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "udp:[::1]:5060"]
[media]
listen = ["0.0.0.0", "::1"]
[http]
listen = "127.0.0.1:5060"
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:31: 0.0.0.0:5060 and 127.0.0.1:5060 are one port; \
             keep the one with 0.0.0.0 or [::], or give both an address of their own",
            "6:10: port 5060 is where SIP is received by TCP; choose another port, such as 8080",
        ]
    );
}

#[test]
fn families_of_signalling_and_audio_that_differ_are_warned_of() {
    let both = "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"udp:[::1]:5060\"]\n";

    assert_eq!(
        with_peers(both),
        ["1:1: warning: SIP is received over IPv6 and audio is not, so such calls are refused; \
          add \"::\", or take the IPv6 listeners out of [sip].listen"]
    );
    assert_eq!(with_peers(&format!("{both}[media]\nlisten = [\"0.0.0.0\", \"::1\"]\n")), [""; 0]);
    assert_eq!(
        with_peers("[media]\nlisten = [\"0.0.0.0\", \"::1\"]\n"),
        ["1:1: warning: audio is received over IPv6 and SIP is not, so no call will use it; \
          add \"udp:[::]:5060\", or take the IPv6 addresses out of [media].listen"]
    );
}

#[test]
fn a_peer_that_no_listener_leads_to_is_warned_of() {
    let udp = "[sip]\nlisten = [\"udp:0.0.0.0:5060\"]\n";
    let to = |uri: &str| problems(&format!("{udp}{}", PEERS.replace("sip:retell.example", uri)));
    let lost = |listener: &str| {
        format!(
            "5:7: warning: no call can go there: [sip].listen has nothing that it could leave by; \
             add \"{listener}\" to [sip].listen, or name another `uri`"
        )
    };

    assert_eq!(to("sip:retell.example;transport=tcp"), [lost("tcp:0.0.0.0:5060")]);
    assert_eq!(to("sip:[2001:db8::7]"), [lost("udp:[::]:5060")]);
    assert_eq!(to("sip:192.0.2.7:5080"), [""; 0]);
    assert_eq!(to("sip:retell.example"), [""; 0], "left to NAPTR");
}
