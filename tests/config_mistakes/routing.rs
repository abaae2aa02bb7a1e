//! `[[numbers]]`, `[extensions]` and `[headers]`: what they name must be there, and must be theirs to set.

use crate::with_peers;

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
            "3:11: nobody can dial \"10 02\"; write what is dialled before the =, such as \"1001\" = \
             \"+14155550100\"",
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
            "{name} is never taken from elsewhere than the number in From; take it out, and choose the \
             number with caller_id"
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
            "2:10: there is no peer with the name \"carier\"; write \"retell\" or \"carrier\", or \"all \
             trunks\" or \"all retell\"",
            "3:69: there is no placeholder {form}; write {from}",
            "3:85: a { is not closed by a }; write a placeholder such as {from}",
            "3:98: \"\" in {header:} is no header name; write it like {header:X-Foo}",
            "4:1: `toward` is missing; add toward = \"all trunks\", \"all retell\" or a peer's name",
            "5:15: the value of X-A has a control character in it; write it in one line",
            "5:40: header X-E is set twice; keep one of them",
            "6:1: warning: this rule does nothing; add `set` or `remove`, or take it out",
        ]
    );
}
