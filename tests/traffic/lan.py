"""A small site as frames: VLANs, ARP, a gateway, exchanges and attempts, with what is planted."""

import struct

from tests.traffic.net import MS, SECOND, START_NS, Frame
from tests.traffic.tcp import ip_frame, packed, tcp_frame, udp_frame


class Lan:
    """Frames in the order in which they are asked for, 1 ms apart."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.now = START_NS
        self.hops: dict[str, int] = {}  # routers that packets from an IPv4 address passed

    def send(self, frame: bytes, vlan: int | None = None) -> None:
        for source, hops in self.hops.items():
            if frame[12:14] == b"\x08\x00" and frame[26:30] == packed(source):
                frame = frame[:22] + bytes((frame[22] - hops,)) + frame[23:]
        if vlan is not None:
            frame = frame[:12] + struct.pack(">HH", 0x8100, vlan) + frame[12:]
        self.frames.append((self.now, frame))
        self.now += MS

    def arp(self, asker: str, asker_mac: bytes, owner: str, owner_mac: bytes) -> None:
        """A question and its answer."""
        for op, mac, src, to, dst in (
            (1, asker_mac, asker, bytes(6), owner),
            (2, owner_mac, owner, asker_mac, asker),
        ):
            body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, op)
            body += mac + packed(src) + to + packed(dst)
            self.send((b"\xff" * 6 if op == 1 else asker_mac) + mac + b"\x08\x06" + body)

    def exchange(self, client: str, server: str, port: int, size: int, vlan: int | None = None,
                 sport: int = 40000, request: bytes = b"?") -> int:  # fmt: skip
        """A whole TCP connection in which the server sends `size` octets (at most 1400);
        the octets of its frames."""
        c, s = 1000, 5000
        before = len(self.frames)
        asked = c + 1 + len(request)
        for who, flags, seq, ack, payload in (
            (0, "S", c, 0, b""),
            (1, "SA", s, c + 1, b""),
            (0, "A", c + 1, s + 1, b""),
            (0, "PA", c + 1, s + 1, request),
            (1, "PA", s + 1, asked, b"!" * size),
            (0, "FA", asked, s + 1 + size, b""),
            (1, "FA", s + 1 + size, asked + 1, b""),
            (0, "A", asked + 1, s + 2 + size, b""),
        ):
            ends = (client, server, sport, port) if who == 0 else (server, client, port, sport)
            self.send(tcp_frame(*ends, flags, seq, ack, payload), vlan)
        return sum(len(frame) for _, frame in self.frames[before:])

    def attempt(self, client: str, server: str, port: int, *, refused: bool = True,
                vlan: int | None = None, sport: int = 50000) -> None:  # fmt: skip
        self.send(tcp_frame(client, server, sport, port, "S", 1), vlan)
        if refused:
            self.send(tcp_frame(server, client, port, sport, "RA", 0, 2), vlan)

    def question(self, client: str, server: str, octets: bytes, answer: bytes) -> None:
        self.send(udp_frame(client, server, 41000, 53, octets))
        self.send(udp_frame(server, client, 53, 41000, answer))

    def time_exceeded(self, router: str, host: str, to: str) -> None:
        quoted = udp_frame(host, to, 33000, 33434, b"x")[14:][:28]
        body = bytes((11, 0, 0, 0, 0, 0, 0, 0)) + quoted
        self.send(ip_frame(router, host, 1, body))

    def pause(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
