//! The course of one call: which peer is called, at which targets, with which numbers.
//!
//! Everything that depends on the configuration is decided here, once, before the first attempt; a later
//! attempt differs in its target alone. Extensions are looked up as dialled, in both directions, before the
//! number is read.

use super::behind::{after_code, behind};
use super::caller::{Caller, Given, Instead, original_clid};
use super::emergency::is_emergency;
use super::fallback::Falling;
use super::parties::Called;
use super::pool::Access;
use super::spelling::{Target, Written};
use super::steps::{Step, Trace};
use super::tolls::TollError;
use super::{Kind, Peer, Rotation, Routes, parties};
use crate::id::PeerId;
use crate::sip::headers::NameAddr;
use crate::sip::message::Message;

/// The decided course of one call.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The trunk's side.
    pub trunk: PeerId,
    /// Retell's side.
    pub retell: PeerId,
    /// The callee's peer (one of the two above).
    pub callee: PeerId,
    /// The caller, in E.164 when it is a number; `anonymous` when withheld. Records, metrics and
    /// `/v1/calls` show the same.
    pub from: String,
    /// The dialled number, in E.164 when it is one.
    pub to: String,
    /// The two as the callee wants them written.
    pub written: Written,
    /// Display name for From, when the caller's may be kept.
    pub display: Option<String>,
    /// Caller withheld: From is `"Anonymous" <sip:anonymous@anonymous.invalid>`, and [`Routes::headers`] adds
    /// `Privacy: id`.
    pub withheld: bool,
    /// The number of ours that [`Routes::headers`] names in Diversion (RFC 5806), where a foreign caller is
    /// kept.
    pub diverting: Option<String>,
    /// Every target in order: the number as sent, host, port and parameters of the peer's uri.
    pub targets: Vec<Target>,
    /// Whether neither number changed (Identity may pass).
    pub numbers_unchanged: bool,
    /// Somebody calls for help: no cap of its peer stands in the way.
    pub is_emergency: bool,
    /// What is tried one after the other when Retell cannot take the call.
    pub fallbacks: Vec<Plan>,
}

/// Why a call is refused before any attempt; the text is fit for a reason phrase and for the record.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum Refusal {
    /// The called URI has no user part.
    #[error("no number was dialled")]
    NothingDialled,
    /// An escaped line end or the like, which some reader farther on might take for one.
    #[error("the number dialled holds control characters")]
    ControlCharacters,
    /// The configuration gives no peer, or one without an address, for this direction.
    #[error("no route: {peer} has no uri")]
    NoRoute {
        /// The peer's name, or the kind of peer that is missing.
        peer: String,
    },
    /// An emergency number, dialled by Retell without `allow_emergency`.
    #[error("emergency number {number} refused: allow_emergency is off")]
    Emergency {
        /// As dialled.
        number: String,
    },
    /// A number that the agents of this `[[retell]]` may not call.
    #[error("{0}")]
    Toll(#[from] TollError),
    /// A caller that is not ours to show, where the trunk has `foreign_caller = "refuse"`.
    #[error("the caller's number is not one that trunk {trunk} may show: foreign_caller is \"refuse\"")]
    ForeignCaller {
        /// Its name.
        trunk: String,
    },
    /// Every one of `caller_ids` has had its calls of the day.
    #[error("every number in caller_ids has reached caller_daily_cap")]
    CallerIdsSpent {
        /// What is left of the day, in seconds.
        left_s: u32,
    },
    /// A header that the route depends on cannot be read.
    #[error("{header} cannot be read")]
    Unreadable {
        /// Its name.
        header: &'static str,
    },
}

impl Refusal {
    /// The response to the caller.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NothingDialled | Self::ControlCharacters | Self::NoRoute { .. } => 404,
            Self::Emergency { .. } | Self::Toll(_) | Self::ForeignCaller { .. } => 403,
            Self::CallerIdsSpent { .. } => 503,
            Self::Unreadable { .. } => 400,
        }
    }

    /// Seconds after which another attempt may succeed, where that is so. Never the whole rest of a day: for
    /// that long a caller sends us nothing else either (RFC 3261 §21.5.4), and other trunks have numbers
    /// left.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::CallerIdsSpent { left_s } => Some((*left_s).clamp(1, LONGEST_RETRY_S)),
            Self::NothingDialled
            | Self::ControlCharacters
            | Self::NoRoute { .. }
            | Self::Emergency { .. }
            | Self::Toll(_)
            | Self::ForeignCaller { .. }
            | Self::Unreadable { .. } => None,
        }
    }
}

/// What a caller is told to wait at most.
const LONGEST_RETRY_S: u32 = 300;

/// The dialled number, as it came and as it goes on.
#[derive(Clone)]
pub(super) struct Dialled {
    /// As dialled, or the extension's number, before it was read.
    pub(super) wanted: String,
    /// As sent.
    pub(super) number: String,
    unchanged: bool,
}

