//! What a trunk's INVITE says: formats, places of the caller's number and hosts.

use crate::{PEERS, problems};

#[test]
fn number_formats_are_words_and_a_national_one_needs_its_nation() {
    assert_eq!(trunk("number_format = \"00\"\ncaller_format = \"+E.164\"\nprefix = \"*31#9\""), [""; 0]);
    assert_eq!(trunk("number_format = \"national\""), [""; 0]);
    assert_eq!(
        trunk("number_format = \"e164\""),
        ["11:17: `number_format` is \"e164\"; write \"+E.164\", \"E.164\", \"00\" or \"national\""]
    );
    assert_eq!(
        trunk("prefix = \"99 \""),
        ["11:10: `prefix` has something else than digits, * and # in it, or more than 24; \
          write what stands in front of every dialled number, such as \"1234\""]
    );
    let stateless = problems(
        &PEERS.replace("country = \"US\"", "number_format = \"national\"\ncaller_format = \"national\""),
    );
    let nation = |key| format!("`{key}` is \"national\", but no `country` says of which nation");
    let add = "add the trunk's, such as country = \"US\"";
    assert_eq!(
        stateless[1..],
        [
            format!("11:17: {}; {add}", nation("number_format")),
            format!("12:17: {}; {add}", nation("caller_format"))
        ]
    );
}

#[test]
fn the_caller_stands_somewhere_and_from_never_stays_empty() {
    let places = "\"from\", \"display\", \"p-asserted-identity\", \"p-preferred-identity\", \
                  \"remote-party-id\", \"diversion\" or \"p-charge-info\"";
    let account = "username = \"acct\"\npassword = \"s3cret\"";

    assert_eq!(trunk("caller_in = [\"from\", \"P-Asserted-Identity\"]"), [""; 0]);
    assert_eq!(trunk(&format!("caller_in = \"p-preferred-identity\"\n{account}")), [""; 0]);
    assert_eq!(
        trunk("caller_in = \"pai\""),
        [format!("11:13: \"pai\" in `caller_in` is no place for a caller's number; write {places}")]
    );
    assert_eq!(
        trunk("caller_in = []"),
        [format!("11:13: `caller_in` is an empty array; name at least one of {places}")]
    );
    assert_eq!(
        trunk("caller_in = \"display\""),
        ["11:13: `caller_in` leaves From to the account, but there is no `username`; \
          add \"from\" to it, or add `username` and `password`"]
    );
}

#[test]
fn hosts_are_hosts_and_the_proxy_is_a_uri() {
    assert_eq!(
        trunk("from_host = \"192.0.2.1\"\nto_host = \"[2001:db8::1]\"\nrequest_host = \"a.example\""),
        [""; 0]
    );
    assert_eq!(
        trunk("outbound_proxy = \"sip:edge.example:5070;transport=tcp;lr\"\nrealm = \"a b\"").len(),
        1
    );
    assert_eq!(
        trunk("from_host = \"sip:a.example\""),
        ["11:13: `from_host`: \"sip:a.example\" is no host; \
          write a name or an address alone, such as \"acct.carrier.example\""]
    );
    assert_eq!(
        trunk("outbound_proxy = \"edge.example\""),
        ["11:18: `outbound_proxy` does not begin with \"sip:\"; write \"sip:edge.example\""]
    );
}

#[test]
fn a_pool_has_weights_and_shows_only_what_is_owned() {
    let pool = "caller_ids = [\"+14155550101;weight=3\", \"acct\"]\n";

    assert_eq!(trunk(&format!("{pool}caller_local = true\ncaller_rest_s = 60")), [""; 0]);
    assert_eq!(trunk(&format!("{pool}owned = [\"+1415555*\"]\nforeign_caller = \"refuse\"")), [""; 0]);
    assert_eq!(
        trunk(&format!("{pool}owned = [\"+1212555*\"]")),
        ["11:14: `caller_ids` has +14155550101, which is not in `owned`; add it to `owned`, or take it \
          out here"]
    );
    assert_eq!(
        trunk("caller_ids = [\"+14155550101;weight=0\", \"acct\"]"),
        ["11:15: the weight of +14155550101 in `caller_ids` is none; write a number from 1 to 1000 \
          behind ;weight="]
    );
    assert_eq!(
        trunk("caller_sticky = true"),
        ["11:17: warning: `caller_sticky` has no effect without `caller_ids`; add `caller_ids`, or take \
          it out"]
    );
    assert_eq!(
        trunk("owned = [\"415 555\"]"),
        ["11:10: `owned` is \"415 555\", which is no number and no prefix; \
          write a number such as \"+14155550100\", or a prefix such as \"+1415555*\""]
    );
}

#[test]
fn a_caller_id_that_is_no_e164_is_a_warning_where_e164_is_sent() {
    let sent = "4155550101, which is sent as it stands, without + and calling code; write it like \
                \"+14155550100\"; where the carrier wants it otherwise, set `caller_format`";

    assert_eq!(trunk("caller_id = \"4155550101\""), [format!("11:13: warning: `caller_id` has {sent}")]);
    assert_eq!(
        trunk("caller_ids = [\"+14155550100\", \"4155550101;weight=2\"]"),
        [format!("11:31: warning: `caller_ids` has {sent}")]
    );
    for meant in ["caller_format = \"national\"\ncaller_id = \"4155550101\"", "caller_id = \"1234567\""] {
        assert_eq!(trunk(meant), [""; 0]);
    }
}

/// The problems of a good `[[retell]]` and a trunk with these keys too, which begin at line 11.
fn trunk(keys: &str) -> Vec<String> {
    problems(&format!(
        "[[retell]]\nname = \"retell\"\nuri = \"sip:retell.example\"\nusername = \"u\"\npassword = \"p\"\n\
         [[trunks]]\nname = \"carrier\"\nuri = \"sip:carrier.example\"\nallow = [\"198.51.100.0/24\"]\n\n\
         {keys}\n\
         country = \"US\"\n"
    ))
}
