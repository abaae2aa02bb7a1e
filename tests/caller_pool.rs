//! Caller IDs toward a trunk where there are several, and where not every number may be shown: what a call
//! from Retell shows, and what becomes of it when there is nothing to show.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::routes::{compile, config, invite, named};
use calls::{ByHandCall, CALLEE, CALLER, RETELL, Request, Way, answer, ask, finish, header};
use trunkline::routing::config::{CallerId, Config, ForeignCaller, PoolConfig};
use trunkline::routing::{Refusal, Rotation};

#[test]
fn the_pool_chooses_by_the_callee_and_explain_says_why() {
    let pool = PoolConfig { local: true, sticky: true, ..PoolConfig::default() };
    let routes = compile(&with(&["+12125550101", "+14155550102"], pool));
    let mut rotation = Rotation::default();
    let mut from = |dialled: &str| {
        let mut steps = Vec::new();
        let invite = invite(AGENT, &format!("sip:{dialled}@203.0.113.10"), &[]);
        let plan = routes.plan(named(&routes, "retell"), &invite, &mut rotation, Some(&mut steps)).unwrap();
        let step = steps.iter().find(|step| step.what == "from").unwrap();
        (plan.from, step.rule.clone())
    };

    let chosen = |number: &str, rule: &str| (number.to_owned(), rule.to_owned());
    assert_eq!(from("+14155550123"), chosen("+14155550102", "caller_ids of the trunk: of the callee's area"));
    assert_eq!(from("+14155550123"), chosen("+14155550102", "caller_ids of the trunk: the callee knows it"));
    assert_eq!(from("+442079460958"), chosen("+12125550101", "caller_ids of the trunk"));
}

#[test]
fn a_pool_that_is_spent_for_the_day_refuses_with_503() {
    let routes = compile(&with(&["+12125550101"], PoolConfig { daily_cap: 1, ..PoolConfig::default() }));
    let mut rotation = Rotation::default();
    rotation.set_time(3 * 86_400 - 120);
    let mut call = || {
        let invite = invite(AGENT, "sip:+14155550123@203.0.113.10", &[]);
        routes.plan(named(&routes, "retell"), &invite, &mut rotation, None).map(|plan| plan.from)
    };

    assert_eq!(call(), Ok("+12125550101".to_owned()));
    let refusal = call().unwrap_err();

    assert_eq!((refusal.status(), refusal.clone()), (503, Refusal::CallerIdsSpent { left_s: 120 }));
    assert_eq!(refusal.retry_after_s(), Some(120));
    assert_eq!(Refusal::CallerIdsSpent { left_s: 86_400 }.retry_after_s(), Some(300));
    assert_eq!(refusal.to_string(), "every number in caller_ids has reached caller_daily_cap");
}

#[test]
fn a_caller_that_is_not_owned_is_refused_or_replaced() {
    let plan = |foreign, from: &str, lines: &[&str]| {
        let mut config = config();
        config.numbers = vec![calls::routes::number("+14155550155", None, None)];
        config.trunks[0].caller_id = CallerId::Fixed("+12125550100".to_owned());
        config.trunks[0].foreign_caller = foreign;
        config.trunks[0].pool.owned = Some(vec!["+12125550100".to_owned(), "+1312555*".to_owned()]);
        let routes = compile(&config);
        let invite = invite(&format!("<sip:{from}@retell.example>"), "sip:+14155550123@203.0.113.10", lines);
        routes.plan(named(&routes, "retell"), &invite, &mut Rotation::default(), None).map(|plan| plan.from)
    };
    let ours = Ok("+12125550100".to_owned());
    let refusal = Refusal::ForeignCaller { trunk: "carrier".to_owned() };
    let refused = Err(refusal.clone());

    assert_eq!(plan(ForeignCaller::Refuse, "+13125550177", &[]), ours);
    assert_eq!(
        plan(ForeignCaller::Refuse, "+14155550155", &[]),
        refused,
        "`owned` stands for [[numbers]] too"
    );
    assert_eq!(plan(ForeignCaller::Refuse, "+13125550177", &["X-Original-CLID: +14155550166"]), refused);
    assert_eq!(plan(ForeignCaller::Refuse, "+14155550166", &["Privacy: user"]), Ok("anonymous".to_owned()));
    assert_eq!(plan(ForeignCaller::Replace, "+14155550166", &[]), ours);
    assert_eq!(plan(ForeignCaller::Keep, "+14155550166", &[]), Ok("+14155550166".to_owned()));
    assert_eq!(plan(ForeignCaller::Keep, "+13125550177", &[]), ours, "that one is ours");
    assert_eq!(refusal.status(), 403);
}

