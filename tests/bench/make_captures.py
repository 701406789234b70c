"""Makes the benchmark's captures: `python -m tests.bench.make_captures KIND PACKETS FILE [SEED]`.

mixed     TCP sessions with timestamps over IPv4, IPv6 and 802.1Q: handshake, HTTP/1 or TLS or
          opaque exchanges, delayed ACKs, tail-loss retransmissions, FIN or RST; DNS, ICMP and ARP
          between them. About 600 octets a packet, 40 packets a connection.
small64   60-octet frames, half UDP and half TCP, each of a random one of up to 100,000 connections
          (50 packets of each): the case that finds nothing in the cache.
synflood  SYNs from made-up sources, no two alike, with 5 % of `mixed` between them.

The same arguments give the same bytes (classic pcap, microseconds). Checksums are right. Packets
of one form are made together by numpy: a template is repeated and its variable fields are filled
in, and the checksum follows from the template's sum plus that of the fields.
"""

import random
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
START_US = 1_767_614_400 * 10**6
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MSS = 1428
SCRIPTS = 64  # different sessions in `mixed`, each repeated with other addresses and times
PACKETS_PER_SECOND = 200_000  # of packet time
SMALL64_FLOWS = 100_000
CHUNK = 250_000


@dataclass
class Flows:
    """Who talks to whom: octets of the addresses (n, 4 or 16), ports (n)."""

    client: Array
    server: Array
    client_port: Array
    server_port: Array
    vlan: int = 0

    def swapped(self, where: Array) -> "Flows":
        """The same with the two sides exchanged where `where` is true."""
        column = where[:, None]
        return Flows(
            np.where(column, self.server, self.client),
            np.where(column, self.client, self.server),
            np.where(where, self.server_port, self.client_port),
            np.where(where, self.client_port, self.server_port),
            self.vlan,
        )

    def take(self, rows: Array) -> "Flows":
        return Flows(
            self.client[rows],
            self.server[rows],
            self.client_port[rows],
            self.server_port[rows],
            self.vlan,
        )


@dataclass
class Group:
    """Packets of one length: their times, and how to make their octets (n, length)."""

    at_us: Array
    length: int
    make: Callable[[slice], Array]


def addresses(rng: np.random.Generator, n: int, version: int, net: int) -> Array:
    if version == 4:
        octets = rng.integers(0, 256, (n, 4), dtype=np.uint8)
        octets[:, 0] = net
        return octets
    octets = np.zeros((n, 16), np.uint8)
    octets[:, :5] = (0x20, 0x01, 0x0D, 0xB8, net)
    octets[:, 12:] = rng.integers(0, 256, (n, 4), dtype=np.uint8)
    return octets


def flows(rng: np.random.Generator, n: int, version: int, port: int, vlan: int = 0) -> Flows:
    clients, servers = addresses(rng, n, version, 10), addresses(rng, 500, version, 172)
    return Flows(
        clients,
        servers[rng.integers(0, 500, n)],
        rng.integers(1_024, 65_536, n),
        np.full(n, port),
        vlan,
    )


def words(octets: Array) -> Array:
    """The sum of the 16-bit words of each row."""
    return octets.view(">u2").astype(np.int64).sum(axis=1)


def put(rows: Array, at: int, width: int, values: Array) -> Array:
    """Write `values` big-endian at a column; gives their sum in 16-bit words."""
    octets = np.ascontiguousarray(values.astype(f">u{width}")).view(np.uint8)
    octets = octets.reshape(len(rows), width)
    rows[:, at : at + width] = octets
    return words(octets)


def complement(total: Array) -> Array:
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def static_sum(data: bytes) -> int:
    return int(np.frombuffer(data + b"\0" * (len(data) % 2), ">u2").astype(np.int64).sum())


