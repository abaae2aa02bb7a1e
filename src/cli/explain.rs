//! `trunkline explain`: the course of one call, step by step, with the rule that decided each. Nothing is
//! sent.
//!
//! It runs the code that routes real calls over an INVITE made of the arguments. What it can't know it
//! assumes and says so: that a peer which is challenged authenticates, and which address of ours stands in
//! headers when none is configured. A rotation of `caller_ids` starts at its first.

mod args;

use std::net::IpAddr;
use std::process::ExitCode;

use serde::Serialize;

pub(super) use self::args::Args;
use super::{output, refuse};
use crate::config::{self, Config, Places, process_environment};
use crate::id::InterfaceId;
use crate::routing::{Kind, Peer, Plan, Recognition, Refusal, Rotation, Routes, Step};
use crate::sip::headers::Name;
use crate::sip::message::Message;
use crate::sip::uri::Uri;

pub(super) fn run(args: &Args) -> ExitCode {
    let file = &args.config.config;
    let loaded = match config::load(file, &process_environment()) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(file, "used", &problems),
    };
    // Secrets are not needed where nothing is sent; only that there are some matters.
    let routes =
        Routes::compile(&loaded.config.routing, &|_| Ok(String::new())).expect("no secret is asked for");
    let explanation = match args.invite(&routes) {
        Ok(invite) => Explanation::of(&loaded.config, &routes, args, &invite).placed(&loaded.places),
        Err(error) => {
            output::complain(format_args!("trunkline: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let is_routed = explanation.outcome == Outcome::Routed;
    let code = if is_routed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    output::finish(&explanation.print(args), code)
}

/// What becomes of the call; the keys of `--json`.
#[derive(Serialize)]
struct Explanation {
    outcome: Outcome,
    /// Of the refusal.
    status: Option<u16>,
    /// Why there is no call, in words.
    reason: Option<String>,
    /// Who is calling.
    peer: Option<String>,
    /// Whether that is so only if the peer authenticates.
    assumes_authentication: bool,
    #[serde(flatten)]
    course: Option<Course>,
    steps: Vec<Step>,
}

#[derive(Serialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Routed,
    Refused,
    Stranger,
}

/// The INVITE that would be sent.
#[derive(Serialize)]
struct Course {
    direction: &'static str,
    trunk: String,
    retell: String,
    from: String,
    to: String,
    display: Option<String>,
    withheld: bool,
    targets: Vec<String>,
    headers: Vec<HeaderLine>,
    fallbacks: Vec<FallbackLine>,
}

/// Where the call goes when that fails.
#[derive(Serialize)]
struct FallbackLine {
    peer: String,
    from: String,
    to: String,
    targets: Vec<String>,
}

#[derive(Serialize)]
struct HeaderLine {
    name: String,
    value: String,
}

impl Explanation {
    fn of(config: &Config, routes: &Routes, args: &Args, invite: &Message) -> Self {
        let mut steps = Vec::new();
        let dialled = Uri::parse(invite.request_uri()).ok().and_then(|uri| uri.user).unwrap_or_default();
        let recognition = routes.explain_recognition(args.source, &dialled, &mut steps);
        let Some(peer) = caller(routes, recognition, args.source, &mut steps) else {
            let reason = stranger(routes, args.source);
            return Self::without_course(Outcome::Stranger, None, reason, None, steps);
        };
        routes.explain_interface(peer, Some(args.source), &mut steps);
        let course = routes.plan(peer.id, invite, &mut Rotation::default(), Some(&mut steps)).map(|plan| {
            let callee = routes.peer(plan.callee);
            let address = callee.next_hops().first().and_then(|uri| uri.host.ip());
            routes.explain_interface(callee, address, &mut steps);
            let interface = routes.interface(Some(callee), address.unwrap_or(args.source));
            let our_host = our_host(config, interface, args.source);
            let headers = routes.explain_headers(invite, &plan, &our_host, &mut steps);
            note_silent(&args.header, &mut steps);
            Course::of(routes, &plan, headers)
        });
        let assumes_authentication = !matches!(recognition, Recognition::Peer(_));
        match course {
            Ok(course) => Self {
                outcome: Outcome::Routed,
                status: None,
                reason: None,
                peer: Some(peer.name.clone()),
                assumes_authentication,
                course: Some(course),
                steps,
            },
            Err(refusal) => {
                let reason = refusal.to_string();
                let refused =
                    Self::without_course(Outcome::Refused, Some(&refusal), reason, Some(peer), steps);
                Self { assumes_authentication, ..refused }
            }
        }
    }

    /// Says of every rule where it stands.
    fn placed(mut self, places: &Places) -> Self {
        for step in &mut self.steps {
            let key = step.key.as_deref();
            step.place = key.map(|key| places.of(key).unwrap_or("the default").to_owned());
        }
        self
    }

    fn without_course(
        outcome: Outcome,
        refusal: Option<&Refusal>,
        reason: String,
        peer: Option<&Peer>,
        steps: Vec<Step>,
    ) -> Self {
        Self {
            outcome,
            status: refusal.map(Refusal::status),
            reason: Some(reason),
            peer: peer.map(|peer| peer.name.clone()),
            assumes_authentication: false,
            course: None,
            steps,
        }
    }

    fn print(&self, args: &Args) -> String {
        if args.json {
            return serde_json::to_string_pretty(self).expect("strings, numbers and lists are JSON") + "\n";
        }
        let width = |column: fn(&Step) -> &str| {
            self.steps.iter().map(|step| column(step).chars().count()).max().unwrap_or_default()
        };
        let (what, value) = (width(|step| &step.what), width(|step| &step.value).min(WIDEST_VALUE));
        let mut text = String::new();
        for step in &self.steps {
            let place = step.place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
            text += &format!("{:what$}  {:value$}  {}{place}\n", step.what, step.value, step.rule);
        }
        text + "\n" + &self.verdict() + "\n"
    }

    /// The last line.
    fn verdict(&self) -> String {
        match (&self.course, self.status, &self.reason) {
            (Some(course), _, _) => {
                let targets = course.targets.join(", then ");
                let fallbacks: Vec<_> = course.fallbacks.iter().flat_map(|next| &next.targets).collect();
                let fallbacks = fallbacks.iter().map(|target| format!(", and if that fails to {target}"));
                format!("The call goes to {targets}, from {}{}", course.from, fallbacks.collect::<String>())
            }
            (None, Some(status), Some(reason)) => format!("The call is refused: {status} {reason}"),
            (None, _, reason) => format!("There is no call: {}", reason.as_deref().unwrap_or_default()),
        }
    }
}

impl Course {
    fn of(routes: &Routes, plan: &Plan, headers: Vec<crate::routing::Line>) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            direction: match routes.peer(plan.callee).kind {
                Kind::Retell => "to_retell",
                Kind::Trunk => "to_trunk",
            },
            trunk: routes.peer(plan.trunk).name.clone(),
            retell: routes.peer(plan.retell).name.clone(),
            from: plan.from.clone(),
            to: plan.to.clone(),
            display: plan.display.clone(),
            withheld: plan.withheld,
            targets: plan.targets.iter().map(|target| target.uri.to_string()).collect(),
            headers: headers
                .into_iter()
                .map(|(name, value)| HeaderLine { name: text(name), value: text(value) })
                .collect(),
            fallbacks: plan.fallbacks.iter().map(|plan| FallbackLine::of(routes, plan)).collect(),
        }
    }
}

