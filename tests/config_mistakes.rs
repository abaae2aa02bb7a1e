//! Every mistake that a configuration can hold is reported with its exact place, all of them at once.
//!
//! Expectations are whole lines as `trunkline check` prints them, because their wording is what a user works with.

#![allow(clippy::unwrap_used)]

use std::fs;

use trunkline::config;

#[test]
fn all_mistakes_come_at_once_sorted_by_place() {
    let text = r#"[media]
ports = "20000-29999"
silence_timeout = 60
[sip]
listen = ["udp:0.0.0.0:5060", "0.0.0.0:5060"]
[server]
drain_s = -1
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:9: `ports` is a string; write the first and the last port, such as [20000, 29999]",
            "3:1: unknown key `silence_timeout`; write `silence_timeout_s`",
            "5:31: \"0.0.0.0:5060\" does not begin with a transport; write \"udp:\" or \"tcp:\", then address and port",
            "7:11: `drain_s` is -1; write a number from 0 to 86400",
        ]
    );
}

#[test]
fn a_syntax_error_is_one_problem_with_its_place_and_without_the_text() {
    let problems = problems("[http]\ntoken = \"s3cret\nlisten = 1\n");

    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("2:16: this is not TOML: invalid basic string"), "{problems:?}");
    assert!(!problems[0].contains("s3cret"));
}

#[test]
fn a_wrong_type_is_named_with_what_to_write() {
    let text = r#"[sip]
listen = "udp:0.0.0.0:5060"
max_headers = 2.5
[media]
listen = [1]
[records]
file = ["calls.jsonl"]
[log]
format = true
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:10: `listen` is a string; write an array of strings, in brackets",
            "3:15: `max_headers` is a number with a fraction; write a whole number, such as 256",
            "5:11: `listen` is a whole number; write a string, in quotes",
            "7:8: `file` is an array; write a string, in quotes",
            "9:10: `format` is true or false; write a string, in quotes",
        ]
    );
}

#[test]
fn a_table_in_place_of_an_array_of_tables_and_the_other_way_round_are_told_apart() {
    let text =
        "trunks = 5\n[retell]\nname = \"retell\"\n[[sip]]\n[headers]\nrules = { toward = \"all trunks\" }\n";

    assert_eq!(
        problems(text),
        [
            "1:10: `trunks` is a whole number; write one table for each: [[trunks]]",
            "2:1: `retell` is a table; write one table for each: [[retell]]",
            "4:1: `sip` is an array of tables; write a table: [sip]",
            "6:9: `rules` is a table; write one table for each: [[headers.rules]]",
        ]
    );
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let text = "sipp = 1\n[log]\nlevle = \"info\"\ndrain_s = 5\nfrobnicate = 1\n";

    assert_eq!(
        with_peers(text),
        [
            "1:1: unknown key `sipp`; write `sip`",
            "3:1: unknown key `levle`; write `level`",
            "4:1: unknown key `drain_s`; move it to `server`, or take it out (the nearest known key here is `level`)",
            "5:1: unknown key `frobnicate`; take it out (the nearest known key is `format`)",
        ]
    );
}

#[test]
fn what_is_planned_but_not_there_yet_is_refused_by_name() {
    let text = PEERS.replace("allow = [\"198.51.100.0/24\"]", "allow = [\"198.51.100.0/24\"]\nfill_ms = 200");
    let tls = "[sip]\nlisten = [\"tls:0.0.0.0:5061\"]\n";

    assert_eq!(problems(&text), ["11:1: unknown key `fill_ms`: it is not supported yet; take it out"]);
    assert_eq!(
        with_peers(tls),
        ["2:11: transport \"tls\" is not supported yet; write \"tcp:0.0.0.0:5061\" or \"udp:0.0.0.0:5061\""]
    );
}

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
            "2:11: \"localhost:5060\" is no IP address with a port; write it like \"udp:0.0.0.0:5060\" or \"udp:[::]:5060\"",
            "3:45: `advertise` holds two IPv4 addresses, 203.0.113.10 and 203.0.113.11; keep one per address family",
            "4:18: `max_line_bytes` is larger than `max_message_bytes`; write a smaller number",
            "7:10: `listen` is empty; name at least one, such as \"0.0.0.0\"",
            "8:14: nobody can send to 0.0.0.0; write the address that peers reach, such as \"203.0.113.10\"",
            "8:25: \"sip.example\" is no IP address; write the address that peers reach, such as \"203.0.113.10\"",
            "10:10: `listen` is 0.0.0.0:8080, beyond loopback, and there is no `token`; \
             add token = \"env:TRUNKLINE_TOKEN\", or listen on 127.0.0.1",
        ]
    );
}

