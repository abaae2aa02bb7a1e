#!/bin/sh
# Measures trunkline's relay and rtpengine (userspace) in turn, with the same generator, on one core each.
#
#   benches/relay_load/compare.sh [ROUNDS]        both relays' highest rates, latency and memory
#   benches/relay_load/compare.sh --scale         CPU per packet of 10 to 2000 calls at one rate
#   benches/relay_load/compare.sh --churn         200 calls, alone and beside 3,333 others begun every second
#
# Needs root; leaves nothing behind. Two network namespaces joined by veth: the generator on CPU 0 with the
# receive path of its side, the relay on CPU 1 with that of its own. The generator's side has no IP address: it
# writes and reads frames, and its kernel drops what comes, which is for an Ethernet address that no device has.
# Prints each run, then the medians and trunkline's ratio to rtpengine. A rate that the generator did not reach,
# or whose packets it lost, says nothing of a relay: "limited_by" and the medians tell where that was so.
set -eu

what=compare rounds=3
case ${1:-} in
--scale | --churn) what=${1#--} ;;
*) rounds=${1:-3} ;;
esac
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need ip iproute2
need taskset util-linux
need rtpengine rtpengine-daemon
need python3 python3
[ -z "$missing" ] || { echo "missing; as root: apt-get install$missing" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "network namespaces need root" >&2; exit 2; }
[ "$(nproc)" -ge 2 ] || { echo "two CPUs are needed: one for the relay, one for the generator" >&2; exit 2; }

built() {
    (cd "$here" && cargo bench --quiet --no-run --bench "$1" --message-format=json 2>/dev/null) |
        python3 -c 'import json, sys
for line in sys.stdin:
    found = json.loads(line)
    if found.get("executable") and found["target"]["name"] == sys.argv[1]: print(found["executable"])' "$1"
}
load=$(built relay_load)
blast=$(built relay_blast)

far=trunkline-far-$$
near=trunkline-near-$$
relay=
cleanup() {
    [ -z "$relay" ] || kill "$relay" 2>/dev/null || true
    ip netns del "$far" 2>/dev/null || true
    ip netns del "$near" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT INT TERM

ip netns add "$far"
ip netns add "$near"
near_mac=02:00:00:00:00:02
ip -n "$far" link add far address 02:00:00:00:00:01 type veth peer name near address $near_mac netns "$near"
ip netns exec "$far" sysctl -qw net.ipv6.conf.far.disable_ipv6=1
ip -n "$near" addr add 198.18.0.2/24 dev near
for side in "$far far" "$near near"; do
    set -- $side
    ip -n "$1" link set lo up
    ip -n "$1" link set "$2" up
done
ip -n "$near" neigh add 198.18.0.1 lladdr 02:00:00:00:00:fe nud permanent dev near
ip netns exec "$far" sh -c 'echo 1 > /sys/class/net/far/queues/rx-0/rps_cpus'
ip netns exec "$near" sh -c 'echo 2 > /sys/class/net/near/queues/rx-0/rps_cpus'

# Always in the background, where `exec` makes the job's id that of the relay itself.
on_relay_cpu() { exec ip netns exec "$near" taskset -c 1 "$@"; }
blast() { # mode, label, more
    blast_mode=$1 blast_label=$2
    shift 2
    ip netns exec "$far" taskset -c 0 "$blast" "$blast_mode" --pairs "$work/pairs" --local 198.18.0.1 \
        --device far --relay-mac $near_mac --watch "$relay" --label "$blast_label" "$@"
}
wait_for() { n=0; until [ -s "$1" ]; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done; }
pss() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }
# What the kernel holds for sockets is no process's own: the machine's, compared with that before the calls. It
# counts what was freed as in use until it shrinks its caches.
caches='UDP UDPv6 sock_inode_cache eventpoll_epi eventpoll_pwq filp'
kernel() {
    for cache in $caches; do
        [ ! -w "/sys/kernel/slab/$cache/shrink" ] || echo 1 >"/sys/kernel/slab/$cache/shrink"
    done
    awk -v caches="$caches" 'index(" " caches " ", " " $1 " ") { kb += $2 * $4 / 1024 }
         END { print int(kb) }' /proc/slabinfo
}

