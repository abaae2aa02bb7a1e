"""RTP written by hand: a far end that speaks a tone in PCMU, and how much of a tone is in what it heard."""

import math
import random
import socket
import struct
import threading
import time
import wave

RATE, PACKET = 8000, 160
# What `share` leaves out at the beginning: the way of the first packets.
BEGINNING = RATE // 2


class Voice:
    """Speaks from its address, once it knows where to, and keeps all audio that comes there."""

    def __init__(self, address, port, hz):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.socket.settimeout(0.1)
        self.hz, self.port, self.heard, self.payload_types = hz, port, [], set()
        self.first, self.held = None, threading.Event()
        self.held.set()
        self.digits, self.open = [], True
        self.threads = [threading.Thread(target=self._listen, daemon=True)]
        self.threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open = False
        for thread in self.threads:
            thread.join()
        self.socket.close()

    def speak_to(self, address, port):
        self.threads.append(threading.Thread(target=self._speak, args=[(address, port)], daemon=True))
        self.threads[-1].start()

    def pause(self):
        self.speaks = False

    def hold(self):
        """It is silent, and its clock and its numbers stand still, until `resume`."""
        self.held.clear()

    def resume(self):
        """Speaks on; returns the first of what it says."""
        self.first = None
        self.held.set()
        while self.first is None:
            time.sleep(0.005)
        return self.first

    def words(self):
        """The packets heard since the last time this, or `hears`, was asked; silence is none."""
        heard, self.heard = bytes(self.heard), []
        packets = [heard[at:at + PACKET] for at in range(0, len(heard), PACKET)]
        return [packet for packet in packets if len(set(packet)) > 2]

    def hears(self, hz):
        """The share of `hz` in what was heard since the last time this was asked."""
        heard, self.heard = self.heard, []
        return len(heard) / RATE, share([MULAW[byte] for byte in heard], hz)

    def hears_both(self, low, high):
        """The shares of two tones in what was heard since the last time."""
        heard, self.heard = [MULAW[byte] for byte in self.heard], []
        return len(heard) / RATE, share(heard, low), share(heard, high)

    def _speak(self, target):
        second, ssrc = tone(self.hz, 1), random.getrandbits(32)
        begin, sequence, self.speaks = time.monotonic(), 0, True
        while self.open and self.speaks:
            if not self.held.is_set():
                self.held.wait(0.1)
                begin = time.monotonic() - sequence * PACKET / RATE
                continue
            place = sequence * PACKET % len(second)
            header = struct.pack(">BBHII", 0x80, 0, sequence & 0xFFFF, sequence * PACKET, ssrc)
            self.socket.sendto(header + second[place:place + PACKET], target)
            self.first = self.first or second[place:place + PACKET]
            sequence += 1
            time.sleep(max(0, begin + sequence * PACKET / RATE - time.monotonic()))

    def _listen(self):
        while self.open:
            try:
                packet = self.socket.recv(2048)
            except TimeoutError:
                continue
            self.payload_types.add(packet[1] & 0x7F)
            if packet[1] & 0x7F == 0:
                self.heard.extend(packet[12:])
            elif packet[13] & 0x80 and (packet[12], packet[4:8]) not in self.digits:
                self.digits.append((packet[12], packet[4:8]))


def recorded(file, hz):
    """Seconds, and share of `hz` in a recording of one channel."""
    with wave.open(str(file)) as wav:
        samples = struct.unpack(f"<{wav.getnframes()}h", wav.readframes(wav.getnframes()))
    return len(samples) / RATE, share(samples, hz)


def share(samples, hz):
    """How much of the power is at `hz` (Goertzel), on the average of tenths of a second; silence has none."""
    block, shares = RATE // 10, []
    turn = 2 * math.cos(2 * math.pi * hz / RATE)
    for start in range(BEGINNING, len(samples) - block, block):
        last = before = power = 0.0
        for sample in samples[start:start + block]:
            last, before = turn * last - before + sample, last
            power += sample * sample
        found = (last * last + before * before - turn * last * before) * 2 / block
        shares.append(found / power if power > 1000 * block else 0.0)
    return sum(shares) / len(shares) if shares else 0.0


def tone(hz, seconds):
    """In PCMU; whole periods fit a second."""
    return bytes(mulaw(int(8000 * math.sin(2 * math.pi * hz * n / RATE))) for n in range(RATE)) * seconds


def mulaw(sample):
    """ITU-T G.711, by the nearest of its 256 values."""
    return NEAREST[(sample + 32768) >> 4]


def _value(byte):
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84) << (byte >> 4 & 7)
    return (0x84 - magnitude) if byte & 0x80 else (magnitude - 0x84)


MULAW = [_value(byte) for byte in range(256)]
NEAREST = [min(range(256), key=lambda byte: abs(MULAW[byte] - ((step << 4) - 32768))) for step in range(4096)]
