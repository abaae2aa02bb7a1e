//! The course of a call: numbers, caller ID, targets and refusals, each rule over a small configuration.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/routes.rs"]
mod support;

use support::{compile, config, invite, named, number, retell, trunk, uri};
use trunkline::routing::config::{CalledNumber, CallerId, Config, Country, Dialling, ForeignCaller, Range};
use trunkline::routing::{Plan, Refusal, Rotation, TollError};
use trunkline::sip::message::Message;
use trunkline::sip::uri::Host;

#[test]
fn the_dialled_number_reaches_retell_in_e164_in_request_uri_and_to() {
    for (country, dialled, expected) in [
        (Some("US"), "sip:+14155550100@203.0.113.10", "+14155550100"),
        (Some("US"), "sip:4155550100@203.0.113.10:5060;transport=udp", "+14155550100"),
        (Some("US"), "sip:14155550100@203.0.113.10;user=phone", "+14155550100"),
        (Some("US"), "sip:+1-415-555-0100@203.0.113.10", "+14155550100"),
        (Some("US"), "sip:+14155550100;npdi;rn=+14155550000@203.0.113.10;user=phone", "+14155550100"),
        (Some("US"), "sip:5550100;phone-context=+1415@203.0.113.10;user=phone", "+14155550100"),
        (Some("US"), "tel:+1-415-555-0100", "+14155550100"),
        (Some("US"), "tel:5550100;phone-context=+1415", "+14155550100"),
        (Some("US"), "sip:01144207946%30958@203.0.113.10", "+442079460958"),
        (Some("49"), "sip:03012345678@203.0.113.10", "+493012345678"),
        (Some("US"), "sip:1001@203.0.113.10", "1001"),
        (Some("US"), "sip:*98@203.0.113.10", "*98"),
        (Some("US"), "sip:sales@203.0.113.10", "sales"),
        (Some("US"), "sip:j.doe;x=1@203.0.113.10", "j.doe;x=1"),
        (Some("US"), "sip:911@203.0.113.10", "911"),
        (None, "sip:0014155550100@203.0.113.10", "+14155550100"),
        (None, "sip:14155550100@203.0.113.10", "14155550100"),
    ] {
        let mut config = config();
        config.trunks[0].country = country.map(|country| Country(country.to_owned()));

        let plan = plan(&config, "carrier", &invite(CALLER, dialled, &[])).unwrap();

        assert_eq!(plan.to, expected, "{dialled} in {country:?}");
        assert_eq!(plan.targets[0].uri.user.as_deref(), Some(expected));
    }
}

#[test]
fn the_dialled_number_is_read_where_the_trunk_writes_it() {
    let lines = ["P-Called-Party-ID: \"Front desk\" <sip:+14155550111@carrier.example>;cpc=ordinary"];
    for (place, lines, expected) in [
        (CalledNumber::RequestUri, &lines[..], "+14155550100"),
        (CalledNumber::To, &lines[..], "+14155550199"),
        (CalledNumber::PCalledPartyId, &lines[..], "+14155550111"),
        (CalledNumber::PCalledPartyId, &[], "+14155550100"),
    ] {
        let mut config = config();
        config.trunks[0].peer.called_number = place;

        let plan = plan(&config, "carrier", &invite(CALLER, DIALLED, lines)).unwrap();

        assert_eq!(plan.to, expected, "{place:?}");
    }
}

#[test]
fn an_extension_is_looked_up_as_dialled_in_both_directions() {
    let extensions = vec![("1001".to_owned(), "(415) 555-0100".to_owned())];
    let config = Config { extensions, ..config() };
    let dialled = invite(CALLER, "sip:1001@203.0.113.10", &[]);

    for caller in ["carrier", "retell"] {
        let plan = plan(&config, caller, &dialled).unwrap();

        assert_eq!(plan.to, "+14155550100", "{caller}");
    }
}

#[test]
fn the_caller_reaches_retell_in_e164_when_it_is_a_number() {
    for (from, expected, display) in [
        ("\"Ann\" <sip:4155550123@198.51.100.7>", "+14155550123", Some("Ann")),
        ("<sip:+14155550123@198.51.100.7>", "+14155550123", None),
        ("\"4155550123\" <sip:4155550123@198.51.100.7>", "+14155550123", None),
        ("<tel:+1-415-555-0123>", "+14155550123", None),
        ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", "anonymous", Some("Anonymous")),
        ("<sip:Restricted@198.51.100.7>", "Restricted", None),
        ("<sip:1001@198.51.100.7>", "1001", None),
        ("<sip:198.51.100.7>", "anonymous", None),
    ] {
        let plan = plan(&config(), "carrier", &invite(from, DIALLED, &[])).unwrap();

        assert_eq!((plan.from.as_str(), plan.display.as_deref()), (expected, display), "{from}");
        assert!(!plan.withheld);
    }
}