def frames(f: Flows, protocol: int, l4: bytes, fields: list[tuple[int, int, Array]]) -> Array:
    """Frames from `client` to `server`: transport header and payload `l4`, with `fields` filled in.

    A field is (offset in l4, width, values). Ports are filled in here.
    """
    n, six = len(f.client), f.client.shape[1] == 16
    link = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02"
    if f.vlan:
        link += struct.pack(">HH", 0x8100, f.vlan)
    link += b"\x86\xdd" if six else b"\x08\0"
    if six:
        ip = struct.pack(">IHBB", 6 << 28, len(l4), protocol, 60)
    else:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(l4), 0, 0x4000, 60, protocol, 0)
    template = link + ip + bytes(2 * f.client.shape[1]) + l4
    template += bytes(max(0, 60 - len(template)))
    rows = np.tile(np.frombuffer(template, np.uint8), (n, 1))

    at = len(link) + len(ip)
    width = f.client.shape[1]
    rows[:, at : at + width] = f.client
    rows[:, at + width : at + 2 * width] = f.server
    pair = words(np.ascontiguousarray(f.client)) + words(np.ascontiguousarray(f.server))
    if not six:
        put(rows, len(link) + 10, 2, complement(pair + static_sum(ip)))
    start = at + 2 * width
    total = np.full(n, static_sum(l4))
    if protocol != 1:
        total += pair + len(l4) + protocol
        total += put(rows, start, 2, f.client_port) + put(rows, start + 2, 2, f.server_port)
    for offset, size, values in fields:
        total += put(rows, start + offset, size, values)
    put(rows, start + {6: 16, 17: 6, 1: 2}[protocol], 2, complement(total))
    return rows


# ---- mixed


@dataclass
class Step:
    """A segment of a scripted session: when (round trips, microseconds after its start), what."""

    trips: int
    after_us: int
    from_client: bool
    flags: int
    payload: bytes
    seq: int
    ack: int


def script(rng: random.Random) -> tuple[int, list[Step]]:
    """One session as a list of segments, and the server's port."""
    port = rng.choices((80, 443, 8080, 5432), (25, 60, 5, 10))[0]
    steps = [Step(0, 0, True, SYN, b"", 0, 0), Step(0, 90, False, SYN | ACK, b"", 0, 1)]
    seq, trips, now = [1, 1], 1, 200  # next sequence number: client, server

    def say(client: bool, flags: int, payload: bytes = b"") -> None:
        steps.append(Step(trips, now, client, flags, payload, seq[not client], seq[client]))
        seq[not client] += len(payload) + bool(flags & FIN)

    say(True, ACK)
    for number in range(rng.choice((1, 1, 2, 2, 3, 4, 6))):
        size = min(60_000, int(rng.lognormvariate(9, 1)))
        request, response = dialogue(port, number, size, rng)
        say(True, PSH | ACK, request)
        now += rng.randint(200, 5_000)
        sent = []
        for start in range(0, len(response), MSS):
            say(False, ACK if start + MSS < len(response) else PSH | ACK, response[start:][:MSS])
            sent.append(steps[-1])
            now += 12
        tail = rng.random() < 0.08
        arrived = sent[: -1 if tail else None]
        for segment in arrived[1::2] or arrived:
            edge = segment.seq + len(segment.payload)
            late = segment.after_us + 40
            steps.append(Step(trips + 1, late, True, ACK, b"", seq[0], edge))
        trips += 1
        if tail:
            now += 250_000
            last = sent[-1]
            steps.append(Step(trips, now, False, last.flags, last.payload, last.seq, last.ack))
            trips += 1
        say(True, ACK)
        now += rng.randint(1_000, 200_000)
    if rng.random() < 0.05:
        say(True, RST | ACK)
        return port, steps
    say(True, FIN | ACK)
    now += 100
    say(False, FIN | ACK)
    trips += 1
    say(True, ACK)
    return port, steps


