"""Who takes part: the agent's host, its network, and everybody else, in one address family.

Addresses are of documentation and benchmark ranges (RFC 5737, 2544, 3849); spoofed ones are any.
"""

import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

SECOND, MS, US = 10**9, 10**6, 10**3
START_NS = 1_767_614_400 * SECOND + 350 * MS  # not on a second, as captures begin

Frame = tuple[int, bytes]  # packet time (ns), octets


@dataclass(frozen=True)
class Stack:
    """How a system's TCP looks."""

    ttl: int
    window: int
    mss: int
    layout: str  # of the SYN's options: M(SS) S(ACK) T(imestamps) N(OP) W(indow scale)
    scale: int = 7


LINUX = Stack(64, 64240, 1460, "MSTNW")
WINDOWS = Stack(128, 64240, 1460, "MNWNNS", 8)
MACOS = Stack(64, 65535, 1460, "MNWNNTS", 6)
STACKS = (LINUX, WINDOWS, MACOS, LINUX)


@dataclass(frozen=True)
class Host:
    """An end of a conversation. Of hosts behind one NAT address only the clocks differ."""

    address: bytes
    stack: Stack = LINUX
    clock: int = 0  # what its timestamps (ms) began with
    hops: int = 0  # routers on the way here


class Net:
    """One family's addresses and the case's random numbers."""

    def __init__(self, version: int, seed: str) -> None:
        self.version = version
        self.rng = random.Random(f"{seed}/{version}")
        self._ports = self.rng.randrange(28231)
        self.host = Host(self.own(10), LINUX, 77_000_000)

    def own(self, n: int) -> bytes:
        """An address of the agent's network; the agent itself is 10, its router 1."""
        if self.version == 4:
            return bytes((192, 0, 2, n))
        return bytes.fromhex("20010db8000100000000000000000000")[:14] + struct.pack(">H", n)

    def far(self, n: int) -> bytes:
        """An address out there, n < 131072."""
        if self.version == 4:
            return struct.pack(">I", 0xC612_0000 + n)
        return bytes.fromhex("20010db8") + struct.pack(">HHQ", 0xF00 + n % 7, n, 0x21)

    def spoofed(self) -> bytes:
        """Any unicast address at all."""
        if self.version == 4:
            return struct.pack(">I", self.rng.randrange(0x0100_0000, 0xDF00_0000))
        return struct.pack(">QQ", 2 << 60 | self.rng.getrandbits(60), self.rng.getrandbits(64))

    def client(self, n: int) -> Host:
        """The n-th visitor: always the same system."""
        return Host(self.far(n), STACKS[n % 4], (n * 2_654_435_761) & 0x3FFFFFFF, 5 + n % 15)

    def clients(self, count: int, first: int = 1) -> list[Host]:
        return [self.client(first + n) for n in range(count)]

    def behind_nat(self, count: int, address: bytes | None = None) -> list[Host]:
        """Systems that share one address."""
        outside = address or self.far(99)
        return [Host(outside, STACKS[n % 4], self.rng.getrandbits(30), 8) for n in range(count)]

    @cached_property
    def noise(self) -> bytes:
        """Octets to cut payload from."""
        return self.rng.randbytes(1 << 17)

    def octets(self, size: int) -> bytes:
        """`size` octets (<= 64 Ki) that look like content."""
        at = self.rng.randrange(1 << 16)
        return self.noise[at : at + size]

    def port(self) -> int:
        """An ephemeral one; it comes again after 28,231 others: no stack reuses one in use."""
        self._ports += 7919
        return 32768 + self._ports % 28231

    def at(self, seconds: float) -> int:
        """Packet time of so many seconds after the start."""
        return START_NS + int(seconds * SECOND)

    def paced(self, at_s: float, seconds: float, rate: float) -> Iterator[int]:
        """Times of a tool that sends `rate` packets a second, with the timer's jitter."""
        gap = SECOND / rate
        begin = self.at(at_s)
        for n in range(int(seconds * rate)):
            yield begin + int(n * gap + self.rng.random() * gap * 0.4)

    def burst(self, at_s: float, count: int, ms: float) -> Iterator[int]:
        """Times of `count` packets in `ms` milliseconds: what a real flood lasts."""
        return self.paced(at_s, ms / 1e3, count / ms * 1e3)

    def poisson(self, at_s: float, seconds: float, rate: float) -> Iterator[int]:
        """Times of independent arrivals, `rate` a second on average."""
        now, end = at_s + self.rng.expovariate(rate), at_s + seconds
        while now < end:
            yield self.at(now)
            now += self.rng.expovariate(rate)


def text(address: bytes) -> str:
    """As people write it."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
