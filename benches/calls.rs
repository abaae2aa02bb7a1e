//! One whole call through the pure core: everything signalling does for it but the sockets.
//!
//! `cargo bench --bench calls`. A call of the test network (trunk to Retell: INVITE, 100, 180, 200, ACK, BYE
//! on both legs) is recorded once. The bridge mints the same tags and branches from the same seed, so what
//! the two user agents said fits every later bridge with that seed, and only the bridge is measured: reading,
//! transactions, routing, SDP, the call itself, and writing what leaves.

#[path = "../tests/support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::network::Heard;
use calls::{CalleeScript, CallerScript, Network, Way, Weather};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn one_call(criterion: &mut Criterion) {
    let (heard, written) = record();
    let mut group = criterion.benchmark_group("call");
    group.bench_function(format!("whole, {} messages in, {written} out", heard.len()), |bencher| {
        bencher.iter_batched_ref(one_retell, |network| replay(network, &heard), BatchSize::SmallInput);
    });
    group.finish();
}

/// What the bridge heard in one call, and how many messages it sent.
fn record() -> (Vec<Heard>, usize) {
    let (caller, callee) = (CallerScript::default(), CalleeScript::default());
    let mut network =
        calls::in_weather(Weather::FAIR, SEED, Way::ToRetell.routes(), Way::ToRetell, caller, callee);
    network.run(Duration::from_secs(600));
    let (heard, written) = (network.heard.clone(), network.emitted.len());

    let mut again = one_retell();
    replay(&mut again, &heard);
    assert_eq!(
        again.bridge.world.records.len(),
        1,
        "the recorded call is a whole call for every bridge with its seed"
    );
    assert_eq!(again.bridge.world.records[0].sip_code, 200);
    (heard, written)
}

fn one_retell() -> Network {
    Network::new(Way::ToRetell.routes(), SEED, Weather::FAIR)
}

fn replay(network: &mut Network, heard: &[Heard]) {
    let start = network.now;
    for Heard { after, flow, bytes } in heard {
        network.bridge.set_time(start + *after, 0);
        network.bridge.on_message(bytes.clone(), *flow);
        network.bridge.on_deadlines();
    }
}

const SEED: u64 = 1;

criterion_group!(benches, one_call);
criterion_main!(benches);
