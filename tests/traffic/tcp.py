"""TCP conversations as frames, written one segment a line.

    talk = Conversation()
    talk.orig("S", seq=100); talk.resp("SA", seq=300, ack=101); talk.orig("A", seq=101, ack=301)

Flags are letters of "SAFRPUEC"; time moves on by 1 ms a segment unless told otherwise.
"""

import socket
from dataclasses import dataclass, field

from tests.traffic import frames

MS = 1_000_000
ETHERNET = 1
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
START_NS = 1_700_000_000_000_000_000

Frame = tuple[int, bytes, int, int]


def packed(address: str) -> bytes:
    """The octets of an address of either family."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def tcp_frame(
    src: str,
    dst: str,
    sport: int,
    dport: int,
    flags: str,
    seq: int,
    ack: int = 0,
    payload: bytes = b"",
    window: int = 64240,
    options: bytes = b"",
) -> bytes:
    bits = sum(FLAGS[c] for c in flags)
    return frames.tcp(
        packed(src),
        packed(dst),
        sport,
        dport,
        seq,
        ack,
        bits,
        payload,
        window=window,
        options=options,
    )


def udp_frame(src: str, dst: str, sport: int, dport: int, payload: bytes) -> bytes:
    return frames.udp(packed(src), packed(dst), sport, dport, payload)


def ip_frame(src: str, dst: str, protocol: int, body: bytes) -> bytes:
    return frames.ip(packed(src), packed(dst), protocol, body)


@dataclass
class Conversation:
    client: str = "192.0.2.1"
    server: str = "198.51.100.2"
    sport: int = 40000
    dport: int = 80
    now: int = START_NS
    frames: list[Frame] = field(default_factory=list)

    def wait(self, ns: int) -> None:
        self.now += ns

    def orig(self, flags: str, seq: int, *rest: object, **more: object) -> None:
        """A segment of the client: flags, seq, ack, payload; `ms` until the next one."""
        self._add((self.client, self.server, self.sport, self.dport), flags, seq, *rest, **more)

    def resp(self, flags: str, seq: int, *rest: object, **more: object) -> None:
        """Likewise, of the server."""
        self._add((self.server, self.client, self.dport, self.sport), flags, seq, *rest, **more)

    def _add(
        self,
        ends: tuple[str, str, int, int],
        flags: str,
        seq: int,
        ack: int = 0,
        payload: bytes = b"",
        ms: float = 1,
        **more: object,
    ) -> None:
        frame = tcp_frame(*ends, flags, seq, ack, payload, **more)
        self.frames.append((self.now, frame, len(frame), ETHERNET))
        self.now += int(ms * MS)

    def handshake(self, isn: int = 100, answer: int = 300) -> None:
        """SYN, SYN-ACK 20 ms later, ACK 5 ms after that; next numbers are isn + 1, answer + 1."""
        self.orig("S", isn, ms=20)
        self.resp("SA", answer, isn + 1, ms=5)
        self.orig("A", isn + 1, answer + 1)