#[test]
fn numbers_choose_the_retell_of_a_call() {
    let numbers = vec![number("+14155550*", Some("second"), None)];
    let config = Config { retell: vec![retell("retell"), retell("second")], numbers, ..config() };

    for (dialled, expected) in [(DIALLED, "second"), ("sip:+12125550100@203.0.113.10", "retell")] {
        let plan = plan(&config, "carrier", &invite(CALLER, dialled, &[])).unwrap();

        assert_eq!(plan.callee, named(&compile(&config), expected), "{dialled}");
        assert_eq!(plan.retell, plan.callee);
    }
}

#[test]
fn numbers_choose_the_trunk_of_a_call_from_retell_by_its_caller() {
    let trunks = vec![trunk("carrier", "198.51.100.0/24"), trunk("second", "203.0.113.0/24")];
    let config = Config { trunks, numbers: vec![number("+14155550100", None, Some("second"))], ..config() };

    for (from, lines, expected) in [
        ("<sip:+14155550100@retell.example>", &[][..], "second"),
        ("<sip:4155550100@retell.example>", &[], "second"),
        ("<sip:+14155550101@retell.example>", &[], "carrier"),
        ("<sip:+14155550101@retell.example>", &["X-Original-CLID: +14155550100"], "second"),
    ] {
        let plan = plan(&config, "retell", &invite(from, DIALLED, lines)).unwrap();

        assert_eq!(plan.callee, named(&compile(&config), expected), "{from} {lines:?}");
    }
}

#[test]
fn the_caller_toward_a_trunk_follows_the_table_of_caller_ids() {
    use CallerId::{Fixed, FromCall, Rotating, Withheld};
    use ForeignCaller::{Diversion, Keep, Replace};
    let fixed = || Fixed("+14155550100".to_owned());
    let rotating = || Rotating(vec!["+14155550101".into(), "+14155550102".into()]);
    let own = "+14155550155";
    let foreign = "+12125550123";
    let clid: &[&str] = &["X-Original-CLID: 415 555 0177"];
    for (id, policy, from, lines, expected, diverting) in [
        (FromCall, Replace, own, &[][..], own, None),
        (FromCall, Replace, foreign, &[], foreign, None),
        (FromCall, Replace, "2125550123", &[], foreign, None),
        (FromCall, Diversion, foreign, &[], foreign, None),
        (FromCall, Replace, own, clid, "+14155550177", None),
        (FromCall, Replace, own, &["X-Original-CLID: <sip:+14155550177@x.example>"], "+14155550177", None),
        (FromCall, Replace, own, &["X-Original-CLID:"], own, None),
        (fixed(), Replace, own, &[], "+14155550100", None),
        (fixed(), Replace, own, clid, "+14155550100", None),
        (fixed(), Replace, foreign, &[], "+14155550100", None),
        (fixed(), Keep, own, &[], "+14155550100", None),
        (fixed(), Keep, foreign, &[], foreign, None),
        (fixed(), Keep, own, clid, "+14155550177", None),
        (fixed(), Diversion, foreign, &[], foreign, Some("+14155550100")),
        (fixed(), Diversion, own, &[], "+14155550100", None),
        (Fixed("415 555 0100".to_owned()), Keep, "+14155550100", &[], "415 555 0100", None),
        (Fixed("1234567t0".to_owned()), Replace, own, &[], "1234567t0", None),
        (rotating(), Replace, own, clid, "+14155550101", None),
        (rotating(), Keep, "+14155550102", &[], "+14155550101", None),
        (rotating(), Diversion, foreign, &[], foreign, Some("+14155550101")),
        (Withheld, Replace, own, &[], "anonymous", None),
        (Withheld, Keep, foreign, &[], "anonymous", None),
    ] {
        let mut config = Config { numbers: vec![number(own, None, None)], ..config() };
        config.trunks[0].caller_id = id.clone();
        config.trunks[0].foreign_caller = policy;
        let from = format!("<sip:{from}@retell.example>");

        let plan = plan(&config, "retell", &invite(&from, DIALLED, lines)).unwrap();

        let case = format!("{id:?} {policy:?} {from} {lines:?}");
        assert_eq!((plan.from.as_str(), plan.diverting.as_deref()), (expected, diverting), "{case}");
        assert_eq!(plan.withheld, id == Withheld, "{case}");
    }
}

