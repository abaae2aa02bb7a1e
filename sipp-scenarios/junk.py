#!/usr/bin/env python3
"""Sends junk from one address to a bridge over UDP, so many datagrams a second: `junk.py SOURCE BRIDGE RATE SECONDS`."""

import random
import socket
import sys
import time

from harness import SIP_PORT, Network
from strangers import request


def main():
    source, bridge, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    sent, begun = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((source, 0))
        datagrams = junk(source, bridge)
        while (elapsed := time.monotonic() - begun) < seconds:
            for _ in range(min(int(elapsed * rate) - sent, 500)):
                stranger.sendto(datagrams[sent % len(datagrams)], (bridge, SIP_PORT))
                sent += 1
            time.sleep(0.001)


def junk(source, bridge):
    """Whole requests, the beginnings of some, and bytes by chance."""
    net, chance = Network(0), random.Random(1)
    net.bridge = bridge
    whole = [request(net, source, method, "UDP") for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "BREW")]
    return [*whole, *(it[:chance.randrange(len(it))] for it in whole), *(chance.randbytes(size) for size in (1, 100, 1400))]


if __name__ == "__main__":
    main()
