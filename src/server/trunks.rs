//! What `/v1/trunks` shows of every peer, gathered when somebody asks.

use crate::api::trunks::{RegistrationView, TargetView, TrunkView};
use crate::call::timestamp::rfc3339;
use crate::routing::Kind;

use super::bridge::Bridge;
use super::probes::{Target, label};
use super::world::World;

impl<W: World> Bridge<W> {
    /// Every trunk, then every `[[retell]]`, in file order.
    #[must_use]
    pub fn trunks(&self) -> Vec<TrunkView> {
        let of = |kind| self.routes.peers().iter().filter(move |peer| peer.kind == kind);
        of(Kind::Trunk)
            .chain(of(Kind::Retell))
            .map(|peer| (peer, self.hourly.of(&peer.name, self.now)))
            .map(|(peer, (calls_last_hour, talk))| TrunkView {
                name: peer.name.clone(),
                kind: match peer.kind {
                    Kind::Trunk => "trunk",
                    Kind::Retell => "retell",
                },
                calls: self.call_limits.calls_of(&peer.name),
                calls_last_hour,
                minutes_last_hour: talk.as_secs() / 60,
                registration: self.registration_of(&peer.name),
                targets: self.probes.of(&peer.name).iter().map(shown).collect(),
            })
            .collect()
    }

    fn registration_of(&self, trunk: &str) -> Option<RegistrationView> {
        let (machine, changed_ms) = self.registrations.of(trunk)?;
        let binding = machine.binding();
        let expires = binding.map(|(until, _)| {
            let left = until.saturating_duration_since(self.now).as_millis();
            rfc3339(self.unix_ms.saturating_add(i64::try_from(left).unwrap_or(i64::MAX)))
        });
        Some(RegistrationView {
            state: machine.status().label(),
            registrar: binding.map(|(_, hop)| label(hop)),
            expires,
            last_code: machine.last_code(),
            reason: machine.trouble().map(|trouble| trouble.to_string()),
            last_change: rfc3339(changed_ms),
        })
    }
}

fn shown(target: &Target) -> TargetView {
    TargetView {
        target: label(&target.hop),
        state: target.probe.health().label(),
        last_code: target.probe.last_code(),
        latency_ms: target.probe.latency().map(|latency| latency.as_secs_f64() * 1_000.0),
        last_change: target.changed_ms.map(rfc3339),
    }
}
