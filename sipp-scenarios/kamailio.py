"""Kamailio as what stands between a telephone and the bridge: registrar and proxy, asked by JSON-RPC what it knows."""

import json
import socket

from harness import HERE, SIP_PORT, Failure, check, kill, spawn, until

CONTROL_PORT = 8090


class Kamailio:
    """Under `kamailio/kamailio.cfg`, at the case's address of a proxy; `defines` are for that file."""

    def __init__(self, case, *defines):
        self.net, self.folder = case.network, case.folder / "kamailio"
        self.folder.mkdir()
        addresses = [f"{transport}:{self.net.proxy}:{SIP_PORT}" for transport in ("udp", "tcp")]
        defined = [f'TRUNKLINE="{self.net.bridge}"', f'SECOND="{self.net.second}"',
                   f'CONTROL="udp:{self.net.proxy}:{CONTROL_PORT}"', *defines]
        self.command = ["kamailio", "-DD", "-E", "-f", str(HERE / "kamailio" / "kamailio.cfg"), "-m", "16", "-M", "4",
                        "-w", str(self.folder), "-Y", str(self.folder),
                        *(part for address in addresses for part in ("-l", address)),
                        *(part for define in defined for part in ("-A", define))]
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = spawn(self.command, stdout=log, stderr=log, start_new_session=True)
        until(self._is_ready, f"answer from Kamailio; see {self.folder / 'log'}")

    def _is_ready(self):
        check(self.process.poll() is None, f"Kamailio ended at once; see {self.folder / 'log'}")
        try:
            return self.ask("core.version")
        except OSError:
            return None

    def stop(self):
        """At once, as if its power failed: it takes leave of nobody, and forgets what was registered."""
        if self.process.poll() is None:
            kill(self.process)

    def ask(self, method):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            control.settimeout(2)
            control.connect((self.net.proxy, CONTROL_PORT))
            control.send(json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode())
            answer = json.loads(control.recv(65536))
        if "result" not in answer:
            raise Failure(f"Kamailio answers {answer} to {method}")
        return answer["result"]

    def bindings(self):
        """What is registered."""
        accounts = [account["Info"] for domain in self.ask("ul.dump")["Domains"] for account in domain["Domain"]["AoRs"]]
        return [contact["Contact"] for account in accounts for contact in account["Contacts"]]

    def binding(self, timeout=10):
        """The only one."""
        def found():
            bindings = self.bindings()
            check(len(bindings) <= 1, f"{len(bindings)} bindings: {bindings}")
            return bindings
        return until(found, "binding", timeout)[0]

    def renewed(self, first):
        """What took the place of `first`, which must not have expired before."""
        def found():
            it = self.binding(timeout=0)
            return it if it["CSeq"] > first["CSeq"] else None
        return until(found, "renewed binding")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