impl FallbackLine {
    fn of(routes: &Routes, plan: &Plan) -> Self {
        Self {
            peer: routes.peer(plan.callee).name.clone(),
            from: plan.from.clone(),
            to: plan.to.clone(),
            targets: plan.targets.iter().map(|target| target.uri.to_string()).collect(),
        }
    }
}

/// Who is calling, where authentication is assumed to go well; `None` for a stranger.
fn caller<'a>(
    routes: &'a Routes,
    recognition: Recognition,
    source: IpAddr,
    steps: &mut Vec<Step>,
) -> Option<&'a Peer> {
    let mut assume = |peer: &'a Peer, rule: String| {
        let user = peer.credentials.as_ref().map_or("", |credentials| credentials.username.as_str());
        let value = format!("{} as \"{user}\"", peer.name);
        let section = if peer.kind == Kind::Retell { "retell" } else { "trunks" };
        let key = Some(format!("{section}[{}].username", peer.name));
        steps.push(Step { what: "authentication".to_owned(), value, rule, key, place: None });
        peer
    };
    match recognition {
        Recognition::Stranger => None,
        Recognition::Peer(id) => Some(routes.peer(id)),
        Recognition::ChallengeAs(id) => {
            Some(assume(routes.peer(id), "challenge = true: assumed to answer rightly".to_owned()))
        }
        Recognition::Challenge => {
            let candidates: Vec<_> = routes.challengers(source).collect();
            let by_range = |peer: &&&Peer| peer.allow.iter().any(|range| range.contains(&source));
            let peer = candidates.iter().find(by_range).or_else(|| candidates.first())?;
            let others: Vec<_> = candidates
                .iter()
                .filter(|other| other.id != peer.id)
                .map(|other| other.name.as_str())
                .collect();
            let rule = match others.as_slice() {
                [] => "401: assumed to answer rightly".to_owned(),
                others => format!(
                    "401: assumed to answer as this one; the user name could also be of {}",
                    others.join(", ")
                ),
            };
            Some(assume(peer, rule))
        }
    }
}