def dialogue(port: int, number: int, size: int, rng: random.Random) -> tuple[bytes, bytes]:
    """A request and a response as that port speaks."""
    if port in (80, 8080):
        ask = f"GET /items/{rng.randint(1, 999)} HTTP/1.1\r\nHost: svc{number}.example\r\n"
        ask += "User-Agent: bench/1.0\r\nAccept: */*\r\nCookie: s=" + "c" * 60 + "\r\n\r\n"
        status = rng.choices(("200 OK", "404 Not Found", "500 Error"), (94, 5, 1))[0]
        head = f"HTTP/1.1 {status}\r\nServer: bench\r\nContent-Length: {size}\r\n\r\n"
        return ask.encode(), head.encode() + rng.randbytes(size)
    if port == 443:
        if number == 0:
            return client_hello(f"host{rng.randint(0, 99)}.example", rng), server_hello(rng)
        return record(23, rng.randbytes(250)), record(23, rng.randbytes(min(size, 16_000)))
    return rng.randbytes(120), rng.randbytes(size)


def record(kind: int, body: bytes) -> bytes:
    return struct.pack(">BHH", kind, 0x0303, len(body)) + body


def client_hello(name: str, rng: random.Random) -> bytes:
    host = name.encode()
    sni = struct.pack(">HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    body = b"\x03\x03" + rng.randbytes(32) + b"\0" + b"\0\x04\x13\x01\xc0\x2f" + b"\x01\0"
    body += struct.pack(">H", len(sni)) + sni
    return record(22, struct.pack(">I", 1 << 24 | len(body)) + body)


def server_hello(rng: random.Random) -> bytes:
    body = b"\x03\x03" + rng.randbytes(32) + b"\0\xc0\x2f\0"
    hello = record(22, struct.pack(">I", 2 << 24 | len(body)) + body)
    return hello + record(23, rng.randbytes(2_400))  # the certificates, encrypted


SYN_OPTIONS = struct.pack(">BBHBBBBII", 2, 4, 1460, 4, 2, 8, 10, 0, 0) + b"\x01\x03\x03\x07"


def session_groups(rng: np.random.Generator, n: int, span_us: int) -> list[Group]:
    """About `n` packets of TCP sessions that start within the span."""
    python = random.Random(int(rng.integers(1 << 32)))
    scripts = [script(python) for _ in range(SCRIPTS)]
    while sum(len(steps) for _, steps in scripts) > n:
        scripts.pop()
    each = n // max(1, sum(len(steps) for _, steps in scripts))
    groups = []
    for number, (port, steps) in enumerate(scripts):
        version, vlan = (6 if number % 5 == 0 else 4), (100 if number % 4 == 1 else 0)
        f = flows(rng, each, version, port, vlan)
        start = rng.integers(0, span_us, each)
        rtt = (rng.lognormal(9.5, 0.8, each)).astype(np.int64) + 200
        isn = rng.integers(0, 1 << 32, (2, each))
        clock = rng.integers(0, 1 << 31, (2, each))
        heard = np.zeros((2, each), np.int64)
        for step in sorted(steps, key=lambda s: s.trips * 14_000 + s.after_us):
            side = 0 if step.from_client else 1
            after = step.trips * rtt + step.after_us
            clock_now = clock[side] + after // 1_000
            options = SYN_OPTIONS if step.flags & SYN else b"\x01\x01\x08\x0a" + bytes(8)
            stamp = 20 + (8 if step.flags & SYN else 4)
            head = struct.pack(">HHIIBBHHH", 0, 0, 0, 0, (20 + len(options)) << 2, step.flags,
                               501, 0, 0)  # fmt: skip
            ack = isn[1 - side] + step.ack if step.flags & ACK else np.zeros(each, np.int64)
            fields = [
                (4, 4, (isn[side] + step.seq) & 0xFFFFFFFF),
                (8, 4, ack & 0xFFFFFFFF),
                (stamp, 4, clock_now & 0xFFFFFFFF),
                (stamp + 4, 4, heard[1 - side] & 0xFFFFFFFF),
            ]
            heard[side] = clock_now
            groups.append(group(start + after, f, side == 1, 6, head + options + step.payload,
                                fields))  # fmt: skip
    return groups


def group(at: Array, f: Flows, backward: bool, protocol: int, l4: bytes,
          fields: list[tuple[int, int, Array]]) -> Group:  # fmt: skip
    """A group whose frames are made when they are written."""
    headers = (58 if f.client.shape[1] == 16 else 38) - 4 + (4 if f.vlan else 0)
    sides = np.full(len(at), backward)

    def make(rows: slice) -> Array:
        part = f.swapped(sides).take(np.arange(len(at))[rows])
        return frames(part, protocol, l4, [(o, w, v[rows]) for o, w, v in fields])

    return Group(at, max(60, headers + len(l4)), make)


def datagram_groups(rng: np.random.Generator, n: int, span_us: int) -> list[Group]:
    """`n` packets: DNS questions and answers, echo requests and replies, ARP."""
    asked, pings = n * 2 // 5, n // 20
    question = b"\x04host\x07example\0\0\x01\0\x01"
    header = struct.pack(">HHHH", 0, 0, 8 + 12 + len(question), 0)
    ask = header + struct.pack(">6H", 0, 0x0100, 1, 0, 0, 0) + question
    answer = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01"
    header = struct.pack(">HHHH", 0, 0, 8 + 12 + len(question) + len(answer), 0)
    tell = header + struct.pack(">6H", 0, 0x8180, 1, 1, 0, 0) + question + answer
    f, start = flows(rng, asked, 4, 53), rng.integers(0, span_us, asked)
    ident = [(8, 2, rng.integers(0, 65_536, asked))]
    groups = [
        group(start, f, False, 17, ask, ident),
        group(start + rng.integers(100, 30_000, asked), f, True, 17, tell, ident),
    ]
    f, start = flows(rng, pings, 4, 0), rng.integers(0, span_us, pings)
    ident = [(4, 4, rng.integers(0, 1 << 32, pings))]
    for backward, kind in ((False, 8), (True, 0)):
        body = struct.pack(">BBHI", kind, 0, 0, 0) + bytes(56)
        groups.append(group(start + 9_000 * backward, f, backward, 1, body, ident))
    arp = b"\xff" * 6 + b"\x02\0\0\0\0\x01\x08\x06\0\x01\x08\0\x06\x04\0\x01" + bytes(38)
    row = np.frombuffer(arp[:60].ljust(60, b"\0"), np.uint8)
    rest = n - 2 * asked - 2 * pings
    groups.append(Group(rng.integers(0, span_us, rest), 60,
                        lambda rows: np.tile(row, (len(range(rest)[rows]), 1))))  # fmt: skip
    return groups


def mixed(rng: np.random.Generator, n: int, span_us: int) -> list[Group]:
    sessions = session_groups(rng, n * 23 // 25, span_us)
    return sessions + datagram_groups(rng, n - sum(len(g.at_us) for g in sessions), span_us)


# ---- small64, synflood


def small64(rng: np.random.Generator, n: int, span_us: int) -> list[Group]:
    count = min(SMALL64_FLOWS, max(2, n // 50))  # as many packets of each, however short
    f = flows(rng, count, 4, 443)
    f.server_port[1::2] = 40_000  # odd ones are UDP
    which = rng.integers(0, count, n)
    back = rng.random(n) < 0.5
    at = np.sort(rng.integers(0, span_us, n))
    # What each side has sent before: 6 octets with every packet of its own.
    order = np.argsort(which, kind="stable")
    opens = np.searchsorted(which[order], np.arange(count))
    said = np.empty((2, n), np.int64)
    for side in (0, 1):
        sums = np.concatenate([[0], np.cumsum(back[order] == side)])
        said[side, order] = sums[:-1] - sums[opens][which[order]]
    isn = rng.integers(0, 1 << 32, (2, count))
    groups = []
    for protocol in (6, 17):
        rows = np.flatnonzero(which % 2 == (protocol == 17))
        side, flow = back[rows].astype(int), which[rows]
        own = (isn[side, flow] + 6 * said[side, rows]) & 0xFFFFFFFF
        other = (isn[1 - side, flow] + 6 * said[1 - side, rows]) & 0xFFFFFFFF
        tcp = struct.pack(">HHIIBBHHH", 0, 0, 0, 0, 5 << 4, PSH | ACK, 501, 0, 0) + b"bench6"
        udp = struct.pack(">HHHH", 0, 0, 26, 0) + b"eighteen octets..."
        l4, fields = (tcp, [(4, 4, own), (8, 4, other)]) if protocol == 6 else (udp, [])

        def make(part: slice, rows: Array = rows, protocol: int = protocol, l4: bytes = l4,
                 fields: list[tuple[int, int, Array]] = fields) -> Array:  # fmt: skip
            mine = f.take(which[rows[part]]).swapped(back[rows[part]])
            return frames(mine, protocol, l4, [(o, w, v[part]) for o, w, v in fields])

        groups.append(Group(at[rows], 60, make))
    return groups


def synflood(rng: np.random.Generator, n: int, span_us: int) -> list[Group]:
    spoofed = n - n // 20
    f = flows(rng, spoofed, 4, 443)
    f.server[:] = (172, 16, 0, 1)
    unique = rng.permutation(spoofed)  # one source address and port for each SYN
    f.client[:, 1] = unique >> 16 & 255
    f.client[:, 2] = unique >> 8 & 255
    f.client[:, 3] = unique & 255
    l4 = struct.pack(">HHIIBBHHHI", 0, 0, 0, 0, 6 << 4, SYN, 64_240, 0, 0, 0x020405B4)
    seq = [(4, 4, rng.integers(0, 1 << 32, spoofed))]
    at = np.sort(rng.integers(0, span_us, spoofed))
    return [group(at, f, False, 6, l4, seq), *mixed(rng, n // 20, span_us)]


KINDS = {"mixed": mixed, "small64": small64, "synflood": synflood}


def write(groups: list[Group], path: Path) -> int:
    """Write the packets of all groups in order of time; gives their number."""
    at = np.concatenate([g.at_us for g in groups])
    lengths = np.concatenate([np.full(len(g.at_us), g.length + 16) for g in groups])
    order = np.argsort(at, kind="stable")
    offsets = np.empty(len(at), np.int64)
    offsets[order] = 24 + np.concatenate([[0], np.cumsum(lengths[order])[:-1]])
    out = np.memmap(path, np.uint8, "w+", shape=(24 + int(lengths.sum()),))
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    out[:24] = np.frombuffer(header, np.uint8)
    done = 0
    for g in groups:
        step = max(1, min(CHUNK, (1 << 25) // g.length))
        for start in range(0, len(g.at_us), step):
            part = slice(start, min(start + step, len(g.at_us)))
            rows = g.make(part)
            seconds, micros = np.divmod(START_US + g.at_us[part], 10**6)
            size = np.full(len(rows), rows.shape[1])
            record_headers = np.stack([seconds, micros, size, size], axis=1).astype("<u4")
            full = np.hstack([record_headers.view(np.uint8), rows])
            where = offsets[done : done + len(rows)]
            out[where[:, None] + np.arange(full.shape[1])] = full
            done += len(rows)
    out.flush()
    return done


def make(kind: str, packets: int, path: Path, seed: int = 1) -> int:
    """Write a capture of about `packets` packets; gives the exact number."""
    rng = np.random.default_rng([seed, packets, sorted(KINDS).index(kind)])
    span_us = max(1, packets * 10**6 // PACKETS_PER_SECOND)
    partial = path.with_name(path.name + ".part")
    count = write(KINDS[kind](rng, packets, span_us), partial)
    partial.rename(path)
    return count


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in KINDS:
        sys.exit(f"usage: make_captures.py {'|'.join(KINDS)} PACKETS FILE [SEED]")
    print(make(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:])))