#[test]
fn a_name_server_is_named_by_its_address() {
    assert_eq!(
        with_peers("[dns]\nservers = [\"192.0.2.53\", \"[2001:db8::53]:5353\", \"ns.example\"]\n"),
        [
            "2:49: \"ns.example\" is no IP address; write the address of a name server, such as \"192.0.2.53\" \
             or \"192.0.2.53:5353\""
        ]
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
        [
            "2:9: `ports` holds fewer than 4 ports, which is less than one call takes; write a wider range, such as [20000, 29999]"
        ]
    );
    assert_eq!(ports("[20000, 20003]"), [""; 0]);
    assert_eq!(
        ports("[20000, 70000]"),
        ["2:9: `ports` holds something that is no port (a whole number below 65536); \
          write the first and the last port, such as [20000, 29999]"]
    );
    assert_eq!(
        ports("[20000]"),
        [
            "2:9: `ports` has not two elements but 1; write the first and the last port, such as [20000, 29999]"
        ]
    );
    assert_eq!(
        ports("[5000, 6000]"),
        [
            "2:9: `ports` from 5000 to 6000 include 5060, where SIP is received; choose a range without it, such as [20000, 29999]"
        ]
    );
}

#[test]
fn log_levels_are_words_or_filters() {
    let level = |level: &str| with_peers(&format!("[log]\nlevel = \"{level}\"\n"));

    assert_eq!(level("info,trunkline::sip=trace"), [""; 0]);
    assert_eq!(
        level("inof"),
        [
            "2:9: \"inof\" is no log level; write one of trace, debug, info, warn, error, off (the nearest is \"info\")"
        ]
    );
    assert_eq!(level("trunkline=loud").len(), 1);
}

#[test]
fn both_kinds_of_peer_must_be_there() {
    assert_eq!(
        problems("[sip]\n"),
        [
            "1:1: there is no [[retell]]; add one with name, uri, username and password, as in the shipped config.toml",
            "1:1: there is no [[trunks]]; add one with name, uri and allow, as in the shipped config.toml",
        ]
    );
}

#[test]
fn a_peer_needs_a_name_of_its_own_and_a_uri() {
    let text = r#"[[retell]]
username = "u"
password = "p"
[[trunks]]
name = "carrier"
uri = []
allow = ["198.51.100.0/24"]
country = "US"
[[trunks]]
name = "carrier"
uri = "sip:other.example"
allow = ["192.0.2.7"]
country = "US"
[[trunks]]
name = "all trunks"
uri = "sip:third.example"
allow = ["192.0.2.8"]
country = "US"
"#;

    assert_eq!(
        problems(text),
        [
            "1:1: `name` is missing; add name = \"…\", which rules and records use",
            "1:1: `uri` is missing; add uri = \"sip:…\", where calls to this peer go",
            "6:7: `uri` is an empty array; name at least one, such as \"sip:carrier.example\"",
            "10:8: two peers have the name \"carrier\"; give each a name of its own",
            "15:8: \"all trunks\" has a meaning of its own in header rules; choose another name",
        ]
    );
}

