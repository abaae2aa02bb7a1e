"""What the runners of this folder share: a bridge under a generated configuration, SIPp on either side, and what both leave behind.

Every case has loopback addresses of its own, so that cases run beside each other and beside other runs on the same machine.
Python's standard library only.
"""

import atexit
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# TRUNKLINE names another build to run, which is then taken as it is.
BINARY = Path(os.environ.get("TRUNKLINE", TARGET / "release" / "trunkline")).resolve()

SIP_PORT, HTTP_PORT, CALLER_PORT, CALLEE_PORT = 5060, 8080, 5070, 5080

# What the bridge reads from its environment would change what the cases configure.
OVERRIDES = ("PSTN_CARRIER", "RETELL_CARRIER", "SIP_USERNAME", "SIP_PASSWORD", "COUNTRY_CODE", "OVERRIDE_CALLER_ID",
             "CALLER_ID_CAROUSEL", "LOGLEVEL", "HTTP_PORT")


class Failure(Exception):
    """A case did not go as it must; the text says what was seen."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def until(found, what, timeout=10):
    """What `found` returns, once it is something."""
    deadline = time.monotonic() + timeout
    while not (it := found()):
        check(time.monotonic() < deadline, f"no {what} within {timeout} s")
        time.sleep(0.05)
    return it


def over_tls(port):
    """The port beside `port` that is for TLS (RFC 3261 §19.1.2), which is how baresip has it too."""
    return port + 1


PACKAGES = {"sipp": "sip-tester", "baresip": "baresip-core", "kamailio": "kamailio", "dnsmasq": "dnsmasq-base",
            "openssl": "openssl", "ip": "iproute2", "nft": "nftables", "unshare": "util-linux"}


def require_tools(*tools):
    """Ends the run when one of them is missing; builds the bridge."""
    for tool in tools:
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed: apt-get install {PACKAGES[tool]}, or run tests/run, which does that")
    if "TRUNKLINE" not in os.environ:
        subprocess.run(["cargo", "build", "--locked", "--release", "--quiet"], cwd=ROOT, check=True)


_children = set()


def spawn(command, **options):
    """Starts a process that does not outlive this one; with `start_new_session` its children don't either."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    _children.add(process)
    return process


@atexit.register
def _stop_children():
    for process in _children:
        if process.poll() is None:
            kill(process)


def kill(process):
    """With its children, where it has a session of its own."""
    if os.getpgid(process.pid) == process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Network:
    """The loopback addresses of one case: 127.x.y.1 is the bridge, .2 the caller, .3 and .4 callees, .5 a proxy, .9 a
    stranger."""

    def __init__(self, number):
        block = 64 + os.getpid() % 128
        prefix = f"127.{block + number // 250}.{number % 250}."
        self.bridge, self.caller, self.callee, self.second, self.proxy, self.stranger = (prefix + last for last in "123459")