#[test]
fn an_emergency_call_waits_for_no_number() {
    let mut config = with(&["+12125550101"], PoolConfig { daily_cap: 1, ..PoolConfig::default() });
    config.retell[0].allow_emergency = true;
    config.trunks[0].foreign_caller = ForeignCaller::Refuse;
    let routes = compile(&config);
    let mut rotation = Rotation::default();
    let mut call = || {
        let invite = invite(AGENT, "sip:911@203.0.113.10", &[]);
        routes.plan(named(&routes, "retell"), &invite, &mut rotation, None).map(|plan| plan.from)
    };

    assert_eq!(call(), Ok("+12125550101".to_owned()));
    assert_eq!(call(), Ok("+14155550100".to_owned()), "the caller as it came, where the pool is spent");
}

#[test]
fn a_number_that_a_callee_does_not_want_rests_and_any_other_refusal_is_no_reason() {
    for (code, expected) in
        [(603, "+12125550102"), (607, "+12125550102"), (608, "+12125550102"), (486, "+12125550101")]
    {
        let pool = PoolConfig { rest_s: 3_600, ..PoolConfig::default() };
        let mut config = Way::ToTrunk.config();
        config.trunks[0].caller_id = CallerId::Rotating(vec!["+12125550101".into(), "+12125550102".into()]);
        config.trunks[0].pool = pool;
        let first = Request::invite(RETELL);
        let mut network = ByHandCall::inviting(Way::ToTrunk, compile(&config), &first);

        refuse(&mut network, code);
        call(&mut network, "second");
        refuse(&mut network, 486);
        call(&mut network, "third");
        refuse(&mut network, 486);

        let invites = network.received(CALLEE, "INVITE ");
        let shown: Vec<_> = invites.iter().map(|invite| caller(invite)).collect();
        assert_eq!(shown[..2], ["+12125550101", "+12125550102"], "{code}");
        assert_eq!(shown[2], expected, "{code}");
        finish(&mut network);
    }
}

/// A trunk with these caller IDs.
fn with(numbers: &[&str], pool: PoolConfig) -> Config {
    let mut config = config();
    config.trunks[0].caller_id = CallerId::Rotating(numbers.iter().map(|&number| number.into()).collect());
    config.trunks[0].pool = pool;
    config
}

/// Another call from Retell.
fn call(network: &mut calls::Network, id: &str) {
    let invite = Request::invite(RETELL).to_string();
    let call_id = header(&invite, "Call-ID").unwrap();
    let branch = invite.split("branch=").nth(1).unwrap().split(['\r', ';']).next().unwrap();
    let invite = invite.replace(call_id, id).replace(branch, &format!("z9hG4bK{id}"));
    ask(network, CALLER, &invite);
}

/// The callee refuses the last INVITE it got, and the caller hears of it.
fn refuse(network: &mut calls::Network, code: u16) {
    let received = network.received(CALLEE, "INVITE ").last().unwrap().to_string();
    ask(network, CALLEE, &answer(&received, code, "No", "t", "Content-Length: 0\r\n\r\n"));
}

fn caller(invite: &str) -> &str {
    header(invite, "From").unwrap().split("sip:").nth(1).unwrap().split('@').next().unwrap()
}

const AGENT: &str = "<sip:+14155550100@retell.example>";
