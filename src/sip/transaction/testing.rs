//! A virtual clock for the tests of the machines.

use std::time::{Duration, Instant};

use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::{ClientOutput, ServerOutput};
use crate::sip::timers::Timers;

/// The same instant throughout a test run; every machine of the tests starts here.
pub(crate) fn epoch() -> Instant {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

pub(crate) fn at_ms(ms: u64) -> Instant {
    epoch() + Duration::from_millis(ms)
}

pub(super) trait Timed {
    type Output;

    fn next_deadline(&self) -> Option<Instant>;
    fn on_deadline(&mut self, now: Instant, timers: &Timers, out: &mut Vec<Self::Output>);
}

/// Follows the machine's deadlines until it has none; what it did, and how long after [`epoch`].
pub(super) fn run_to_end<M: Timed>(machine: &mut M) -> Vec<(Duration, M::Output)> {
    let mut log = Vec::new();
    while let Some(now) = machine.next_deadline() {
        let mut out = Vec::new();
        machine.on_deadline(now, &Timers::default(), &mut out);
        log.extend(out.into_iter().map(|output| (now - epoch(), output)));
    }
    log
}

macro_rules! timed {
    ($($machine:ty => $output:ty),+) => {$(
        impl Timed for $machine {
            type Output = $output;

            fn next_deadline(&self) -> Option<Instant> {
                self.next_deadline()
            }

            fn on_deadline(&mut self, now: Instant, timers: &Timers, out: &mut Vec<$output>) {
                self.on_deadline(now, timers, out);
            }
        }
    )+};
}

timed!(InviteClient => ClientOutput, Client => ClientOutput, InviteServer => ServerOutput);
