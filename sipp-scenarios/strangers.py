"""What a stranger may send, and that it hears nothing of it."""

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