#[test]
fn caller_ids_take_turns_per_call_and_a_kept_caller_takes_none() {
    let mut config = config();
    config.trunks[0].caller_id = CallerId::Rotating(vec!["+14155550101".into(), "+14155550102".into()]);
    config.trunks[0].foreign_caller = ForeignCaller::Keep;
    let mut rotation = Rotation::default();
    let mut from = |user: &str| {
        let routes = compile(&config); // as after a reload
        let invite = invite(&format!("<sip:{user}@retell.example>"), DIALLED, &[]);
        routes.plan(named(&routes, "retell"), &invite, &mut rotation, None).unwrap().from
    };

    let shown = [from("+14155550101"), from("+12125550123"), from("+14155550101"), from("+14155550101")];

    assert_eq!(shown, ["+14155550101", "+12125550123", "+14155550102", "+14155550101"]);
}

#[test]
fn a_display_name_stays_only_with_the_number_it_belongs_to() {
    let mut config = config();
    let ann = "\"Ann\" <sip:+14155550123@retell.example>";
    let display = |config: &Config, lines: &[&str]| {
        plan(config, "retell", &invite(ann, DIALLED, lines)).unwrap().display
    };

    assert_eq!(display(&config, &[]).as_deref(), Some("Ann"));
    assert_eq!(display(&config, &["X-Original-CLID: +14155550177"]), None);
    config.trunks[0].caller_id = CallerId::Fixed("+14155550100".to_owned());
    assert_eq!(display(&config, &[]), None);
}

