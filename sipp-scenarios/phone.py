"""baresip as a far end: a real telephone without a sound card, which speaks a tone, led over TCP."""

import json
import math
import os
import socket
import struct
import subprocess
import time
import wave

from harness import DIALLED, SIP_PORT, Failure, check, over_tls, spawn
from voice import recorded

CONTROL_PORT = 4444
MODULES = os.environ.get("BARESIP_MODULES", "/usr/lib/baresip/modules")


class Baresip:
    """One account, which answers every call at once; `srtp` is "srtp-mand" if it speaks nothing else.

    `certificate` is a file, of the certificate and its key, if it speaks TLS.
    """

    def __init__(self, case, address, port, user, hz, srtp="", certificate=None):
        self.folder, self.net, self.address = case.folder / "phone", case.network, address
        self.transport = transport = "tls" if certificate else case.transport
        self.folder.mkdir()
        play(self.folder / "tone.wav", hz)
        (self.folder / "config").write_text(CONFIGURATION.format(
            address=address, port=port, control=CONTROL_PORT, folder=self.folder, modules=MODULES))
        if certificate:
            with open(self.folder / "config", "a") as config:
                config.write(f"sip_certificate {certificate}\nsip_cafile {case.folder / 'ca.pem'}\n"
                             "sip_verify_server yes\n")
        (self.folder / "accounts").write_text(
            f"<sip:{user}@{address}:{self._port(port)};transport={transport}>;regint=0;answermode=auto;"
            f"audio_codecs=PCMU/8000/1;mediaenc={srtp}\n")
        (self.folder / "contacts").touch()
        with open(self.folder / "log", "wb") as log:
            command = ["baresip", "-4", "-f", str(self.folder), "-s", "-v"]
            self.process = spawn(command, stdout=log, stderr=log)
        self.control = self._connect()
        self.received = b""

    def _connect(self):
        for _ in range(100):
            check(self.process.poll() is None, f"baresip ended at once; see {self.folder / 'log'}")
            try:
                return socket.create_connection((self.address, CONTROL_PORT), 1)
            except OSError:
                time.sleep(0.05)
        raise Failure(f"baresip takes no commands; see {self.folder / 'log'}")

    def dial(self):
        self.command("dial", f"sip:{DIALLED}@{self.net.bridge}:{self._port(SIP_PORT)};transport={self.transport}")

    def _port(self, port):
        return over_tls(port) if self.transport == "tls" else port

    def command(self, command, parameters=""):
        text = json.dumps({"command": command, "params": parameters})
        self.control.sendall(f"{len(text)}:{text},".encode())

    def wait_for(self, event, timeout=5):
        """The next event of this type, such as CALL_ESTABLISHED; what came before it is forgotten."""
        self.control.settimeout(0.2)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            while (told := self._next()) is not None:
                if told.get("type") == event:
                    return told
            try:
                self.received += self.control.recv(65536)
            except TimeoutError:
                pass
        raise Failure(f"baresip told no {event} within {timeout} s; see {self.folder / 'log'}")

    def _next(self):
        """The first whole netstring of what was received."""
        length, colon, rest = self.received.partition(b":")
        if not colon or len(rest) <= int(length):
            return None
        self.received = rest[int(length) + 1:]
        return json.loads(rest[:int(length)])

    def heard(self, hz):
        """Seconds since it answered or resumed, and the share of `hz` in them, once it has been stopped."""
        recordings = sorted(self.folder.glob("dump-*-dec.wav"))
        check(recordings, f"baresip recorded nothing; see {self.folder / 'log'}")
        return recorded(recordings[-1], hz)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.close()
        self.process.terminate()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()


def play(file, hz, seconds=60, rate=8000):
    with wave.open(str(file), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        samples = (int(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(rate))
        wav.writeframes(struct.pack(f"<{rate}h", *samples) * seconds)


CONFIGURATION = """poll_method epoll
sip_listen {address}:{port}
call_max_calls 4
call_local_timeout 60
audio_source aufile,{folder}/tone.wav
audio_level no
rtp_ports 6000-6999
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
jitter_buffer_type fixed
jitter_buffer_delay 1-4
snd_path {folder}
module_path {modules}
module g711.so
module srtp.so
module aufile.so
module sndfile.so
module ctrl_tcp.so
module_app account.so
module_app menu.so
ctrl_tcp_listen {address}:{control}
"""
