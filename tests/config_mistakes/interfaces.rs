//! `[[interfaces]]`: names, addresses, ports and networks that get in each other's way, and peers that they
//! cannot reach.

use crate::{PEERS, problems, with_peers};

#[test]
fn a_pbx_on_the_lan_beside_retell_on_the_internet_is_no_mistake() {
    let one_address = with_peers(&format!("{INTERNET}{LAN}"));
    let listened = with_peers(&format!(
        "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"tcp:127.0.0.1:5061\"]\n\
         [media]\nlisten = [\"0.0.0.0\"]\nports = [30000, 30999]\n{INTERNET}{LAN}"
    ));
    let two_families = with_peers(
        "[[interfaces]]\nname = \"v4\"\naddress = \"127.0.0.1\"\n\
         [[interfaces]]\nname = \"v6\"\naddress = \"::1\"\nnetworks = [\"2001:db8::/32\"]\n",
    );

    let on_all_addresses = with_peers(
        "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n\
         [[interfaces]]\nname = \"lan\"\naddress = \"0.0.0.0\"\n\
         [[interfaces]]\nname = \"wan\"\naddress = \"0.0.0.0\"\nadvertise = \"203.0.113.10\"\n",
    );

    assert_eq!([one_address, listened, two_families, on_all_addresses], [[""; 0]; 4]);
}

#[test]
fn names_addresses_and_networks_are_checked() {
    let text = r#"[[interfaces]]
name = "lan"
address = "127.0.0.1"
networks = ["192.168.0.0/16", "2001:db8::/32"]
[[interfaces]]
name = "lan"
address = ["0.0.0.0", "127.0.0.2"]
advertise = "2001:db8::10"
networks = ["192.168.7.0/24"]
[[interfaces]]
address = "localhost"
[[interfaces]]
name = "none"
address = []
"#;

    assert_eq!(
        with_peers(text),
        [
            "4:31: 2001:db8::/32 is IPv6, and `address` has none; move it to an interface that has, or \
             add such an address",
            "6:8: two [[interfaces]] are called `lan`; give each a name of its own",
            "7:11: 0.0.0.0 and 127.0.0.1 of `lan` are one address to the ports of both; give both the \
             same address, or each one of its own",
            "7:23: `address` holds two IPv4 addresses, 0.0.0.0 and 127.0.0.2; keep one per address family",
            "8:13: `advertise` has the IPv6 address 2001:db8::10, but `address` has none; add the IPv6 \
             address of this machine to `address`, or take it out",
            "9:13: 192.168.7.0/24 overlaps 192.168.0.0/16 of `lan`; name each range at one interface, and \
             give single peers an `interface` of their own",
            "10:1: `name` is missing; add name = \"…\", which the `interface` of a peer can name",
            "11:11: \"localhost\" is no IP address; write an address of this machine without a port, such \
             as \"192.168.1.10\"",
            "14:11: `address` is empty; name an address of this machine, such as \"192.168.1.10\"",
        ]
    );
}

#[test]
fn ports_on_one_address_are_shared_or_kept_apart() {
    let ports = |first: &str, second: &str| {
        with_peers(&format!(
            "[[interfaces]]\nname = \"a\"\naddress = \"127.0.0.1\"\nports = {first}\n\
             [[interfaces]]\nname = \"b\"\naddress = \"127.0.0.1\"\nports = {second}\n"
        ))
    };

    assert_eq!(ports("[20000, 20999]", "[20000, 20999]"), [""; 0]);
    assert_eq!(ports("[20000, 20999]", "[21000, 21999]"), [""; 0]);
    assert_eq!(ports("[21000, 21999]", "[20000, 20999]"), [""; 0]);
    assert_eq!(
        ports("[20000, 20999]", "[20998, 21999]"),
        ["8:9: `ports` from 20998 to 21999 overlap those of `a`, from 20000 to 20999, on one address; \
          keep them apart, or write [20000, 20999] for both to share"]
    );
    assert_eq!(
        ports("[20001, 20999]", "[30000, 30999]"),
        ["4:9: `ports` begins with 20001, but RTP takes even ports from 2 on; begin with 20002"]
    );
    assert_eq!(
        ports("[5000, 5999]", "[30000, 30999]"),
        ["4:9: `ports` from 5000 to 5999 include 5060, where SIP is received; choose a range without \
             it, such as [20000, 29999]"]
    );
}

