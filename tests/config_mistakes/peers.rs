//! `[[retell]]` and `[[trunks]]`: names, destinations, recognition, credentials and numbers.

use crate::{PEERS, problems};

#[test]
fn both_kinds_of_peer_must_be_there() {
    assert_eq!(
        problems("[sip]\n"),
        [
            "1:1: there is no [[retell]]; add one with name, uri, username and password, as in the shipped \
             config.toml",
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
fn a_peer_without_a_name_is_called_by_its_place() {
    let unnamed = "[[trunks]]\nuri = \"sip:d.example\"\nallow = [\"198.51.100.0/24\", \"3.42.145.9\"]\n";
    let text =
        format!("{PEERS}{unnamed}[[retell]]\nuri = \"sip:e.example\"\n{}", unnamed.replace("allow", "#"));

    assert_eq!(
        problems(&text),
        [
            "12:1: `name` is missing; add name = \"…\", which rules and records use",
            "12:1: warning: trunk 2 has no `country`, so national numbers stay as they are; \
             add the country whose numbers it sends, such as country = \"US\"",
            "14:10: warning: trunk `carrier` has the same range 198.51.100.0/24; \
             narrow one of them, or make sure that [[numbers]] tells their calls apart",
            "14:29: 3.42.145.9/32 overlaps 3.42.144.0/23 of [[retell]] `retell`; \
             narrow one of them, so that a call from Retell is not taken for one from the trunk",
            "14:29: 3.42.145.9/32 overlaps 3.42.144.0/23 of [[retell]] 2; \
             narrow one of them, so that a call from Retell is not taken for one from the trunk",
            "15:1: `name` is missing; add name = \"…\", which rules and records use",
            "15:1: [[retell]] 2 would be recognised by address alone, and Retell's are shared with other \
             customers; \
             add `username` and `password` (without challenge = false), or trust_address = true",
            "17:1: `name` is missing; add name = \"…\", which rules and records use",
            "17:1: trunk 3 has neither `allow` nor credentials, so its calls can't be recognised; \
             add allow = [\"…\"] with the addresses its calls come from",
            "17:1: warning: trunk 3 has no `country`, so national numbers stay as they are; \
             add the country whose numbers it sends, such as country = \"US\"",
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

    assert_eq!(uri("sip:192.0.2.7:5080;transport=udp"), [""; 0]);
    assert_eq!(
        uri("carrier.example:5060"),
        ["`uri` does not begin with \"sip:\"; write \"sip:carrier.example:5060\""]
    );
    assert_eq!(uri("sip:carrier .example"), ["`uri` has a space in it; take the space out"]);
    assert_eq!(
        uri("sip:<trunk>.carrier.example"),
        ["`uri` has < or > in it; write what is yours in place of <…>"]
    );
    assert_eq!(uri("sip:"), [format!("`uri` can't be read: URI has a bad host; {like}")]);
    assert_eq!(
        uri("sip:2001:db8::1;transport=tcp"),
        ["`uri` has an IPv6 address without brackets; write \"sip:[2001:db8::1];transport=tcp\""]
    );
    assert_eq!(uri("tel:+14155550100"), [format!("`uri` is a telephone number; {like}")]);
    assert_eq!(
        uri("sips:carrier.example;transport=udp"),
        ["`uri` asks for TLS and for transport \"udp\"; write sips: without ;transport="]
    );
    assert_eq!(
        uri("sip:carrier.example;transport=sctp"),
        ["`uri` asks for transport \"sctp\"; write ;transport=tcp, ;transport=tls or ;transport=udp"]
    );
    assert_eq!(
        uri("sip:acct:s3cret@carrier.example"),
        ["`uri` has a user part, but the dialled number goes there; take out what stands before the @"]
    );
    assert_eq!(uri("sip:carrier.example?X-A=b"), ["`uri` has headers; take out the ? and what follows"]);
    assert_eq!(
        uri("sip:carrier.example:0"),
        ["`uri` has a port that is none; write a number below 65536, or none for the usual one"]
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
        ["9:10: \"198.51.100.0/33\" is no address and no range of addresses; write it like \
          \"198.51.100.7\" or \"198.51.100.0/24\""]
    );
    assert_eq!(
        trunk("uri = \"sip:c.example\"\nallow = [\"198.51.100.7/24\"]"),
        ["9:10: warning: 198.51.100.7/24 is an address within the range 198.51.100.0/24, not the range \
          itself; \
          write \"198.51.100.0/24\" for the range, \"198.51.100.7\" for the address"]
    );
}

#[test]
fn what_is_no_range_is_told_what_it_looks_like() {
    let instead = |range: &str| {
        let problems = trunk(&format!("uri = \"sip:c.example\"\nallow = [\"{range}\"]"));
        problems[0].split_once("; ").unwrap().1.to_owned()
    };

    assert_eq!(instead("198.51.100.7:5060"), "write \"198.51.100.7\", without the port");
    assert_eq!(instead("[2001:db8::1]:5060"), "write \"2001:db8::1\", without the port");
    assert_eq!(instead("[2001:db8::1]"), "write \"2001:db8::1\", without brackets");
    assert_eq!(
        instead("sip.carrier.example"),
        "write the addresses that it stands for, as the peer lists them"
    );
    assert_eq!(instead("198.51.100"), "write it like \"198.51.100.7\" or \"198.51.100.0/24\"");
}

#[test]
fn a_registration_needs_credentials_and_its_other_keys_need_it() {
    let trunk = |keys: &str| trunk(&format!("uri = \"sip:c.example\"\nallow = []\n{keys}"));
    let account = "username = \"acct\"\npassword = \"s3cret\"\n";

    assert_eq!(trunk(&format!("{account}register = true\nregistrar = \"sip:r.example\"")), [""; 0]);
    assert!(
        trunk("register = true").contains(
            &"10:12: `register` is true, but there are no credentials to register with; add `username` and \
          `password`"
                .to_owned()
        )
    );
    assert_eq!(
        trunk(&format!("{account}registrar = \"r.example\"\nregister_expires_s = 30")),
        [
            "12:13: `registrar` does not begin with \"sip:\"; write \"sip:r.example\"",
            "13:22: `register_expires_s` is 30; write a number from 60 to 86400",
        ]
    );
    assert_eq!(
        trunk(&format!("{account}registrar = \"sip:r.example\"")),
        ["12:13: warning: `registrar` has no effect without register = true; add register = true, or \
          take it out"]
    );
    assert_eq!(
        trunk(&format!("{account}register = true\nregistrar = []")),
        ["13:13: `registrar` is an empty array; name at least one, or take the key out: it is `uri` then"]
    );
    assert_eq!(
        trunk(&format!("{account}register = true\nregistrar = \"sip:[2001:db8::1]\"")),
        ["13:13: warning: no REGISTER can go there: [sip].listen has nothing that it could leave by; \
          add \"udp:[::]:5060\" to [sip].listen, or name another `registrar`"]
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
        ["10:13: `challenge` is true, but there are no credentials to ask for; add `username` and \
          `password`"]
    );
    assert_eq!(
        trunk("username = \"acct\"\npassword = 12345"),
        ["11:12: `password` is a whole number; write a string: the value itself, \"env:NAME\" or \
          \"file:path\""]
    );
    assert_eq!(
        trunk("username = \"acct\"\npassword = \"env:\""),
        ["11:12: `password` names no environment variable; write \"env:NAME\""]
    );
    assert_eq!(
        trunk("username = \"acct\"\npassword = \"s3cret\"\nchallenge = true\ntrust_address = true"),
        ["13:17: warning: `trust_address` has no effect on a peer that is challenged; take it out, or \
          add challenge = false"]
    );
}

#[test]
fn a_secret_without_a_value_is_a_warning() {
    let trunk = |password: &str| {
        let account = format!("username = \"acct\"\npassword = \"{password}\"\nallow = []");
        trunk(&format!("uri = \"sip:c.example\"\n{account}"))
    };

    assert_eq!(
        trunk("env:NOT_SET_ANYWHERE"),
        ["10:12: warning: environment variable NOT_SET_ANYWHERE is not set, or empty; \
          set it, or write it into the file .env beside the configuration"]
    );
    assert_eq!(
        trunk("file:/nonexistent/password"),
        ["10:12: warning: /nonexistent/password can't be read: No such file or directory (os error 2); \
          name a file that this process may read"]
    );
    assert_eq!(
        trunk("${TRUNK_PASSWORD}"),
        ["10:12: warning: `password` is taken as it stands, and looks like the name of a variable or \
          file; write \"env:NAME\" or \"file:path\""]
    );
}

#[test]
fn a_trunk_that_cannot_be_recognised_is_refused() {
    assert_eq!(
        trunk("uri = \"sip:c.example\""),
        ["6:1: trunk `carrier` has neither `allow` nor credentials, so its calls can't be recognised; \
          add allow = [\"…\"] with the addresses its calls come from"]
    );
}

#[test]
fn a_trunk_whose_calls_nobody_would_recognise_is_warned_of_unless_it_says_so() {
    let trunk = |keys: &str| {
        trunk(&format!("uri = \"sip:c.example\"\nusername = \"acct\"\npassword = \"s3cret\"{keys}"))
    };

    assert_eq!(
        trunk(""),
        ["6:1: warning: trunk `carrier` has no `allow`, so its calls are a stranger's and get no answer; \
          add the addresses they come from, or allow = [] if it only takes calls"]
    );
    for known in ["allow = []", "register = true", "challenge = true", "provider = \"telnyx\""] {
        assert_eq!(trunk(&format!("\n{known}")), [""; 0], "{known}");
    }
}

#[test]
fn a_retell_without_a_challenge_must_be_trusted_in_so_many_words() {
    let shared = "[[retell]] `retell` would be recognised by address alone, and Retell's are shared with \
                  other customers; \
                  add `username` and `password` (without challenge = false), or trust_address = true";
    let neither = "[[retell]] `retell` has neither addresses in `allow` nor credentials to be challenged \
                   for; \
                   add `username` and `password` (\"SIP trunk username\" in Retell's dashboard), or fill \
                   `allow`";
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
        "{}[[trunks]]\nname = \"second\"\nuri = \"sip:d.example\"\n\
         allow = [\"192.0.2.1\", \"198.51.100.0/24\", \"3.42.145.9\"]\ncountry = \"US\"\n",
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
        ["15:12: warning: [[retell]] `retell` has the same `username`, so it gets these calls; give each \
          peer a user name of its own"]
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
fn where_agents_may_call_is_said_in_countries_prefixes_and_numbers() {
    for good in ["US", "us", "+4420*", "+14155550100", "1001", "+1*"] {
        let (allow, deny) = (
            format!("trust_address = true\nallow_numbers = [\"{good}\"]"),
            format!("trust_address = true\ndeny_numbers = [\"{good}\"]"),
        );

        assert_eq!((retell(&allow), retell(&deny)), (Vec::new(), Vec::new()), "{good}");
    }
    for (wrong, what) in [
        ("ZZ", "there is no country \"ZZ\""),
        ("USA", "\"USA\" is no country, prefix or number"),
        ("1900*", "\"1900*\" is no country, prefix or number"),
        ("*", "\"*\" is no country, prefix or number"),
        ("+", "\"+\" is no country, prefix or number"),
        ("", "\"\" is no country, prefix or number"),
        ("+1 415*", "\"+1 415*\" is no country, prefix or number"),
    ] {
        let problems = retell(&format!("trust_address = true\ndeny_numbers = [\"{wrong}\"]"));

        assert!(problems[0].contains(&format!("`deny_numbers`: {what}")), "{problems:?}");
    }
}

#[test]
fn keys_of_srtp_do_not_go_where_anybody_can_read_them_unless_that_is_allowed() {
    let what = |word: &str| {
        format!("`srtp` is \"{word}\", but `uri` is not by TLS, so that anybody could read its keys")
    };
    let with = |uri: &str, keys: &str| -> Vec<String> {
        let problems = trunk(&format!("uri = {uri}\nallow = [\"198.51.100.0/24\"]\n{keys}"));
        problems.into_iter().filter(|problem| problem.contains("srtp")).collect()
    };

    for word in ["offer", "require"] {
        let srtp = format!("srtp = \"{word}\"");
        let refused = with("\"sip:c.example;transport=tcp\"", &srtp);
        assert!(refused.len() == 1 && refused[0].contains(&what(word)), "{refused:?}");
        let one_of_two = with("[\"sips:c.example\", \"sip:c.example\"]", &srtp);
        assert!(one_of_two.len() == 1 && one_of_two[0].contains(&what(word)), "{one_of_two:?}");
        assert_eq!(with("\"sip:c.example;transport=tls\"", &srtp), [""; 0]);
        assert_eq!(with("\"sips:c.example\"", &srtp), [""; 0]);
        assert_eq!(with("\"sip:c.example\"", &format!("{srtp}\nsrtp_over_cleartext = true")), [""; 0]);
    }
    assert_eq!(with("\"sip:c.example\"", "srtp = \"off\""), [""; 0]);
    let unknown = with("\"sip:c.example\"", "srtp = \"on\"");
    assert!(unknown[0].contains("`srtp` is \"on\"; write \"off\", \"offer\" or \"require\""), "{unknown:?}");
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
        ["10:31: \"anonymous\" stands among `caller_ids`; write caller_id = \"anonymous\" to withhold \
          the number"]
    );
    assert_eq!(
        trunk("foreign_caller = \"drop\""),
        ["10:18: `foreign_caller` is \"drop\"; write \"replace\", \"keep\", \"diversion\" or \"refuse\""]
    );
    assert_eq!(
        trunk("called_number = \"TO\""),
        ["10:17: `called_number` is \"TO\"; write \"request-uri\", \"to\" or \"P-Called-Party-ID\""]
    );
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