#[test]
fn a_uri_that_no_call_can_go_to_is_refused() {
    let uri = |uri: &str| {
        let problems = trunk(&format!("uri = \"{uri}\"\nallow = [\"198.51.100.0/24\"]"));
        problems.into_iter().map(|problem| problem.split_once(": ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let like = "write it like \"sip:carrier.example:5060;transport=tcp\"";

    assert_eq!(uri("sip:[2001:db8::7]:5080;transport=udp"), [""; 0]);
    assert_eq!(
        uri("carrier.example:5060"),
        ["`uri` does not begin with \"sip:\"; write \"sip:carrier.example:5060\""]
    );
    assert_eq!(uri("sip:carrier .example"), ["`uri` has a space in it; take the space out"]);
    assert_eq!(uri("sip:"), [format!("`uri` can't be read: URI has a bad host; {like}")]);
    assert_eq!(uri("tel:+14155550100"), [format!("`uri` is a telephone number; {like}")]);
    assert_eq!(
        uri("sips:carrier.example"),
        ["`uri` asks for TLS, which is not supported yet; write sip: and ;transport=tcp"]
    );
    assert_eq!(
        uri("sip:carrier.example;transport=tls"),
        ["`uri` asks for TLS, which is not supported yet; write ;transport=tcp or ;transport=udp"]
    );
    assert_eq!(
        uri("sip:carrier.example;transport=sctp"),
        ["`uri` asks for transport \"sctp\"; write ;transport=tcp or ;transport=udp"]
    );
    assert_eq!(
        uri("sip:acct:s3cret@carrier.example"),
        ["`uri` has a user part, but the dialled number goes there; take out what stands before the @"]
    );
    assert_eq!(uri("sip:carrier.example?X-A=b"), ["`uri` has headers; take out the ? and what follows"]);
    assert_eq!(
        uri("sip:carrier.example:0"),
        ["`uri` has a port that is none; write a number below 65536, or none for 5060"]
    );
    assert_eq!(
        uri("sip:0.0.0.0"),
        ["`uri` holds an address that nobody can be reached at; write the peer's address"]
    );
}

#[test]
fn of_several_uris_the_broken_one_is_pointed_at() {
    let text = "uri = [\"sip:a.example\", \"b.example\"]\nallow = [\"198.51.100.0/24\"]";

    assert_eq!(trunk(text), ["8:25: `uri` does not begin with \"sip:\"; write \"sip:b.example\""]);
}

#[test]
fn ranges_are_addresses_or_networks() {
    assert_eq!(trunk("uri = \"sip:c.example\"\nallow = [\"198.51.100.7\", \"2001:db8::/32\"]"), [""; 0]);
    assert_eq!(
        trunk("uri = \"sip:c.example\"\nallow = [\"198.51.100.0/33\"]"),
        [
            "9:10: \"198.51.100.0/33\" is no address and no range of addresses; write it like \"198.51.100.7\" or \"198.51.100.0/24\""
        ]
    );
    assert_eq!(
        trunk("uri = \"sip:c.example\"\nallow = [\"198.51.100.7/24\"]"),
        [
            "9:10: warning: 198.51.100.7/24 is an address within the range 198.51.100.0/24, not the range itself; \
          write \"198.51.100.0/24\" for the range, \"198.51.100.7\" for the address"
        ]
    );
}

#[test]
fn credentials_come_in_pairs_and_are_there_when_asked_for() {
    let trunk =
        |keys: &str| trunk(&format!("uri = \"sip:c.example\"\nallow = [\"198.51.100.0/24\"]\n{keys}"));

    assert_eq!(
        trunk("username = \"acct\""),
        ["10:12: `username` stands without `password`; add password = \"env:NAME\", or take `username` out"]
    );
    assert_eq!(
        trunk("password = \"s3cret\""),
        ["10:12: `password` stands without `username`; add username = \"…\", or take `password` out"]
    );
    assert_eq!(
        trunk("challenge = true"),
        [
            "10:13: `challenge` is true, but there are no credentials to ask for; add `username` and `password`"
        ]
    );
    assert_eq!(
        trunk("username = \"acct\"\npassword = 12345"),
        [
            "11:12: `password` is a whole number; write a string: the value itself, \"env:NAME\" or \"file:path\""
        ]
    );
    assert_eq!(
        trunk("username = \"acct\"\npassword = \"env:\""),
        ["11:12: `password` names no environment variable; write \"env:NAME\""]
    );
    assert_eq!(
        trunk("username = \"acct\"\npassword = \"s3cret\"\nchallenge = true\ntrust_address = true"),
        [
            "13:17: warning: `trust_address` has no effect on a peer that is challenged; take it out, or add challenge = false"
        ]
    );
}

#[test]
fn a_secret_without_a_value_is_a_warning() {
    let trunk = |password: &str| {
        trunk(&format!("uri = \"sip:c.example\"\nusername = \"acct\"\npassword = \"{password}\""))
    };

    assert_eq!(
        trunk("env:NOT_SET_ANYWHERE"),
        ["10:12: warning: environment variable NOT_SET_ANYWHERE is not set; \
          provide it before `trunkline serve`, or take the key out"]
    );
    assert_eq!(trunk("file:/nonexistent/password").len(), 1);
}

#[test]
fn a_trunk_that_cannot_be_recognised_is_refused() {
    assert_eq!(
        trunk("uri = \"sip:c.example\""),
        ["6:1: `carrier` has neither `allow` nor credentials, so its calls can't be recognised; \
          add allow = [\"…\"] with the addresses its calls come from"]
    );
    assert_eq!(trunk("uri = \"sip:c.example\"\nusername = \"acct\"\npassword = \"s3cret\""), [""; 0]);
}

#[test]
fn a_retell_without_a_challenge_must_be_trusted_in_so_many_words() {
    let shared = "`retell` would be recognised by address alone, and Retell's are shared with other customers; \
                  add `username` and `password` (without challenge = false), or trust_address = true";
    let neither = "`retell` has neither addresses in `allow` nor credentials to be challenged for; \
                   add `username` and `password` (\"SIP trunk username\" in Retell's dashboard), or fill `allow`";
    let credentials = "username = \"u\"\npassword = \"p\"\n";

    assert_eq!(retell(""), [format!("1:1: {shared}")]);
    assert_eq!(retell(&format!("{credentials}challenge = false")), [format!("6:13: {shared}")]);
    assert_eq!(retell("trust_address = true"), [""; 0]);
    assert_eq!(retell(&format!("{credentials}challenge = false\ntrust_address = true")), [""; 0]);
    assert_eq!(retell(&format!("{credentials}allow = []")), [""; 0], "whoever presents the credentials");
    assert_eq!(retell("allow = []\ntrust_address = true"), [format!("1:1: {neither}")]);
    assert_eq!(retell("allow = []"), [format!("1:1: {neither}")]);
}

#[test]
fn ranges_that_overlap_are_refused_or_warned_of() {
    let text = format!(
        "{}[[trunks]]\nname = \"second\"\nuri = \"sip:d.example\"\nallow = [\"192.0.2.1\", \"198.51.100.0/24\", \"3.42.145.9\"]\ncountry = \"US\"\n",
        PEERS
    );

    assert_eq!(
        problems(&text),
        [
            "15:23: warning: trunk `carrier` has the same range 198.51.100.0/24; \
             narrow one of them, or make sure that [[numbers]] tells their calls apart",
            "15:42: 3.42.145.9/32 overlaps 3.42.144.0/23 of [[retell]] `retell`; \
             narrow one of them, so that a call from Retell is not taken for one from the trunk",
        ]
    );
}

#[test]
fn two_retell_that_cannot_be_told_apart_are_warned_of() {
    let second = |keys: &str| {
        problems(&format!("{PEERS}[[retell]]\nname = \"second\"\nuri = \"sip:e.example\"\n{keys}\n"))
    };

    assert_eq!(
        second("username = \"u\"\npassword = \"q\""),
        [
            "15:12: warning: `retell` has the same `username`, so it gets these calls; give each peer a user name of its own"
        ]
    );
    assert_eq!(second("username = \"u\"\npassword = \"q\"\nallow = [\"192.0.2.0/24\"]"), [""; 0]);
}

#[test]
fn a_country_is_an_iso_code_or_a_calling_code() {
    let country =
        |country: &str| problems(&PEERS.replace("country = \"US\"", &format!("country = {country}")));
    let like = "write an ISO 3166 code such as \"US\", or a calling code such as \"1\"";

    assert_eq!(country("\"DE\""), [""; 0]);
    assert_eq!(country("\"de\""), [""; 0]);
    assert_eq!(country("\"49\""), [""; 0]);
    assert_eq!(country("\"UK\""), [format!("11:11: `country` is \"UK\", which is no country; {like}")]);
    assert_eq!(
        country("\"Germany\""),
        [format!("11:11: `country` is \"Germany\", which is no country; {like}")]
    );
    assert_eq!(country("\"+49\""), ["11:11: `country` is \"+49\", which is no country; write \"49\""]);
    assert_eq!(country("1"), ["11:11: `country` is a whole number; write a string, in quotes"]);
    assert_eq!(
        problems(&PEERS.replace("country = \"US\"\n", "")),
        ["7:1: warning: trunk `carrier` has no `country`, so national numbers stay as they are; \
          add the country whose numbers it sends, such as country = \"US\""]
    );
}

#[test]
fn caller_ids_are_user_parts_and_of_one_kind() {
    let trunk =
        |keys: &str| trunk(&format!("uri = \"sip:c.example\"\nallow = [\"198.51.100.0/24\"]\n{keys}"));

    assert_eq!(trunk("caller_id = \"acct-e0\""), [""; 0]);
    assert_eq!(
        trunk("caller_id = \"+1 415 555 0100\""),
        ["10:13: `caller_id`: \"+1 415 555 0100\" is empty, a whole URI, or has spaces in it; \
          write the number alone, such as \"+14155550100\""]
    );
    assert_eq!(
        trunk("caller_id = \"+1-415-555-0100\""),
        ["10:13: `caller_id`: \"+1-415-555-0100\" is no number in E.164; write \"+14155550100\""]
    );
    assert_eq!(
        trunk("caller_id = \"+14155550100\"\ncaller_ids = [\"+14155550101\"]"),
        ["11:14: `caller_id` and `caller_ids` are both there; keep one of them"]
    );
    assert_eq!(
        trunk("caller_ids = []"),
        ["10:14: `caller_ids` is empty; name at least one number, or take the key out"]
    );
    assert_eq!(
        trunk("caller_ids = [\"+14155550101\", \"anonymous\"]"),
        [
            "10:31: \"anonymous\" stands among `caller_ids`; write caller_id = \"anonymous\" to withhold the number"
        ]
    );
    assert_eq!(
        trunk("foreign_caller = \"drop\""),
        ["10:18: `foreign_caller` is \"drop\"; write \"replace\", \"keep\" or \"diversion\""]
    );
    assert_eq!(
        trunk("called_number = \"TO\""),
        ["10:17: `called_number` is \"TO\"; write \"request-uri\", \"to\" or \"P-Called-Party-ID\""]
    );
}

#[test]
fn numbers_are_numbers_or_prefixes_of_existing_peers() {
    let text = r#"[[numbers]]
number = "+1 415 555 0100"
retell = "carrier"
trunk = "cariier"
[[numbers]]
number = "+1415555*"
[[numbers]]
number = "+1415555*"
[[numbers]]
retell = "retell"
[[numbers]]
number = "4155550100"
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:10: `number` is \"+1 415 555 0100\", which is no number and no prefix; write \"+14155550100\"",
            "3:10: there is no [[retell]] with the name \"carrier\"; write \"retell\"",
            "4:9: there is no trunk with the name \"cariier\"; write \"carrier\"",
            "8:10: \"+1415555*\" stands in [[numbers]] twice; keep one of them",
            "9:1: `number` is missing; add number = \"+14155550100\", or a prefix such as \"+1415555*\"",
            "12:10: warning: numbers are compared in E.164, and \"4155550100\" has no +; \
             write it with + and the calling code, such as \"+14155550100\"",
        ]
    );
}

#[test]
fn extensions_stand_for_one_number() {
    let text =
        "[extensions]\n1001 = \"+14155550100\"\n\"10 02\" = \"+14155550100\"\n1003 = \"+1415*\"\n1004 = 5\n";

    assert_eq!(
        with_peers(text),
        [
            "3:11: nobody can dial \"10 02\"; write what is dialled before the =, such as \"1001\" = \"+14155550100\"",
            "4:8: extension \"1003\" stands for a prefix; write one whole number, such as \"+14155550100\"",
            "5:8: `1004` is a whole number; write a string, in quotes",
        ]
    );
}

#[test]
fn headers_that_sip_itself_needs_are_refused_everywhere() {
    let text = r#"[headers]
pass = ["X-*", "Via", "P-Asserted-Identity", "X Foo", "*"]
[[headers.rules]]
toward = "all trunks"
set = { Call-ID = "1", X-A = "b", i = "2" }
remove = ["content-type", "X-Internal-*", "Remote-Party-ID"]
"#;
    let needed = |name: &str| {
        format!("{name} is a header that SIP itself needs, and trunkline writes it for each leg; take it out")
    };
    let identity = |name: &str| {
        format!(
            "{name} is never taken from elsewhere than the number in From; take it out, and choose the number with caller_id"
        )
    };

    assert_eq!(
        with_peers(text),
        [
            format!("2:16: {}", needed("Via")),
            format!("2:23: {}", identity("P-Asserted-Identity")),
            "2:46: \"X Foo\" is no header name; write a name such as \"X-Foo\", or a prefix such as \"X-*\""
                .to_owned(),
            format!("5:19: {}", needed("Call-ID")),
            format!("5:39: {}", needed("i")),
            format!("6:11: {}", needed("content-type")),
            format!("6:43: {}", identity("Remote-Party-ID")),
        ]
    );
}

#[test]
fn header_rules_name_peers_and_known_placeholders() {
    let text = r#"[[headers.rules]]
toward = "carier"
set = { X-A = "{from} {to} {trunk} {call_id} {header:X-Foo}", X-B = "{form}", X-C = "{to", X-D = "{header:}" }
[[headers.rules]]
set = { X-A = "a\nb", x-e = "1", X-E = "2" }
[[headers.rules]]
toward = "all retell"
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:10: there is no peer with the name \"carier\"; write \"retell\" or \"carrier\", or \"all trunks\" or \"all retell\"",
            "3:69: there is no placeholder {form}; write {from} (known are {from}, {to}, {trunk}, {call_id} and {header:X-Foo})",
            "3:85: a { is not closed by a }; write a placeholder such as {from}",
            "3:98: \"\" in {header:} is no header name; write it like {header:X-Foo}",
            "4:1: `toward` is missing; add toward = \"all trunks\", \"all retell\" or a peer's name",
            "5:15: the value of X-A has a control character in it; write it in one line",
            "5:40: header X-E is set twice; keep one of them",
            "6:1: warning: this rule does nothing; add `set` or `remove`, or take it out",
        ]
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, binary) = (folder.path().join("missing.toml"), folder.path().join("binary.toml"));
    fs::write(&binary, b"[sip]\na = \"\xff\"").unwrap();

    let say = |file: &std::path::Path| {
        let problems = config::load(file, &[]).unwrap_err();
        problems[0].to_string().strip_prefix(&file.display().to_string()).unwrap().to_owned()
    };

    assert_eq!(
        say(&missing),
        ": there is no such file; name yours with -c, or start from a copy of the config.toml that comes with trunkline"
    );
    assert_eq!(say(&binary), ":2:6: this is not UTF-8; save the file as UTF-8");
}