impl Dialled {
    /// A number that nobody dialled.
    pub(super) fn instead(number: String) -> Self {
        Self { wanted: number.clone(), number, unchanged: false }
    }
}

impl Routes {
    /// Decides the course of `invite` from `caller`. `steps` collects the explanation when given.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], to be answered with its status.
    pub fn plan(
        &self,
        caller: PeerId,
        invite: &Message,
        rotation: &mut Rotation,
        steps: Option<&mut Vec<Step>>,
    ) -> Result<Plan, Refusal> {
        let mut trace = Trace::into(steps);
        match self.peer(caller).kind {
            Kind::Trunk => self.plan_to_retell(self.peer(caller), invite, rotation, &mut trace),
            Kind::Retell => self.plan_to_trunk(self.peer(caller), invite, rotation, &mut trace),
        }
    }

    fn plan_to_retell(
        &self,
        trunk: &Peer,
        invite: &Message,
        rotation: &Rotation,
        trace: &mut Trace<'_>,
    ) -> Result<Plan, Refusal> {
        let called = parties::dialled(invite, trunk.called_number, trunk.registration.as_ref())?;
        let dialled = self.read_dialled(&called, trunk, trunk, trace)?;
        let from = parties::calling(invite)?;
        let asserted = trunk.spelling.trust_identity.then(|| parties::asserted(invite)).flatten();
        let given = Given::read(invite, from, asserted.map(Instead::Asserted), trunk.country, trace);
        let retell = self.retell_for(&dialled, trace)?;
        let shown = given.clone().toward_retell(trace);
        let plan = course(trunk, retell, retell, dialled.clone(), shown, trace)?;
        let call = Falling { trunk, retell, dialled: &dialled, given: &given, rotation };
        Ok(Plan { fallbacks: self.fallbacks(&call, trace), ..plan })
    }

    fn plan_to_trunk(
        &self,
        retell: &Peer,
        invite: &Message,
        rotation: &mut Rotation,
        trace: &mut Trace<'_>,
    ) -> Result<Plan, Refusal> {
        let called = parties::dialled(invite, retell.called_number, None)?;
        let from = parties::calling(invite)?;
        let clid = original_clid(invite);
        let trunk = self.trunk_for(&from, clid.as_deref(), trace)?;
        let dialled = self.read_dialled(&called, trunk, retell, trace)?;
        let is_emergency = allows_emergency(retell, trunk, &dialled, trace)?;
        if !is_emergency {
            check_tolls(retell, trunk, &dialled, trace)?;
        }
        let given = Given::read(invite, from, clid.map(Instead::Clid), trunk.country, trace);
        if !is_emergency {
            given.check_owned(trunk, &self.numbers)?;
        }
        let access = Access::Take(rotation);
        let shown = match given.clone().toward_trunk(trunk, &dialled.number, &self.numbers, access, trace) {
            Err(_) if is_emergency => given.shown_anyway(),
            shown => shown?,
        };
        Ok(Plan { is_emergency, ..course(trunk, retell, trunk, dialled, shown, trace)? })
    }

    /// The number to send for what is `called` by `caller`: an extension's number, else E.164 as `trunk`'s
    /// country reads it, else as it stands.
    fn read_dialled(
        &self,
        called: &Called,
        trunk: &Peer,
        caller: &Peer,
        trace: &mut Trace<'_>,
    ) -> Result<Dialled, Refusal> {
        let Called { uri, place } = called;
        let written = parties::number_in(uri).ok_or(Refusal::NothingDialled)?;
        if written.contains(char::is_control) {
            return Err(Refusal::ControlCharacters);
        }
        trace
            .note("dialled", || (written.clone().into_owned(), (*place).to_owned()))
            .by(|| caller.key("called_number"));
        let extension = self.extensions.get(written.as_ref());
        if let Some(number) = extension {
            trace
                .note("extension", || (number.clone(), format!("[extensions] \"{written}\"")))
                .by(|| format!("extensions.{written}"));
        }
        let wanted = extension.map_or(written.as_ref(), String::as_str);
        let reading = trunk.country.read(wanted);
        let form = reading.as_ref().map(|reading| reading.form);
        let number = reading.map_or_else(|| wanted.to_owned(), |reading| reading.number.into_owned());
        trace
            .note("to", || {
                let country = trunk.country.iso().unwrap_or_else(|| "none".to_owned());
                let how =
                    form.map_or("not a number, so it goes as it stands", super::normalise::Form::describe);
                (number.clone(), format!("{how} (country of {}: {country})", trunk.name))
            })
            .by(|| trunk.key("country"));
        let unchanged = uri.user.as_deref() == Some(number.as_str());
        Ok(Dialled { wanted: wanted.to_owned(), number, unchanged })
    }

