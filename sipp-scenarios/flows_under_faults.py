"""The flows over a network that fails: targets that vanish, refuse or restart, connections dead at the other end, lost packets.

Times are compared with the protocol's own: a target that refuses is left at once, one that says nothing after 4 s, the last
one after 10 s. How long the machine itself takes is given seconds, so that no case fails for that.
"""

import contextlib
import socket
import struct
import sys
import time

from agent import Callee, Caller
from case import TO_TRUNK, flow
from flows_by_hand import hang_up_by_caller
from harness import HERE, SIP_PORT, check, spawn
from faults import Faults, between
from name_server import DOMAIN, TTL_S, NameServer

AT_ONCE, AFTER_SILENCE, BEFORE_THE_LAST = 3, 3.5, 9
"""Seconds: less than any time-out; nearly the 4 s of a silent target; less than the 10 s of the last one and then some."""


@flow("blackholed-target", [TO_TRUNK], seconds=6)
def blackholed(case):
    case.start(targets=[case.network.callee, case.network.second])
    with Faults(case) as faults:
        faults.blackhole(f"ip daddr {case.network.callee}")
        waited = call_at_the_second(case)
        check(AFTER_SILENCE < waited < BEFORE_THE_LAST, f"the second target was tried after {waited:.1f} s")
        waited = call_at_the_second(case)
        check(waited < AT_ONCE, f"the next caller waited for the dead target too: {waited:.1f} s")
    case.finish(calls=2)


@flow("blackholed-target", [TO_TRUNK], name="blackholed-only-target", seconds=12)
def blackholed_alone(case):
    case.start()
    with Faults(case) as faults, Caller(case.network, case.transport) as caller:
        faults.blackhole(f"ip daddr {case.network.callee}")
        begun = time.monotonic()
        caller.invite().refused(503, timeout=20)
        waited = time.monotonic() - begun
        check(AFTER_SILENCE < waited, f"given up after {waited:.1f} s")
    case.finish(503, "trunkline", answered=False)


def refused(how, transports):
    @flow("refusing-target", [TO_TRUNK], transports, name=f"refusing-target-{how.replace(' ', '-')}")
    def refused_so(case):
        case.start(targets=[case.network.callee, case.network.second])
        with Faults(case) as faults:
            faults.refuse(f"ip daddr {case.network.callee} meta l4proto {case.transport}", how)
            waited = call_at_the_second(case)
            check(waited < AT_ONCE, f"the second target was tried after {waited:.1f} s")
        case.finish(legs=3)


for how in ("icmp port-unreachable", "icmp host-unreachable", "icmp admin-prohibited"):
    refused(how, ["udp", "tcp"])
refused("tcp reset", ["tcp"])


@flow("name-server", seconds=6)
def name_server(case):
    with NameServer(case) as server:
        case.start(targets=[f"sip:{DOMAIN}"], more=f'[dns]\nservers = ["{server.address}"]\n')
        with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
            call(caller, callee, "by-priority")
        waited = call_at_the_second(case)
        check(waited < AT_ONCE, f"the second server was tried after {waited:.1f} s")
    time.sleep(TTL_S + 1)
    waited = call_at_the_second(case)
    check(waited < BEFORE_THE_LAST, f"without its name server the bridge took {waited:.1f} s")
    case.finish(calls=3)


@flow("dead-connection", transports=["tcp"])
def dead_connection(case):
    """The only target's host was restarted; its answer to the next INVITE is that it knows nothing of the connection."""
    case.start()
    with Faults(case) as faults, Caller(case.network, "tcp") as caller, Callee(case.network, "tcp") as callee:
        call(caller, callee, "before")
        vanish(case, faults, callee)
        faults.heal()
        waited = call(caller, callee, "after")
        check(waited < AT_ONCE, f"the call reached it after {waited:.1f} s")
    case.finish(calls=2)


@flow("dead-connection", transports=["tcp"], name="dead-connection-forgotten", seconds=8)
def forgotten_connection(case):
    """A NAT or firewall on the way forgot the connection: what goes by it vanishes, a new one would do."""
    case.start()
    with Faults(case) as faults, Caller(case.network, "tcp") as caller, Callee(case.network, "tcp") as callee:
        call(caller, callee, "before")
        faults.blackhole(f"tcp sport {port_of_bridge(callee)} ip saddr {case.network.bridge}")
        waited = call(caller, callee, "after")
        check(waited < BEFORE_THE_LAST, f"the call reached it after {waited:.1f} s")
    case.finish(calls=2)


@flow("dead-connection", transports=["tcp"], name="dead-connection-in-a-call", seconds=8)
def forgotten_in_a_call(case):
    """The same while a call is up: its BYE is not lost, and the callee does not go on for ever."""
    case.start()
    with Faults(case) as faults, Caller(case.network, "tcp") as caller, Callee(case.network, "tcp") as callee:
        set_up(caller, callee, "call")
        faults.blackhole(f"tcp sport {port_of_bridge(callee)} ip saddr {case.network.bridge}")
        caller.request("BYE", 2).expect(200, "BYE")
        callee.answer(callee.wait_for("BYE", timeout=20), 200, "OK")
    case.finish()


