"""A user agent written by hand over plain sockets, for what SIPp can't do: wrong requests, races, own connections.

It sends what it is told and keeps what comes until somebody asks for it. Nothing is repeated, over UDP neither:
loopback loses nothing.
"""

import re
import select
import socket
import time

from digest import credentials
from harness import CALLEE_PORT, CALLER_PORT, DIALLED, SIP_PORT, Failure, Message, check

CALLER = "+14155550150"


class Agent:
    """Listens at its address. Over TCP it sends by its newest connection, and answers by that of the request."""

    def __init__(self, net, address, port, transport):
        self.net, self.address, self.port, self.transport = net, address, port, transport
        self.inbox, self.connections = [], {}
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        if transport == "tcp":
            self.socket.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()
        self.socket.close()

    def connect(self):
        """Opens one more connection to the bridge."""
        connection = socket.socket()
        connection.bind((self.address, 0))
        connection.connect((self.net.bridge, SIP_PORT))
        self.connections[connection] = b""
        return connection

    def disconnect(self):
        for connection in self.connections:
            connection.close()
        self.connections.clear()

    def send(self, text, connection=None):
        if self.transport == "udp":
            return self.socket.sendto(text.encode(), (self.net.bridge, SIP_PORT))
        own = list(self.connections)
        (connection or (own[-1] if own else self.connect())).sendall(text.encode())

    def answer(self, request, code, phrase="", body="", connection=None, extra=""):
        """By the connection the request came on, if no other is named."""
        to = request.one("To")
        tag = "" if code == 100 or ";tag=" in to else ";tag=theirs"
        vias = "".join(f"Via: {via}\r\n" for via in request.all("Via"))
        typed = "Content-Type: application/sdp\r\n" if body else ""
        self.send(f"SIP/2.0 {code} {phrase or 'Whatever'}\r\n{vias}"
                  f"From: {request.one('From')}\r\nTo: {to}{tag}\r\n"
                  f"Call-ID: {request.one('Call-ID')}\r\nCSeq: {request.one('CSeq')}\r\n"
                  f"Contact: <sip:{self.address}:{self.port};transport={self.transport}>\r\n"
                  f"{extra}{typed}Content-Length: {len(body)}\r\n\r\n{body}",
                  connection or request.connection)

    def wait(self, wanted, what, timeout=5):
        """Takes the first message that is `wanted`, whatever else came before it."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.inbox:
                if wanted(message):
                    self.inbox.remove(message)
                    return message
            left = deadline - time.monotonic()
            check(left > 0, f"no {what} within {timeout} s, but {[message.start for message in self.inbox]}")
            self._receive(left)

    def wait_for(self, method, timeout=5):
        return self.wait(lambda message: message.is_request(method), method, timeout)

    def nothing_comes(self, method, seconds):
        """For so long no such request does."""
        try:
            request = self.wait_for(method, seconds)
        except Failure:
            return
        raise Failure(f"it was sent {request.text}")

    def _receive(self, timeout):
        for ready in select.select([self.socket, *self.connections], [], [], timeout)[0]:
            if ready is not self.socket:
                self._read(ready)
            elif self.transport == "udp":
                self._keep(ready.recv(65536), None)
            else:
                self.connections = {ready.accept()[0]: b"", **self.connections}

    def _read(self, connection):
        try:
            came = connection.recv(65536)
        except ConnectionError:
            came = b""
        if not came:
            connection.close()
            del self.connections[connection]
            return
        buffer = self.connections[connection] + came
        while head := re.match(rb"(?:\r\n)*([^\r\n].*?\r\n\r\n)", buffer, re.S):
            length = re.search(rb"^Content-Length *: *(\d+)", head.group(1), re.M | re.I)
            end = head.end() + int(length.group(1) if length else 0)
            if len(buffer) < end:
                break
            self._keep(buffer[head.start(1):end], connection)
            buffer = buffer[end:]
        self.connections[connection] = buffer

    def _keep(self, received, connection):
        message = Message(False, received.decode(errors="replace"))
        message.connection = connection
        self.inbox.append(message)


class Caller(Agent):
    """Calls `DIALLED` through the bridge; one dialog at a time."""

    def __init__(self, net, transport="udp"):
        super().__init__(net, net.caller, CALLER_PORT, transport)
        self.uri = f"sip:{DIALLED}@{net.bridge}:{SIP_PORT}"

    def invite(self, call_id="one", cseq=1, **parts):
        self.call_id, self.to, self.target = call_id, f"<{self.uri}>", self.uri
        parts.setdefault("body", sdp(self.address))
        return self.request("INVITE", cseq, **parts)

    def request(self, method, cseq, branch=None, uri=None, to=None, extra="", body="",
                content="application/sdp", max_forwards=70):
        self.branch = f"z9hG4bK-{self.call_id}-{branch or f'{method}-{cseq}'}"
        typed = f"Content-Type: {content}\r\n" if body else ""
        self.send(f"{method} {uri or self.target} SIP/2.0\r\n"
                  f"Via: SIP/2.0/{self.transport.upper()} {self.address}:{self.port};branch={self.branch}\r\n"
                  f"From: <sip:{CALLER}@{self.address}>;tag=mine\r\nTo: {to or self.to}\r\n"
                  f"Call-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: {max_forwards}\r\n"
                  f"Contact: <sip:{CALLER}@{self.address}:{self.port};transport={self.transport}>\r\n"
                  f"{extra}{typed}Content-Length: {len(body)}\r\n\r\n{body}")
        return self

    def expect(self, code, method="INVITE", ignored=(100,), timeout=5):
        """The next response but those `ignored`, which must be `code`; its tag and Contact are kept."""
        of_mine = lambda it: it.one("Call-ID") == self.call_id and it.status(method) not in (None, *ignored)
        response = self.wait(of_mine, f"{code} to {method}", timeout)
        check(response.status(method) == code, f"{response.start}, not {code}, to {method}")
        if method == "INVITE" and "tag=" in response.one("To"):
            self.to = response.one("To")
        if response.all("Contact") and code < 300:
            self.target = re.search("<(.*?)>", response.one("Contact")).group(1)
        return response

    def refused(self, code, cseq=1, timeout=5):
        """The final response to the INVITE sent last, acknowledged in its transaction (RFC 3261 §17.1.1.3)."""
        branch = self.branch.removeprefix(f"z9hG4bK-{self.call_id}-")
        response = self.expect(code, timeout=timeout)
        self.request("ACK", cseq, branch=branch, uri=self.uri)
        return response

    def answered(self, cseq=1):
        response = self.expect(200, ignored=(100, 180, 183))
        self.request("ACK", cseq)
        return response

    def hang_up(self, cseq=2):
        self.request("BYE", cseq).expect(200, "BYE")

    def authorization(self, challenge, username, password):
        return credentials(challenge.one("WWW-Authenticate"), username, password, "INVITE", self.uri)


class Callee(Agent):
    def __init__(self, net, transport="udp", address=None):
        super().__init__(net, address or net.callee, CALLEE_PORT, transport)

    def accept(self, invite, connection=None):
        self.answer(invite, 200, "OK", sdp(self.address, 7000), connection)

    def request(self, method, cseq, invite, body=""):
        """Inside the dialog of `invite`."""
        typed = "Content-Type: application/sdp\r\n" if body else ""
        target = re.search("<(.*?)>", invite.one("Contact")).group(1)
        self.send(f"{method} {target} SIP/2.0\r\n"
                  f"Via: SIP/2.0/{self.transport.upper()} {self.address}:{self.port};branch=z9hG4bK-their-{method}-{cseq}\r\n"
                  f"From: {invite.one('To')};tag=theirs\r\nTo: {invite.one('From')}\r\n"
                  f"Call-ID: {invite.one('Call-ID')}\r\nCSeq: {cseq} {method}\r\n"
                  f"Contact: <sip:{self.address}:{self.port};transport={self.transport}>\r\n"
                  f"Max-Forwards: 70\r\n{typed}Content-Length: {len(body)}\r\n\r\n{body}", invite.connection)

    def reinvite(self, cseq, invite, body):
        self.request("INVITE", cseq, invite, body)
        answer = self.wait(lambda it: (it.status("INVITE") or 0) >= 200, "response to a re-INVITE")
        check(answer.status("INVITE") == 200, f"{answer.start} to a re-INVITE")
        self.request("ACK", cseq, invite)

    def expect(self, code, method):
        response = self.wait(lambda it: it.status(method) is not None, f"response to {method}")
        check(response.status(method) == code, f"{response.start}, not {code}, to {method}")

    def hang_up(self, invite, cseq=1):
        self.request("BYE", cseq, invite)
        self.expect(200, "BYE")


def sdp(address, port=6000, formats="0 8 101", direction="sendrecv"):
    return (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-15\r\na=ptime:20\r\na={direction}\r\n")