#[test]
fn a_withheld_caller_is_anonymous_in_from() {
    let mut config = config();
    config.trunks[0].caller_id = CallerId::Withheld;
    let withheld = plan(&config, "retell", &invite(CALLER, DIALLED, &[])).unwrap();
    let host = || Host::Name("203.0.113.10".to_owned());
    config.trunks[0].caller_id = CallerId::FromCall;
    let shown = plan(&config, "retell", &invite(CALLER, DIALLED, &[])).unwrap();

    let hidden = withheld.from_header(host(), Some(5070)).to_string();
    let open = shown.from_header(host(), Some(5070)).to_string();

    assert_eq!(hidden, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    assert_eq!(open, "\"Ann\" <sip:+14155550123@203.0.113.10:5070>");
}

#[test]
fn only_privacy_of_the_user_withholds_the_caller_and_both_ways() {
    for (privacy, withheld) in [
        ("header; user", true),
        ("USER", true),
        ("id", false),
        ("ID;critical", false),
        ("none", false),
        ("session", false),
        ("identity", false),
    ] {
        let private = invite(CALLER, DIALLED, &[&format!("Privacy: {privacy}")]);
        for caller in ["carrier", "retell"] {
            let plan = plan(&config(), caller, &private).unwrap();

            assert_eq!(plan.withheld, withheld, "{privacy} from {caller}");
            assert_eq!(plan.from == "anonymous", withheld, "{privacy} from {caller}");
        }
    }
}

#[test]
fn targets_keep_order_port_and_parameters_of_the_peers_uris() {
    let mut config = config();
    let mut second = uri("b.carrier.example");
    second.port = Some(5080);
    second.params.clear();
    config.trunks[0].peer.uris = vec![uri("a.carrier.example"), second];

    let plan = plan(&config, "retell", &invite(CALLER, "sip:2125550123@203.0.113.10", &[])).unwrap();

    let targets: Vec<_> = plan.targets.iter().map(|target| target.uri.to_string()).collect();
    assert_eq!(
        targets,
        ["sip:+12125550123@a.carrier.example;transport=tcp", "sip:+12125550123@b.carrier.example:5080"]
    );
}

#[test]
fn numbers_are_unchanged_only_when_both_go_on_as_they_came() {
    for (from, dialled, expected) in [
        ("+14155550123", "+14155550100", true),
        ("4155550123", "+14155550100", false),
        ("+14155550123", "4155550100", false),
        ("+1-415-555-0123", "+14155550100", false),
    ] {
        let invite =
            invite(&format!("<sip:{from}@198.51.100.7>"), &format!("sip:{dialled}@203.0.113.10"), &[]);

        let plan = plan(&config(), "carrier", &invite).unwrap();

        assert_eq!(plan.numbers_unchanged, expected, "{from} {dialled}");
    }
}

#[test]
fn emergency_numbers_are_refused_from_retell_alone_unless_allowed() {
    let mut config = config();
    for (dialled, refused) in [
        ("911", true),
        ("+1911", true),
        ("9-1-1", true),
        ("112", true),
        ("999", false),
        ("+19115550100", false),
    ] {
        let call = invite(CALLER, &format!("sip:{dialled}@203.0.113.10"), &[]);

        config.retell[0].allow_emergency = false;
        let from_retell = plan(&config, "retell", &call);
        let from_trunk = plan(&config, "carrier", &call);
        config.retell[0].allow_emergency = true;
        let allowed = plan(&config, "retell", &call);

        assert_eq!(from_retell.as_ref().is_err_and(|refusal| refusal.status() == 403), refused, "{dialled}");
        assert!(from_trunk.is_ok() && allowed.is_ok(), "{dialled}");
    }
}

#[test]
fn an_extension_may_lead_away_from_an_emergency_number_but_not_to_one() {
    let extensions = vec![("112".to_owned(), "+14155550100".to_owned()), ("7".to_owned(), "911".to_owned())];
    let config = Config { extensions, ..config() };

    let away = plan(&config, "retell", &invite(CALLER, "sip:112@203.0.113.10", &[]));
    let toward = plan(&config, "retell", &invite(CALLER, "sip:7@203.0.113.10", &[]));

    assert_eq!(away.unwrap().to, "+14155550100");
    assert_eq!(toward.unwrap_err(), Refusal::Emergency { number: "911".to_owned() });
}

#[test]
fn tolls_bind_retell_alone_however_the_number_is_dialled_and_repeat_none() {
    let mut config = config();
    config.retell[0].dialling = Dialling {
        allow: Some(vec![Range::Country("US".to_owned()), Range::Number("911".to_owned())]),
        deny: vec![Range::Prefix("+1212".to_owned())],
        allow_premium: false,
    };
    let refused = |dialled: &str, by: &str| {
        plan(&config, by, &invite(CALLER, &format!("{dialled}@203.0.113.10"), &[])).err()
    };

    for dialled in
        ["sip:+442079460958", "sip:00442079460958", "sip:011442079460958", "sip:7946;phone-context=+44207"]
    {
        let refusal = refused(dialled, "retell").unwrap();
        assert_eq!((refusal.status(), refusal), (403, Refusal::Toll(TollError::NotAllowed)), "{dialled}");
        assert_eq!(refused(dialled, "carrier"), None, "{dialled}");
    }
    for dialled in ["sip:2125550100", "sip:12125550100", "sip:+1-212-555-0100"] {
        let refusal = refused(dialled, "retell").unwrap();
        assert_eq!(refusal.to_string(), "number refused by \"+1212*\" in deny_numbers", "{dialled}");
    }
    assert_eq!(refused("sip:19002345678", "retell"), Some(Refusal::Toll(TollError::Premium)));
    assert_eq!(refused("sip:4155550100", "retell"), None);
    assert!(matches!(refused("sip:911", "retell"), Some(Refusal::Emergency { .. })));
}

#[test]
fn what_is_dialled_in_front_of_a_number_hides_it_from_no_guard() {
    let mut config = config();
    config.retell[0].dialling.deny = vec![Range::Prefix("+4420".to_owned())];
    let plan =
        |dialled: &str| plan(&config, "retell", &invite(CALLER, &format!("{dialled}@203.0.113.10"), &[]));

    for dialled in [
        "sip:0011442079460958",
        "sip:+011442079460958",
        "sip:+1011442079460958",
        "sip:9011442079460958",
        "sip:*67011442079460958",
        "sip:%2331%23+442079460958",
        "sip:+44_2079460958",
        "sip:011442079460958;phone-context=+1",
        "sip:2079460958;phone-context=%2B44",
    ] {
        let refusal = plan(dialled).unwrap_err();
        assert_eq!(refusal.to_string(), "number refused by \"+4420*\" in deny_numbers", "{dialled}");
    }
    for dialled in ["sip:*679002345678", "sip:+1011881612345678"] {
        assert_eq!(plan(dialled).unwrap_err(), Refusal::Toll(TollError::Premium), "{dialled}");
    }
    for dialled in ["sip:*67911", "sip:011911"] {
        assert!(matches!(plan(dialled), Err(Refusal::Emergency { .. })), "{dialled}");
    }
    for dialled in
        ["sip:*674155550100", "sip:*98", "sip:+1011331612345678", "sip:+18001234567", "sip:5001911"]
    {
        assert!(plan(dialled).is_ok(), "{dialled}");
    }
}

#[test]
fn a_list_that_allows_a_prefix_allows_nothing_else_behind_it() {
    let mut config = config();
    config.retell[0].dialling.allow = Some(vec![Range::Prefix("+1".to_owned())]);
    let plan =
        |dialled: &str| plan(&config, "retell", &invite(CALLER, &format!("{dialled}@203.0.113.10"), &[]));

    assert_eq!(plan("sip:+101153528012").unwrap_err(), Refusal::Toll(TollError::NotAllowed));
    assert!(plan("sip:+14155550100").is_ok());
}

#[test]
fn an_allowed_emergency_number_needs_no_entry() {
    let mut config = config();
    config.retell[0].allow_emergency = true;
    config.retell[0].dialling.allow = Some(Vec::new());

    assert!(plan(&config, "retell", &invite(CALLER, "sip:911@203.0.113.10", &[])).is_ok());
    assert!(plan(&config, "retell", &invite(CALLER, DIALLED, &[])).is_err());
}

#[test]
fn what_cannot_be_routed_is_refused_with_a_status_and_plain_words() {
    let mut homeless = config();
    homeless.trunks[0].peer.uris.clear();

    let nothing = plan(&config(), "carrier", &invite(CALLER, "sip:203.0.113.10", &[])).unwrap_err();
    let nowhere = plan(&homeless, "retell", &invite(CALLER, DIALLED, &[])).unwrap_err();
    let emergency = plan(&config(), "retell", &invite(CALLER, "sip:911@203.0.113.10", &[])).unwrap_err();

    assert_eq!((nothing.status(), nothing.to_string().as_str()), (404, "no number was dialled"));
    assert_eq!((nowhere.status(), nowhere.to_string().as_str()), (404, "no route: carrier has no uri"));
    assert_eq!(
        (emergency.status(), emergency.to_string().as_str()),
        (403, "emergency number 911 refused: allow_emergency is off")
    );
}

#[test]
fn every_step_names_the_rule_that_decided() {
    let mut config = Config { numbers: vec![number("+1415*", None, Some("carrier"))], ..config() };
    config.trunks[0].caller_id = CallerId::Fixed("+14155550100".to_owned());
    let routes = compile(&config);
    let mut steps = Vec::new();

    let call = invite(CALLER, "sip:2125550123@203.0.113.10", &[]);
    routes.plan(named(&routes, "retell"), &call, &mut Rotation::default(), Some(&mut steps)).unwrap();

    let told: Vec<_> = steps.iter().map(|step| [&step.what, &step.value, &step.rule]).collect();
    let keys: Vec<_> = steps.iter().map(|step| step.key.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        told,
        [
            ["trunk", "carrier", "[[numbers]] \"+1415*\" for caller +14155550123"],
            ["dialled", "2125550123", "user part of the Request-URI"],
            ["to", "+12125550123", "national number of the trunk's country (country of carrier: US)"],
            ["caller", "+14155550123", "From says +14155550123: already E.164"],
            ["from", "+14155550100", "caller_id of the trunk"],
            ["target", "sip:+12125550123@carrier.example;transport=tcp", "uri 1 of carrier"],
        ]
    );
    assert_eq!(
        keys,
        [
            "numbers[+1415*].trunk",
            "retell[retell].called_number",
            "trunks[carrier].country",
            "",
            "trunks[carrier].caller_id",
            "trunks[carrier].uri",
        ]
    );
}

fn plan(config: &Config, caller: &str, invite: &Message) -> Result<Plan, Refusal> {
    let routes = compile(config);
    routes.plan(named(&routes, caller), invite, &mut Rotation::default(), None)
}

const CALLER: &str = "\"Ann\" <sip:+14155550123@198.51.100.7>";
const DIALLED: &str = "sip:+14155550100@203.0.113.10";
