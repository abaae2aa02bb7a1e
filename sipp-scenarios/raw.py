"""SIP written by hand over plain sockets, for what SIPp can't do: knock as a stranger, replay credentials."""

import hashlib
import re
import socket
import time

from harness import CALLER_PORT, DIALLED, SIP_PORT, Failure, Message, check


def stranger_over_udp(net):
    """From an address that no peer allows nothing comes back, whatever is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((net.stranger, CALLER_PORT))
        for knock in knocks(net, "UDP"):
            stranger.sendto(knock, (net.bridge, SIP_PORT))
        stranger.settimeout(2)
        try:
            answer = stranger.recv(4096)
        except TimeoutError:
            return
        raise Failure(f"a stranger got {answer[:200]!r}")


def stranger_over_tcp(net):
    """Nothing comes back, and the connection is closed once a message was complete."""
    for knock in knocks(net, "TCP"):
        with socket.socket() as stranger:
            stranger.bind((net.stranger, 0))
            stranger.connect((net.bridge, SIP_PORT))
            stranger.sendall(knock)
            stranger.settimeout(2)
            try:
                answer = stranger.recv(4096)
            except ConnectionError:
                continue
            except TimeoutError:
                check(not is_request(knock), f"the connection stayed open after {knock[:40]!r}")
                continue
            check(not answer, f"a stranger got {answer[:200]!r} for {knock[:40]!r}")


def knocks(net, transport):
    yield from (request(net, net.stranger, method, transport) for method in ("OPTIONS", "INVITE", "REGISTER", "BYE", "ACK", "BREW"))
    yield request(net, net.stranger, "INVITE", transport, extra="Max-Forwards: nonsense\r\nCSeq: x\r\n")
    yield b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: bridge\r\n\r\n"
    yield bytes(range(256))


def is_request(knock):
    return b" SIP/2.0\r\n" in knock


def options(net, transport):
    """The answer to an OPTIONS of a recognised peer."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as peer:
        peer.bind((net.caller, 0))
        peer.connect((net.bridge, SIP_PORT))
        peer.settimeout(3)
        peer.send(request(net, net.caller, "OPTIONS", transport.upper(), port=peer.getsockname()[1]))
        return Message(False, peer.recv(65536).decode())


def request(net, source, method, transport, extra="", port=CALLER_PORT):
    return (f"{method} sip:{DIALLED}@{net.bridge}:{SIP_PORT} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {source}:{port};branch=z9hG4bK-{method}-{time.monotonic_ns()}\r\n"
            f"From: <sip:+14155550150@{source}>;tag=1\r\nTo: <sip:{DIALLED}@{net.bridge}>\r\n"
            f"Call-ID: {method}-{time.monotonic_ns()}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{source}:{port}>\r\n{extra}Content-Length: 0\r\n\r\n").encode()


class Caller:
    """A user agent over UDP that holds just enough state to call with digest credentials and to present them twice."""

    def __init__(self, net):
        self.net, self.socket = net, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((net.caller, CALLER_PORT))
        self.socket.settimeout(5)
        self.uri = f"sip:{DIALLED}@{net.bridge}:{SIP_PORT}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def invite(self, branch, call_id="one", cseq=1, credentials=None):
        self.branch, self.call_id = branch, call_id
        extra = f"Authorization: {credentials}\r\n" if credentials else ""
        self._send("INVITE", self.uri, branch, f"<{self.uri}>", cseq, extra, SDP.format(address=self.net.caller))
        return self

    def expect(self, code):
        """The final response, which must be `code`; a failure is acknowledged."""
        while True:
            response = Message(False, self.socket.recv(65536).decode())
            status = response.status("INVITE")
            if status is None or status < 200:
                continue
            check(status == code, f"{response.start}, not {code}")
            if status >= 300:
                self._send("ACK", self.uri, self.branch, response.one("To"), response.one("CSeq").split()[0])
            return response

    def end(self, answer, cseq):
        """Acknowledges `answer` and hangs up."""
        target = re.search("<(.*?)>", answer.one("Contact")).group(1)
        self._send("ACK", target, "ack", answer.one("To"), cseq)
        time.sleep(0.3)
        self._send("BYE", target, "bye", answer.one("To"), cseq + 1)
        while True:
            response = Message(False, self.socket.recv(65536).decode())
            if response.status("BYE"):
                return check(response.status("BYE") == 200, f"{response.start} to BYE")

    def authorization(self, challenge, username, password):
        """As LiveKit computes it; with qop where that was asked for."""
        fields = parameters(challenge.one("WWW-Authenticate"))
        qop = ', qop=auth, nc=00000001, cnonce="0a4f113b"' if "auth" in fields.get("qop", "") else ""
        opaque = f', opaque="{fields["opaque"]}"' if "opaque" in fields else ""
        credentials = (f'Digest username="{username}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", '
                       f'uri="{self.uri}", algorithm=MD5{qop}{opaque}')
        return f'{credentials}, response="{digest(credentials, password, "INVITE")}"'

    def _send(self, method, uri, branch, to, cseq, extra="", body=""):
        net = self.net
        content = "Content-Type: application/sdp\r\n" if body else ""
        self.socket.sendto((f"{method} {uri} SIP/2.0\r\n"
                            f"Via: SIP/2.0/UDP {net.caller}:{CALLER_PORT};branch=z9hG4bK-{branch}\r\n"
                            f"From: <sip:+14155550150@{net.caller}>;tag=raw-{self.call_id}\r\nTo: {to}\r\n"
                            f"Call-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
                            f"Contact: <sip:+14155550150@{net.caller}:{CALLER_PORT}>\r\n{extra}{content}"
                            f"Content-Length: {len(body)}\r\n\r\n{body}").encode(), (net.bridge, SIP_PORT))


def digest(credentials, password, method):
    """The `response` that belongs into these credentials (RFC 7616 §3.4.1), with MD5."""
    fields = parameters(credentials)
    check(fields.get("algorithm", "MD5").upper() == "MD5", f"not MD5: {credentials}")
    secret = md5(f"{fields['username']}:{fields['realm']}:{password}")
    once = f"{fields['nc']}:{fields['cnonce']}:{fields['qop']}:" if "qop" in fields else ""
    return md5(f"{secret}:{fields['nonce']}:{once}" + md5(f"{method}:{fields['uri']}"))


def parameters(header):
    return {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', header)}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


SDP = ("v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
       "m=audio 6000 RTP/AVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
       "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n")