    /// The `[[retell]]` that serves the number: the one in `[[numbers]]`, else the first.
    fn retell_for(&self, dialled: &Dialled, trace: &mut Trace<'_>) -> Result<&Peer, Refusal> {
        let found = self.numbers.retell(&dialled.number).or_else(|| self.numbers.retell(&dialled.wanted));
        if let Some(found) = found {
            let peer = self.peer(found.peer);
            trace
                .note("retell", || (peer.name.clone(), format!("[[numbers]] \"{}\"", found.entry)))
                .by(|| format!("numbers[{}].retell", found.entry));
            return Ok(peer);
        }
        let peer = self.first(Kind::Retell).ok_or_else(|| no_route("[[retell]]"))?;
        trace
            .note("retell", || (peer.name.clone(), "the default: first [[retell]]".to_owned()))
            .by(|| peer.key("name"));
        Ok(peer)
    }

    /// The trunk for a call from Retell: the one that `[[numbers]]` gives for From, else for
    /// `X-Original-CLID`, else the first.
    fn trunk_for(
        &self,
        from: &NameAddr,
        clid: Option<&str>,
        trace: &mut Trace<'_>,
    ) -> Result<&Peer, Refusal> {
        let default = self.first(Kind::Trunk).ok_or_else(|| no_route("[[trunks]]"))?;
        let from = parties::number_in(&from.uri);
        for number in from.as_deref().into_iter().chain(clid) {
            let reading = default.country.read(number);
            let e164 = reading.as_ref().and_then(|reading| self.numbers.trunk(&reading.number));
            let Some(found) = e164.or_else(|| self.numbers.trunk(number)) else { continue };
            let peer = self.peer(found.peer);
            trace
                .note("trunk", || {
                    (peer.name.clone(), format!("[[numbers]] \"{}\" for caller {number}", found.entry))
                })
                .by(|| format!("numbers[{}].trunk", found.entry));
            return Ok(peer);
        }
        trace
            .note("trunk", || (default.name.clone(), "the default: first [[trunks]]".to_owned()))
            .by(|| default.key("name"));
        Ok(default)
    }
}

/// Refuses a call from Retell to an emergency number, by what was dialled and by what would be sent, unless
/// it is allowed; false if it is none. An extension that leads elsewhere is no emergency number.
fn allows_emergency(
    retell: &Peer,
    trunk: &Peer,
    dialled: &Dialled,
    trace: &mut Trace<'_>,
) -> Result<bool, Refusal> {
    let mut reached =
        [dialled.wanted.as_str(), &dialled.number].into_iter().chain(after_code(&dialled.number));
    if !reached.any(|number| is_emergency(number, trunk.country)) {
        return Ok(false);
    }
    if retell.allow_emergency {
        trace
            .note("emergency", || (dialled.number.clone(), format!("allow_emergency of {}", retell.name)))
            .by(|| retell.key("allow_emergency"));
        return Ok(true);
    }
    Err(Refusal::Emergency { number: dialled.wanted.clone() })
}

/// Refuses a call from Retell to a number that its agents may not call, or that a carrier would find such a
/// number in.
fn check_tolls(retell: &Peer, trunk: &Peer, dialled: &Dialled, trace: &mut Trace<'_>) -> Result<(), Refusal> {
    let allowed = retell.tolls.check(&dialled.number)?;
    for rest in behind(&dialled.number) {
        retell.tolls.check_behind(&rest, trunk.country)?;
    }
    if let Some(entry) = allowed {
        trace
            .note("allowed", || {
                (dialled.number.clone(), format!("allow_numbers \"{entry}\" of {}", retell.name))
            })
            .by(|| retell.key("allow_numbers"));
    }
    Ok(())
}

/// The course to `callee`, without any fallback.
pub(super) fn course(
    trunk: &Peer,
    retell: &Peer,
    callee: &Peer,
    dialled: Dialled,
    shown: Caller,
    trace: &mut Trace<'_>,
) -> Result<Plan, Refusal> {
    if callee.uris.is_empty() {
        return Err(no_route(&callee.name));
    }
    let written = Written::toward(callee, &dialled.number, &shown, trace);
    let targets: Vec<_> = callee.uris.iter().map(|uri| Target::of(callee, uri, &written.dialled)).collect();
    for (place, target) in targets.iter().enumerate() {
        trace
            .note("target", || (target.uri.to_string(), format!("uri {} of {}", place + 1, callee.name)))
            .by(|| callee.key("uri"));
        callee.spelling.note_hosts(callee, target, trace);
    }
    Ok(Plan {
        trunk: trunk.id,
        retell: retell.id,
        callee: callee.id,
        numbers_unchanged: dialled.unchanged
            && shown.unchanged
            && (&written.dialled, &written.caller) == (&dialled.number, &shown.number),
        written,
        from: shown.number,
        to: dialled.number,
        display: shown.display,
        withheld: shown.withheld,
        diverting: shown.diverting,
        targets,
        is_emergency: false,
        fallbacks: Vec::new(),
    })
}

fn no_route(peer: &str) -> Refusal {
    Refusal::NoRoute { peer: peer.to_owned() }
}