/// A given header that no rule spoke of is SIP's own: it ends here, and the other leg gets ours.
fn note_silent(given: &[(String, String)], steps: &mut Vec<Step>) {
    for (name, _) in given {
        let known = Name::parse(name.as_bytes());
        let same = |value: &str| {
            let told = value.split(':').next().unwrap_or_default();
            told.eq_ignore_ascii_case(name) || known != Name::Other && Name::parse(told.as_bytes()) == known
        };
        if steps.iter().any(|step| step.what.starts_with("header") && same(&step.value)) {
            continue;
        }
        let rule = "SIP's own: trunkline writes what each leg needs itself".to_owned();
        let (what, value) = ("header dropped".to_owned(), name.clone());
        steps.push(Step { what, value, rule, key: None, place: None });
    }
}

/// What becomes of a call that nobody we know makes.
fn stranger(routes: &Routes, source: IpAddr) -> String {
    let refused = format!("{source} is a stranger: it gets no answer of any kind");
    match routes.peers().iter().find(|peer| peer.registration.is_some()) {
        Some(trunk) => format!(
            "{refused}, unless it calls what is registered at {name}: \
             add --registered {name} for such a call",
            name = trunk.name
        ),
        None => refused,
    }
}

/// Our host in headers, as `interface` shows it; of the family of `source` where there is a choice.
fn our_host(config: &Config, interface: InterfaceId, source: IpAddr) -> String {
    let own = config.sip.sockets().into_iter().filter(|socket| socket.interfaces.contains(&interface));
    let listening = own.map(|socket| socket.listen.address.ip()).filter(|ip| !ip.is_unspecified());
    let advertised = config.sip.advertised_by(interface).iter().copied();
    let addresses: Vec<_> = advertised.chain(listening).collect();
    let same_family = addresses.iter().find(|ip| ip.is_ipv4() == source.is_ipv4());
    same_family.or_else(|| addresses.first()).map_or_else(|| OUR_HOST.to_owned(), ToString::to_string)
}

/// Stands for our address where the configuration leaves it to the route toward the peer.
const OUR_HOST: &str = "our.address.invalid";
/// Longer values push their rule to the right instead of everybody's.
const WIDEST_VALUE: usize = 40;