start_trunkline() { # calls, others a second
    mkfifo "$work/in"
    on_relay_cpu "$load" --calls "$1" --churn "${2:-0}" --listen 198.18.0.2 --peer 198.18.0.1:40000:45000 \
        --pairs "$work/pairs" <"$work/in" 2>"$work/log" &
    relay=$!
    exec 9>"$work/in"
    wait_for "$work/pairs"
}
start_rtpengine() {
    on_relay_cpu rtpengine -f -E --table=-1 -i 198.18.0.2 -n 198.18.0.2:2223 -m 10000 -M 30000 \
        --num-threads=1 --log-level=3 >"$work/log" 2>&1 &
    relay=$!
    sleep 1
    ip netns exec "$near" taskset -c 0 "$blast" ng --control 198.18.0.2:2223 --calls "$1" --local 198.18.0.1 \
        --pairs "$work/pairs"
}
stop() {
    exec 9>&- || true
    kill "$relay" 2>/dev/null || true
    wait "$relay" 2>/dev/null || true
    relay=
    rm -f "$work/pairs" "$work/in"
}

: >"$work/runs"
run() { # relay, calls, mode
    sleep 1
    before=$(kernel)
    "start_$1" "$2"
    sleep 1
    held=$(($(kernel) - before))
    found=$(blast "$3" "$1 $3 $2" --seconds "$([ "$3" = max ] && echo 1.5 || echo 4)")
    echo "${found%\}},\"pss_kb\":$(pss "$relay"),\"kernel_kb\":$held}" | tee -a "$work/runs"
    stop
}

if [ $what = scale ]; then
    for calls in 10 100 500 1000 2000; do
        for name in trunkline rtpengine; do
            start_$name $calls
            sleep 1
            blast paced $name --rate 100000 --seconds 4 | tee -a "$work/runs"
            stop
        done
    done
    python3 - "$work/runs" <<'PYTHON'
import json, sys

print(f"\n{'100,000 packets/s':20}{'trunkline':>22}{'rtpengine':>22}")
print(f"{'calls':20}" + f"{'core us/packet':>16}{'x':>6}" * 2)
runs = [json.loads(line) for line in open(sys.argv[1])]
borne = [run for run in runs if run["limited_by"] != "relay"]
first = {run["label"]: run["core_us"] for run in reversed(borne)}

def cell(run):
    if run not in borne:
        return f"{'not borne':>16}{'':6}"
    return f"{run['core_us']:16.2f}{run['core_us'] / first[run['label']]:6.2f}"

for pair in zip(runs[::2], runs[1::2]):
    cells = [cell(run) for run in pair]
    noted = [f"  {run['label']}: limited by the {run['limited_by']}" for run in pair if run["limited_by"]]
    print(f"{pair[0]['calls']:<20}" + "".join(cells + noted))
PYTHON
    exit
fi
if [ $what = churn ]; then
    for others in 0 3333; do
        start_trunkline 200 $others
        sleep 1
        blast paced "200 calls beside $others/s" --seconds 12
        exec 9>&-
        wait "$relay"
        relay=
        cat "$work/log"
        stop
    done
    exit
fi

for _ in $(seq "$rounds"); do
    for calls in 500 1000; do
        for name in trunkline rtpengine; do run $name $calls max; done
    done
    for name in trunkline rtpengine; do run $name 1000 paced; done
done

python3 - "$work/runs" <<'PYTHON'
import json, statistics, sys

runs = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    runs.setdefault(run["label"], []).append(run)
median = lambda label, key: statistics.median(run[key] for run in runs[label])

def row(what, key, shape, *load):
    labels = [f"{relay} {' '.join(load)}" for relay in ("trunkline", "rtpengine")]
    ours, theirs = (median(label, key) for label in labels)
    note = ""
    for label in labels:
        by_us = sum(run["limited_by"] == "generator" for run in runs[label])
        if by_us and key in ("pps", "p99_us"):
            note += f"  {label.split()[0]}: limited by the generator in {by_us} of {len(runs[label])}"
    ratio = ours / theirs if theirs else 0
    print(f"{what:44}{shape.format(ours):>12}{shape.format(theirs):>12}{ratio:>9.2f}{note}")

print(f"\n{'medians':44}{'trunkline':>12}{'rtpengine':>12}{'ratio':>9}")
for calls in ("500", "1000"):
    row(f"packets/s at < 0.1 % loss, {calls} calls", "pps", "{:.0f}", "max", calls)
    row(f"CPU us/packet at that rate, process, {calls}", "process_us", "{:.2f}", "max", calls)
    row(f"CPU us/packet at that rate, core, {calls}", "core_us", "{:.2f}", "max", calls)
row("p99 latency us, 1000 calls at 50/s each way", "p99_us", "{:.0f}", "paced", "1000")
row("PSS kB, 1000 calls", "pss_kb", "{:.0f}", "paced", "1000")
row("kernel memory of sockets kB, 1000 calls", "kernel_kb", "{:.0f}", "paced", "1000")
PYTHON