class Bridge:
    """The release binary with a configuration of its own."""

    def __init__(self, folder, config, address, prefix=()):
        self.folder, self.address = folder, address
        self.http = f"http://{address}:{HTTP_PORT}"
        (folder / "config.toml").write_text(config)
        environment = {name: value for name, value in os.environ.items() if name not in OVERRIDES}
        with open(folder / "bridge.log", "wb") as log:
            self.process = spawn([*prefix, str(BINARY), "serve", "-c", str(folder / "config.toml")], cwd=folder,
                                 env=environment, stdout=log, stderr=subprocess.STDOUT)
        self._wait_until_ready()

    def _wait_until_ready(self):
        for _ in range(200):
            check(self.process.poll() is None, f"the bridge ended at once: {self.tail()}")
            try:
                if self.get("/readyz") is not None:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failure(f"the bridge was not ready within 10 s: {self.tail()}")

    def get(self, path):
        with urllib.request.urlopen(self.http + path, timeout=5) as answer:
            return answer.read().decode()

    def delete(self, path):
        urllib.request.urlopen(urllib.request.Request(self.http + path, method="DELETE"), timeout=5).close()

    def metrics(self):
        """`name{labels}` to value."""
        lines = (line for line in self.get("/metrics").splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def metric(self, name, **labels):
        """The sum over all series of `name` that bear `labels`."""
        total = 0
        for series, value in self.metrics().items():
            family, _, rest = series.partition("{")
            if family == f"trunkline_{name}" and all(f'{key}="{wanted}"' in rest for key, wanted in labels.items()):
                total += value
        return total

    def records(self):
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def stop(self):
        """Drains; with no call left that takes no time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"the bridge did not end within 15 s of SIGTERM: {self.tail()}") from None
        check("panicked" not in self.said(), f"the bridge panicked: {self.tail()}")
        check(code == 0, f"the bridge ended with {code}: {self.tail()}")

    def tail(self, lines=5):
        return " | ".join(self.said().splitlines()[-lines:])

    def said(self):
        return (self.folder / "bridge.log").read_text(errors="replace")


class Sipp:
    """One SIPp process that makes or takes calls, one by default."""

    def __init__(self, folder, name, scenario, address, port, transport, remote=None, options=(), prefix=(), trace=True):
        self.folder, self.name, self.transport = folder, name, transport
        to = [f"{remote}:{SIP_PORT}", "-s", DIALLED] if remote else []
        self.process = spawn(
            [*prefix, "sipp", "-sf", str(scenario), *to, "-i", address, "-p", str(port), "-mi", address,
             "-t", {"udp": "u1", "tcp": "t1"}[transport], "-nostdin", *(options or ONE_CALL),
             "-trace_err", "-error_file", f"{name}.err",
             *(["-trace_msg", "-message_file", f"{name}.msg"] if trace else [])],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait_until_it_listens(self, address, port):
        place = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X} 00000000:0000"
        deadline = time.monotonic() + 10
        while place not in Path("/proc/net", self.transport).read_text():
            check(self.process.poll() is None, f"{self.name} ended at once; {self.story()}")
            check(time.monotonic() < deadline, f"{self.name} does not listen; {self.story()}")
            time.sleep(0.02)

    def finish(self, timeout=60):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"{self.name} did not end within {timeout} s; {self.story()}") from None
        check(code == 0, f"{self.name} ended with {code}; {self.story()}")

    def story(self):
        """What it complained of, and the messages it saw, in one line each."""
        file = self.folder / f"{self.name}.err"
        errors = file.read_text(errors="replace").splitlines()[:3] if file.exists() else []
        seen = [f"{'->' if message.sent else '<-'} {message.start}" for message in self.messages()]
        return "\n      ".join([*errors, *seen[-20:]])

    def messages(self):
        file = self.folder / f"{self.name}.msg"
        return list(read_messages(file.read_bytes().decode(errors="replace"))) if file.exists() else []

    def got(self, method):
        """Requests, retransmissions included."""
        return [message for message in self.messages() if not message.sent and message.is_request(method)]

    def statuses(self, method="INVITE"):
        """Of the responses that came to `method`, a repeated one once."""
        codes = []
        for message in self.messages():
            code = message.status(method)
            if code and not message.sent and code not in codes[-1:]:
                codes.append(code)
        return codes

    def response(self, code, method="INVITE"):
        """The first response with `code` that came to `method`."""
        found = [message for message in self.messages() if not message.sent and message.status(method) == code]
        check(found, f"{self.name} got no {code} to {method}; {self.story()}")
        return found[0]


class Message:
    """A SIP message as SIPp's message trace shows it."""

    def __init__(self, sent, text):
        self.sent, self.text = sent, text
        head, _, self.body = text.replace("\r\n", "\n").partition("\n\n")
        self.start, *lines = head.split("\n")
        self.headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def all(self, name):
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        check(len(values) == 1, f"{len(values)} {name} headers in {self.start}")
        return values[0]

    def is_request(self, method):
        return self.start.startswith(method + " ")

    def status(self, method):
        if self.start.startswith("SIP/2.0 ") and self.one("CSeq").endswith(" " + method):
            return int(self.start.split()[1])
        return None

    def uri(self):
        return self.start.split()[1]

    def media(self):
        """The payload types of the m= line of audio."""
        line = re.search(r"^m=audio (\d+) RTP/AVP (.*)$", self.body, re.M)
        check(line, f"no m=audio in {self.start}: {self.body!r}")
        return line.group(2).split()


def read_messages(trace):
    for block in re.split(r"^-{40,} .*\n", trace, flags=re.M):
        head = re.match(r"(?:UDP|TCP) message (sent|received) .*:\n\n", block)
        if head:
            yield Message(head.group(1) == "sent", block[head.end():].rstrip("\n") + "\n")


DIALLED = "+14155550101"
ONE_CALL = ("-m", "1", "-timeout", "60")