#[test]
fn what_the_only_interface_would_say_is_said_by_each_of_several() {
    let text = format!(
        "[sip]\nlisten = [\"udp:127.0.0.9:5060\", \"tcp:[::]:5060\"]\nadvertise = [\"203.0.113.10\"]\n\
         [media]\nlisten = [\"127.0.0.1\"]\nadvertise = [\"203.0.113.10\"]\n{LAN}"
    );

    assert_eq!(
        with_peers(&text),
        [
            "2:11: no [[interfaces]] has the address 127.0.0.9; name one that an interface has, or \
             0.0.0.0 for all of them",
            "2:33: no [[interfaces]] has an IPv6 address; take this out",
            "3:13: with [[interfaces]], each has an `advertise` of its own; move it to the interface that \
             it belongs to",
            "5:10: with [[interfaces]], RTP is received at the addresses of each; take this out",
            "6:13: with [[interfaces]], each has an `advertise` of its own; move it to the interface that \
             it belongs to",
            "9:11: [sip].listen has nothing for 127.0.0.1, so no call can use it; add \
             \"udp:0.0.0.0:5060\" to [sip].listen, which is every interface",
        ]
    );
}

#[test]
fn a_peer_names_an_interface_that_is_there_and_reaches_it() {
    let peer = |keys: &str| problems(&format!("{PEERS}{keys}{LAN}"));

    assert_eq!(
        peer("interface = \"lna\"\n"),
        ["12:13: there is no [[interfaces]] with the name \"lna\"; write \"lan\""]
    );
    assert_eq!(
        problems(&format!("{PEERS}interface = \"lan\"\n")),
        ["12:13: there is no [[interfaces]] with the name \"lan\"; add one, or take this out"]
    );
    let by_v6 = PEERS.replace("sip:carrier.example", "sip:[2001:db8::7]");
    assert_eq!(
        problems(&format!("{by_v6}interface = \"lan\"\n{LAN}")),
        [
            "9:7: warning: no call can go there: [sip].listen has nothing that it could leave by; add \
             \"udp:[::]:5060\" to [sip].listen, or name another `uri`",
            "12:13: `lan` has no IPv6 address to reach 2001:db8::7 by; name an interface that has one, or \
             add one to the `address` of `lan`"
        ]
    );
}

#[test]
fn a_private_address_that_a_peer_on_the_internet_would_be_told_is_a_warning_at_its_place() {
    let interfaces = with_peers(
        "[[interfaces]]\nname = \"lan\"\naddress = \"0.0.0.0\"\nadvertise = \"192.168.1.10\"\n\
         networks = [\"192.168.0.0/16\"]\n",
    );
    let only = with_peers("[sip]\nadvertise = [\"10.0.0.5\"]\n");
    let of_audio = with_peers("[sip]\nadvertise = [\"203.0.113.10\"]\n[media]\nadvertise = [\"10.0.0.5\"]\n");
    let peers_on_the_lan =
        PEERS.replace("198.51.100", "10.0.0").replace("\n\n", "\nallow = [\"192.168.9.7\"]\n\n");
    let to_the_lan = problems(&format!("{peers_on_the_lan}[sip]\nadvertise = [\"10.0.0.5\"]\n"));

    assert_eq!(
        interfaces,
        ["4:13: warning: 192.168.1.10 is private: `retell` can't reach it from 18.98.16.120; write the \
             address that it reaches into `advertise`, or name another `interface` at that peer"]
    );
    let expected = |line: &str| {
        format!(
            "{line}: warning: 10.0.0.5 is private: `retell` can't reach it from 18.98.16.120; write the \
             address that it reaches into `advertise`; peers on the LAN beside it need [[interfaces]]"
        )
    };
    assert_eq!((only, of_audio), (vec![expected("2:14")], vec![expected("4:14")]));
    assert_eq!(to_the_lan, [""; 0]);
}

const INTERNET: &str =
    "[[interfaces]]\nname = \"internet\"\naddress = \"127.0.0.1\"\nadvertise = \"203.0.113.10\"\n";

const LAN: &str =
    "[[interfaces]]\nname = \"lan\"\naddress = \"127.0.0.1\"\nnetworks = [\"192.168.0.0/16\"]\n";
