"""TCP conversations as frames, written one segment a line.

    talk = Conversation()
    talk.orig("S", seq=100); talk.resp("SA", seq=300, ack=101); talk.orig("A", seq=101, ack=301)

Flags are letters of "SAFRPUEC"; time moves on by 1 ms a segment unless told otherwise.
"""

import socket
import struct
from dataclasses import dataclass, field

MS = 1_000_000
ETHERNET = 1
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
START_NS = 1_700_000_000_000_000_000

Frame = tuple[int, bytes, int, int]


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
    options += b"\0" * (-len(options) % 4)
    bits = sum(FLAGS[c] for c in flags)
    offset = (20 + len(options)) // 4 << 4
    tcp = struct.pack(
        ">HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, offset, bits, window, 0, 0
    )
    return ip_frame(src, dst, 6, tcp + options + payload)


def udp_frame(src: str, dst: str, sport: int, dport: int, payload: bytes) -> bytes:
    udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return ip_frame(src, dst, 17, udp)


def ip_frame(src: str, dst: str, protocol: int, body: bytes) -> bytes:
    if ":" in src:
        head = struct.pack(">IHBB", 0x60000000, len(body), protocol, 64)
        head += socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
        ethertype = b"\x86\xdd"
    else:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, 64, protocol, 0)
        head += socket.inet_aton(src) + socket.inet_aton(dst)
        ethertype = b"\x08\x00"
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + ethertype + head + body


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

    def _add(self, frame: bytes, ms: float) -> None:
        self.frames.append((self.now, frame, len(frame), ETHERNET))
        self.now += int(ms * MS)

    def orig(
        self,
        flags: str,
        seq: int,
        ack: int = 0,
        payload: bytes = b"",
        ms: float = 1,
        **more: object,
    ) -> None:
        self._add(
            tcp_frame(
                self.client, self.server, self.sport, self.dport, flags, seq, ack, payload, **more
            ),
            ms,
        )

    def resp(
        self,
        flags: str,
        seq: int,
        ack: int = 0,
        payload: bytes = b"",
        ms: float = 1,
        **more: object,
    ) -> None:
        self._add(
            tcp_frame(
                self.server, self.client, self.dport, self.sport, flags, seq, ack, payload, **more
            ),
            ms,
        )

    def handshake(self, isn: int = 100, answer: int = 300) -> None:
        """SYN, SYN-ACK 20 ms later, ACK 5 ms after that; next numbers are isn + 1, answer + 1."""
        self.orig("S", isn, ms=20)
        self.resp("SA", answer, isn + 1, ms=5)
        self.orig("A", isn + 1, answer + 1)
