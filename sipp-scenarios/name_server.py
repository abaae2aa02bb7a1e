"""dnsmasq as the name server that the bridge asks: one domain, found by NAPTR and SRV."""

from harness import CALLEE_PORT, check, kill, spawn, until

PORT = 5353
DOMAIN, TTL_S = "carrier.example", 1


class NameServer:
    """At the case's address of a proxy. `DOMAIN` is served by the case's transport alone: at the callee, else the second."""

    def __init__(self, case):
        net, self.address, self.log = case.network, f"{case.network.proxy}:{PORT}", case.folder / "dnsmasq.log"
        service = f"_sip._{case.transport}.{DOMAIN}"
        records = [f"--naptr-record={DOMAIN},10,10,s,SIP+D2{case.transport[0].upper()},,{service}"]
        for priority, (name, address) in enumerate({"one": net.callee, "two": net.second}.items()):
            records += [f"--srv-host={service},{name}.{DOMAIN},{CALLEE_PORT},{priority},1",
                        f"--host-record={name}.{DOMAIN},{address}"]
        command = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
                   f"--listen-address={net.proxy}", f"--port={PORT}", f"--local=/{DOMAIN}/", f"--local-ttl={TTL_S}", *records]
        with open(self.log, "wb") as log:
            self.process = spawn(command, stdout=log, stderr=log)
        until(self._has_started, f"dnsmasq; see {self.log}")

    def _has_started(self):
        check(self.process.poll() is None, f"dnsmasq ended at once; see {self.log}")
        return "started" in self.log.read_text()

    def stop(self):
        if self.process.poll() is None:
            kill(self.process)
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
