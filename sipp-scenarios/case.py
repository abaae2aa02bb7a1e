"""One flow in one direction over one transport: a bridge, who calls, who is called, what is true afterwards.

`to_retell`: the caller plays a trunk and the callee Retell; `to_trunk`: the other way round. Every case ends with
the checks of `Case.finish`.
"""

import shutil
import time

from certificates import issue
from harness import CALLEE_PORT, CALLER_PORT, HERE, SIP_PORT, TARGET, Bridge, Network, Sipp, check, over_tls

TO_RETELL, TO_TRUNK = "to_retell", "to_trunk"
DIRECTIONS, TRANSPORTS = (TO_RETELL, TO_TRUNK), ("udp", "tcp")
CALLER = "+14155550150"

_FLOWS = []


def flow(folder, directions=DIRECTIONS, transports=TRANSPORTS, seconds=2, name=None):
    """Declares a flow of `folder`; `seconds` is what it takes about, the longest being started first."""
    def declare(function):
        _FLOWS.append((folder, name or folder, directions, transports, seconds, function))
        return function
    return declare


def cases():
    number = 0
    for folder, name, directions, transports, seconds, function in _FLOWS:
        for direction in directions:
            for transport in transports:
                number += 1
                title = f"{name} {direction} {transport}"
                yield Case(number, folder, title, direction, transport, seconds, function)


class Case:
    def __init__(self, number, flow, name, direction, transport, seconds, function):
        self.flow, self.name, self.direction, self.transport = flow, name, direction, transport
        self.seconds, self.function, self.network = seconds, function, Network(number)
        self.folder = TARGET / "sipp-scenarios" / name.replace(" ", "-")
        self.bridge, self.agents = None, []

    def run(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self.function(self)
        finally:
            for agent in self.agents:
                if agent.process.poll() is None:
                    agent.process.kill()
            if self.bridge and self.bridge.process.poll() is None:
                self.bridge.process.kill()

    def start(self, targets=None, retell="trust_address = true\nchallenge = false", trunk="", more="",
              ports=(20000, 20039), phone=None, tls=False):
        """The bridge; `targets` are the callee's addresses or URIs, `retell` and `trunk` further keys of these peers.

        `phone` is "caller" or "callee" if that is baresip, which opens connections from whatever address the
        system picks; with `tls` it is called, and calls, over TLS.
        """
        net = self.network
        uris = [self._uri(address, CALLEE_PORT, tls and phone == "callee") for address in targets or [net.callee]]
        callee = f"[{', '.join(uris)}]" if len(uris) > 1 else uris[0]
        caller = self._uri(net.caller, CALLER_PORT, tls and phone == "caller")
        encrypted = ", " + f'"tls:{net.bridge}:{over_tls(SIP_PORT)}"' if tls else ""
        if tls:
            trusted = [issue(self.folder, name, getattr(net, name)) for name in ("bridge", phone)]
            (self.folder / "ca.pem").write_text("".join(file.read_text() for file in trusted))
            more += '[tls]\ncertificate = "bridge.pem"\nkey = "bridge.key"\nca = "ca.pem"\n'
        anywhere = {phone: ', "127.0.0.1/32"'}
        callees = f'["{net.callee}/32", "{net.second}/32"{anywhere.get("callee", "")}]'
        callers = f'["{net.caller}/32"{anywhere.get("caller", "")}]'
        to_retell = self.direction == TO_RETELL
        self.bridge = Bridge(self.folder, f"""
[sip]
listen = ["udp:{net.bridge}:{SIP_PORT}", "tcp:{net.bridge}:{SIP_PORT}"{encrypted}]

[media]
listen = ["{net.bridge}"]
ports = {list(ports)}

[http]
listen = "{net.bridge}:8080"

[records]
file = "calls.jsonl"

[[retell]]
name = "retell"
uri = {callee if to_retell else caller}
allow = {callees if to_retell else callers}
{retell}

[[trunks]]
name = "carrier"
uri = {caller if to_retell else callee}
allow = {callers if to_retell else callees}
{trunk}

{more}
""", net.bridge)

    def _uri(self, address, port, tls):
        if address.startswith("sip:"):
            return f'"{address}"'
        transport, port = ("tls", over_tls(port)) if tls else (self.transport, port)
        return f'"sip:{address}:{port};transport={transport}"'

    def caller(self, role="uac", *options, remote=None, transport=None):
        """Calls the bridge, if no other `remote` is named, over the transport of the case if there is no other."""
        return self._agent(role, self.network.caller, CALLER_PORT, options, transport, remote or self.network.bridge)

    def callee(self, role="uas", *options, address=None, transport=None):
        return self._agent(role, address or self.network.callee, CALLEE_PORT, options, transport)

    def _agent(self, role, address, port, options, transport, remote=None):
        scenario = HERE / self.flow / f"{role}.xml"
        agent = Sipp(self.folder, role, scenario, address, port, transport or self.transport, remote, options)
        self.agents.append(agent)
        if remote is None:
            agent.wait_until_it_listens(address, port)
        return agent

    def call(self, caller="uac", callee="uas", caller_options=(), callee_options=()):
        """Lets both play their scenarios to the end."""
        callee = self.callee(callee, *callee_options)
        caller = self.caller(caller, *caller_options)
        caller.finish()
        callee.finish()
        return caller, callee

    def finish(self, sip_code=200, ended_by="caller", answered=True, legs=2, calls=1, refused=0):
        """Nothing is left of the calls, nothing of the caller reached the callee, the last record is right.

        `calls` ended like the last one; `refused` are further ones that the bridge did not take.
        """
        self._nothing_is_left(calls + refused)
        self._nothing_leaked()
        unanswered = {"caller": "cancelled", "callee": "refused", "trunkline": "failed"}
        result = "answered" if answered else unanswered[ended_by]
        ended = self.bridge.metric("calls_total", direction=self.direction, result=result)
        check(ended == calls, f"calls_total counts {ended:.0f} {result} calls {self.direction}, not {calls}")
        self.bridge.stop()
        records = self.bridge.records()
        ended = calls + refused
        check(len(records) == ended, f"{len(records)} call records, not {ended}: {records}")
        if not calls:
            return None
        record = records[-1]
        seen = (record["direction"], record["sip_code"], record["ended_by"], record["answered"] is not None,
                len(record["legs"]))
        wanted = (self.direction, sip_code, ended_by, answered, legs)
        check(seen == wanted, f"the record says {seen}, not {wanted}: {record}")
        return record

    def _nothing_is_left(self, calls):
        deadline = time.monotonic() + 5
        while self.bridge.metric("calls_active") or self.bridge.metric("media_streams_active"):
            check(time.monotonic() < deadline, f"a call or stream is left: {self.bridge.get('/v1/calls')}")
            time.sleep(0.05)
        total = self.bridge.metric("calls_total")
        check(total == calls, f"calls_total counts {total:.0f} calls, not {calls}")

    def _nothing_leaked(self):
        """A callee sees the bridge's addresses and identifiers, never the caller's."""
        callers = [agent for agent in self.agents if agent.name.startswith("uac")]
        identifiers = {message.one("Call-ID") for agent in callers for message in agent.messages()}
        for agent in self.agents:
            for message in agent.messages() if agent.name.startswith("uas") else []:
                check(self.network.caller not in message.text, f"the caller's address is in {message.text}")
                check(message.one("Call-ID") not in identifiers, f"the caller's Call-ID is in {message.text}")