@flow("restarted-target", seconds=3)
def restarted_target(case):
    """The only target is away for a while: who calls then is told at once, and who calls later is served at once."""
    case.start()
    with Faults(case), Caller(case.network, case.transport) as caller:
        with Callee(case.network, case.transport) as callee:
            call(caller, callee, "before")
        refused_meanwhile(caller)
        with Callee(case.network, case.transport) as callee:
            waited = call(caller, callee, "after")
            check(waited < AT_ONCE, f"the call reached it after {waited:.1f} s")
    case.finish(calls=2, refused=1)


@flow("restarted-target", transports=["udp"], name="restarted-target-in-a-call", seconds=3)
def restarted_target_in_a_call(case):
    """A call was up, of which the target knows nothing afterwards."""
    case.start()
    with Faults(case), Caller(case.network) as caller:
        with Callee(case.network) as callee:
            set_up(caller, callee, "standing")
        standing = caller.call_id, caller.to, caller.target
        refused_meanwhile(caller)
        with Callee(case.network) as callee:
            caller.call_id, caller.to, caller.target = standing
            caller.request("BYE", 2)
            callee.answer(callee.wait_for("BYE"), 481, "Call/Transaction Does Not Exist")
            caller.expect(200, "BYE")
    case.finish(calls=1, refused=1)


def refused_meanwhile(caller):
    begun = time.monotonic()
    caller.invite("meanwhile").refused(503)
    waited = time.monotonic() - begun
    check(waited < AT_ONCE, f"the caller was told after {waited:.1f} s")


@flow("lost-packets", transports=["udp"], seconds=12)
def lost_packets(case):
    """One in ten is lost each way, on both legs."""
    case.start(ports=(20000, 20199))
    with Faults(case) as faults:
        for peer in (case.network.caller, case.network.callee):
            for match in between(case.network.bridge, peer):
                faults.lose_every(10, f"{match} meta l4proto udp")
        case.callee("uas", "-m", "100")
        case.caller("uac", "-m", "20", "-r", "10", "-l", "20", "-timeout", "60").finish()
    case.finish(calls=20)


@flow("junk", transports=["udp"], seconds=7)
def junk(case):
    """Twenty thousand datagrams a second; whether it comes to as many is up to the machine."""
    case.start(ports=(20000, 20199))
    net = case.network
    flood = spawn([sys.executable, str(HERE / "junk.py"), net.stranger, net.bridge, "20000", "5"])
    case.agents.append(Background(flood))
    case.callee("uas", "-m", "60")
    case.caller("uac", "-m", "60", "-r", "20", "-timeout", "60").finish()
    check(case.bridge.metric("sip_rejected_total", reason="stranger") > 1000, "the flood did not come")
    case.finish(calls=60)


@flow("slow-connections", transports=["tcp"], seconds=12)
def slow_connections(case):
    """Connections that say nothing, or a byte a second: of a stranger, and of somebody at the caller's own address."""
    case.start()
    net = case.network
    with contextlib.ExitStack() as opened, Caller(net, "tcp") as caller, Callee(net, "tcp") as callee:
        slow = [opened.enter_context(connection(net, source)) for source in (net.stranger, net.caller) for _ in range(200)]
        waited = call(caller, callee, "meanwhile")
        check(waited < AT_ONCE, f"the call reached the callee after {waited:.1f} s")
        begun = time.monotonic()
        while standing := [it for it in slow if not is_closed(it)]:
            check(time.monotonic() - begun < 25, f"{len(standing)} slow connections stand")
            for it in standing[::2]:
                with contextlib.suppress(OSError):
                    it.send(b"I")
            time.sleep(1)
        call(caller, callee, "afterwards")
    case.finish(calls=2)


def connection(net, source):
    it = socket.socket()
    it.bind((source, 0))
    it.connect((net.bridge, SIP_PORT))
    it.setblocking(False)
    return it


def is_closed(it):
    try:
        return it.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Background:
    """A process that the case ends when it is over."""

    def __init__(self, process):
        self.process, self.name = process, "junk"


def set_up(caller, callee, call_id):
    """Seconds until the callee had the INVITE, and the call is answered."""
    begun = time.monotonic()
    caller.invite(call_id)
    invite = callee.wait_for("INVITE", timeout=20)
    waited = time.monotonic() - begun
    callee.accept(invite)
    caller.answered()
    callee.wait_for("ACK")
    return waited


def call(caller, callee, call_id):
    waited = set_up(caller, callee, call_id)
    hang_up_by_caller(caller, callee)
    return waited


def call_at_the_second(case):
    """Seconds until the second target had the INVITE of a call that it then serves."""
    net, transport = case.network, case.transport
    with Caller(net, transport) as caller, Callee(net, transport, net.second) as callee:
        return call(caller, callee, f"call-{time.monotonic_ns()}")


def vanish(case, faults, callee):
    """The callee's connections are no more, and nobody hears of it."""
    for match in between(case.network.bridge, case.network.callee):
        faults.blackhole(match)
    for connection in callee.connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    callee.disconnect()


def port_of_bridge(callee):
    """Of the connection that the bridge opened to it."""
    return next(iter(callee.connections)).getpeername()[1]