const PEERS: &str = r#"[[retell]]
name = "retell"
uri = "sip:retell.example"
username = "u"
password = "p"

[[trunks]]
name = "carrier"
uri = "sip:carrier.example"
allow = ["198.51.100.0/24"]
country = "US"
"#;

/// The problems of `text` followed by two good peers.
fn with_peers(text: &str) -> Vec<String> {
    problems(&format!("{text}\n{PEERS}"))
}

/// The problems of a good `[[retell]]` followed by a trunk with these keys, which begin at line 8.
fn trunk(keys: &str) -> Vec<String> {
    let retell =
        "[[retell]]\nname = \"retell\"\nuri = \"sip:retell.example\"\nusername = \"u\"\npassword = \"p\"\n";
    problems(&format!("{retell}[[trunks]]\nname = \"carrier\"\n{keys}\ncountry = \"US\"\n"))
}

/// The problems of a `[[retell]]` with these keys, which begin at line 4, followed by a good trunk.
fn retell(keys: &str) -> Vec<String> {
    let (_, trunk) = PEERS.split_once("\n\n").unwrap();
    problems(&format!("[[retell]]\nname = \"retell\"\nuri = \"sip:retell.example\"\n{keys}\n{trunk}"))
}

/// Every problem as `check` prints it, without the file's name.
fn problems(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();

    let problems = config::load(&file, &[]).map_or_else(|problems| problems, |loaded| loaded.warnings);

    let place = format!("{}:", file.display());
    problems.iter().map(|problem| problem.to_string().strip_prefix(&place).unwrap().to_owned()).collect()
}
