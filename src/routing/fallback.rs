//! Where a call goes when Retell cannot take it: another `[[retell]]`, a number by the
//! trunk, or a SIP URI, in order.
//!
//! Decided with the call's course, before the first attempt. What `[[numbers]]` says of the dialled number
//! stands in place of what its `[[retell]]` says. A person who is called instead sees what the trunk shows of
//! a foreign caller, as after a transfer; the rotation of caller IDs does not move on for it. The number that
//! was dialled is no fallback for itself: the trunk would bring the call back.

use super::caller::Given;
use super::config::FallbackConfig;
use super::plan::{Dialled, Plan, course};
use super::pool::{Access, Rotation};
use super::spelling::Target;
use super::steps::Trace;
use super::{Kind, Peer, Routes};
use crate::id::PeerId;
use crate::sip::uri::Uri;

/// One element of `fallback`, compiled.
#[derive(Clone, Debug)]
pub(super) enum Fallback {
    /// Another `[[retell]]`, with the number as dialled.
    Retell(PeerId),
    /// This number, by the trunk.
    Number(String),
    /// This address, as it stands.
    Address(Uri),
}

impl Fallback {
    /// `retell` finds a `[[retell]]` by its name.
    pub(super) fn compile(list: &[FallbackConfig], retell: impl Fn(&str) -> Option<PeerId>) -> Vec<Self> {
        let compile = |element: &FallbackConfig| match element {
            FallbackConfig::Address(uri) => Self::Address(uri.clone()),
            FallbackConfig::Word(word) => {
                retell(word).map_or_else(|| Self::Number(word.clone()), Self::Retell)
            }
        };
        list.iter().map(compile).collect()
    }
}

/// A call to Retell whose course is known, and what its fallbacks need of it.
pub(super) struct Falling<'a> {
    pub(super) trunk: &'a Peer,
    pub(super) retell: &'a Peer,
    pub(super) dialled: &'a Dialled,
    pub(super) given: &'a Given,
    pub(super) rotation: &'a Rotation,
}

impl Routes {
    /// The courses that are tried one after the other when the first one fails.
    pub(super) fn fallbacks(&self, call: &Falling<'_>, trace: &mut Trace<'_>) -> Vec<Plan> {
        let of_number = self.numbers.fallback(&call.dialled.number);
        let of_number = of_number.or_else(|| self.numbers.fallback(&call.dialled.wanted));
        let (list, whose) = match of_number {
            Some((list, entry)) => (list, format!("fallback of [[numbers]] \"{entry}\"")),
            None => (&call.retell.fallback[..], format!("fallback of {}", call.retell.name)),
        };
        let mut plans = Vec::new();
        self.follow(list, &whose, &mut vec![call.retell.id], call, &mut plans, trace);
        plans
    }

    fn follow(
        &self,
        list: &[Fallback],
        whose: &str,
        seen: &mut Vec<PeerId>,
        call: &Falling<'_>,
        plans: &mut Vec<Plan>,
        trace: &mut Trace<'_>,
    ) {
        for fallback in list {
            if let Fallback::Retell(id) = fallback {
                if seen.contains(id) {
                    continue;
                }
                seen.push(*id);
            }
            if let Some(plan) = self.fall_back(fallback, call) {
                trace.note("fallback", || {
                    let targets: Vec<_> = plan.targets.iter().map(|target| target.uri.to_string()).collect();
                    (targets.join(", then "), format!("{whose}, from {}", plan.from))
                });
                plans.push(plan);
            }
            if let Fallback::Retell(id) = fallback {
                let next = self.peer(*id);
                self.follow(&next.fallback, &format!("fallback of {}", next.name), seen, call, plans, trace);
            }
        }
    }

    fn fall_back(&self, fallback: &Fallback, call: &Falling<'_>) -> Option<Plan> {
        let (given, off) = (call.given.clone(), &mut Trace::off());
        match fallback {
            Fallback::Retell(id) => {
                let retell = self.peer(*id);
                let shown = given.toward_retell(off);
                course(call.trunk, retell, retell, call.dialled.clone(), shown, off).ok()
            }
            Fallback::Number(written) => {
                let trunk = self.trunk_of(call);
                let number = trunk.country.read(written);
                let number = number.map_or_else(|| written.clone(), |reading| reading.number.into_owned());
                if number == call.dialled.number {
                    return None;
                }
                let access = Access::Look(call.rotation);
                let shown = given.toward_trunk(trunk, &number, &self.numbers, access, off).ok()?;
                course(trunk, call.retell, trunk, Dialled::instead(number), shown, off).ok()
            }
            Fallback::Address(uri) => {
                let trunk = self.trunk_by_host(uri).unwrap_or(call.trunk);
                let dialled = Dialled::instead(uri.user.clone().unwrap_or_default());
                let access = Access::Look(call.rotation);
                let shown = given.toward_trunk(trunk, &dialled.number, &self.numbers, access, off).ok()?;
                let plan = course(trunk, call.retell, trunk, dialled, shown, off).ok()?;
                Some(Plan { targets: vec![Target::plain(uri.clone())], ..plan })
            }
        }
    }

    /// The trunk by which calls leave that bear the dialled number, else the one that the call came by.
    fn trunk_of<'a>(&'a self, call: &Falling<'a>) -> &'a Peer {
        let found = self.numbers.trunk(&call.dialled.number);
        found.map_or(call.trunk, |found| self.peer(found.peer))
    }

    /// The trunk whose own host an address names.
    fn trunk_by_host(&self, uri: &Uri) -> Option<&Peer> {
        let is_at = |peer: &&Peer| peer.uris.iter().any(|own| own.host == uri.host);
        self.peers.iter().filter(|peer| peer.kind == Kind::Trunk).find(is_at)
    }
}
