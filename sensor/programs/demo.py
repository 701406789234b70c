"""`sensor demo`: a made capture with attacks and bad weather in it, replayed, then the dashboard.

An hour of packet time at a small site: clients all over the world use its web servers (HTTP and
TLS) and its name server, over IPv4 and IPv6. Into that go a port scan, a latency step, a loss
episode, a slowloris and a SYN flood. What was put in is written beside the capture
(`FILE.truth.json`), so that what the sensor says can be compared with what happened.

Everything follows from the seed: the same seed gives the same bytes. Every address is from a
private or documentation range (RFC 1918, 5737, 2544, 3849), so that no real party is accused.
The capture point is the site's own link: the way to a local server takes `SITE_NS`. Where clients
are is made up as well, and told to the sensor as an operator's own regions.
"""

import ipaddress
import json
import random
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sensor.errors import CannotWrite, UsageError
from sensor.model.address import Prefix, pack_prefix
from sensor.store.cdn import Additions

START_NS = 1_767_614_400 * 10**9  # 2026-01-05T12:00:00Z
SECOND = 10**9
MS = 10**6
DURATION_S = 3600
VISITS, QUESTIONS = 1.5, 3.0  # connections to the web and DNS queries per second
SITE_NS = 150_000  # from the capture point to a local host and back
SEGMENT_GAP_NS = 12_000  # one full segment at 1 Gbit/s
RTO_NS = 200 * MS  # Linux's least retransmission timeout
MSS4, MSS6 = 1448, 1428  # with the timestamps option taken off, RFC 9293 section 3.7.1

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
LOCAL = ("10.20.0.0/24", "2001:db8:20::/64")
WEB, SHOP, NAMES, PRINTER = "10.20.0.10", "10.20.0.20", "10.20.0.53", "10.20.0.30"
WEB6, SHOP6 = "2001:db8:20::10", "2001:db8:20::20"

SCAN_S = (420, 440)  # from, to: seconds after the start
LATENCY_S = (900, 1320)
LOSS_S = (1740, 2100)
SLOWLORIS_S = (2520, 2700)
FLOOD_S = (3480, 3500)
LATENCY_STEP_NS = 120 * MS
LOSS_RATE = 0.04  # of the data segments that leave the site
FLOOD_PER_SECOND = 1_500
SCANNER, SLOW_CLIENT = "203.0.113.66", "203.0.113.99"
SCANNED_PORTS, OPEN_PORTS = 1_000, (22, 631, 9100)
SLOW_CONNECTIONS = 250
# Made-up places: region, base round trip in ms, how many clients. Each has a /24 of the benchmark
# range and a /48 of the documentation prefix to itself: the sensor tells no smaller ones apart.
HOME = "CH"
PLACES = (
    ("CH", 7, 14), ("DE", 14, 12), ("FR", 17, 8), ("GB", 24, 8), ("ES", 33, 5), ("US", 94, 12),
    ("CA", 106, 4), ("BR", 188, 4), ("ZA", 166, 3), ("IN", 128, 5), ("JP", 224, 4), ("AU", 262, 3),
)  # fmt: skip


@dataclass
class Truth:
    """What was put into the capture; times are seconds after the first instant."""

    seed: int
    start_ns: int = START_NS
    packets: int = 0
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    episodes: list[dict[str, Any]] = field(default_factory=list)


class Wire:
    """The frames of the capture, in any order of time until they are written."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  (a reproducible capture, not a secret)
        self.frames: list[tuple[int, bytes]] = []
        self.truth = Truth(seed)
        self.packed: dict[str, bytes] = {}
        self.ports = 0

    def address(self, text: str) -> bytes:
        if text not in self.packed:
            self.packed[text] = ipaddress.ip_address(text).packed
        return self.packed[text]

    def port(self) -> int:
        """The next ephemeral port; 7,919 is prime, so none comes twice in 28,000."""
        self.ports += 1
        return 32_768 + self.ports * 7_919 % 28_000

    def ip(self, at_ns: int, src: str, dst: str, protocol: int, segment: bytearray) -> None:
        """Put a transport segment on the wire; fills in its checksum (octets 16 or 6)."""
        source, target = self.address(src), self.address(dst)
        pseudo = source + target + struct.pack(">II", len(segment), protocol)
        value = checksum(pseudo + segment)
        if protocol == 6:
            struct.pack_into(">H", segment, 16, value)
        else:  # in UDP a zero would say that there is no checksum
            struct.pack_into(">H", segment, 6, value or 0xFFFF)
        if len(source) == 4:
            head = bytearray(struct.pack(">BBHHHBBH", 69, 0, 20 + len(segment), 0, 16384, 60,
                                         protocol, 0) + source + target)  # fmt: skip
            struct.pack_into(">H", head, 10, checksum(head))
            ethertype = b"\x08\x00"
        else:
            head = bytearray(struct.pack(">IHBB", 6 << 28, len(segment), protocol, 60))
            head += source + target
            ethertype = b"\x86\xdd"
        macs = b"\x02\x00\x00\x00\x00\x02" + b"\x02\x00\x00\x00\x00\x01"
        self.frames.append((at_ns, macs + ethertype + head + segment))

    def tcp(self, at_ns: int, src: tuple[str, int], dst: tuple[str, int], seq: int, ack: int,
            flags: int, payload: bytes = b"") -> None:  # fmt: skip
        options = b"\x02\x04\x05\xb4\x01\x03\x03\x07" if flags & SYN else b""  # MSS 1460, scale 7
        head = struct.pack(">HHIIBBHHH", src[1], dst[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                           (20 + len(options)) << 2, flags, 64_240, 0, 0)  # fmt: skip
        self.ip(at_ns, src[0], dst[0], 6, bytearray(head + options + payload))

    def udp(self, at_ns: int, src: tuple[str, int], dst: tuple[str, int], payload: bytes) -> None:
        head = struct.pack(">HHHH", src[1], dst[1], 8 + len(payload), 0)
        self.ip(at_ns, src[0], dst[0], 17, bytearray(head + payload))

    def write(self, path: Path) -> None:
        """Write a pcap file with nanoseconds (magic a1b23c4d), in order of time."""
        self.frames.sort(key=lambda frame: frame[0])
        with path.open("wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1))
            for at_ns, frame in self.frames:
                out.write(struct.pack("<IIII", *divmod(at_ns, SECOND), len(frame), len(frame)))
                out.write(frame)
        self.truth.packets = len(self.frames)
        self.truth.bytes = sum(len(frame) for _, frame in self.frames)


def checksum(data: bytes | bytearray) -> int:
    """The Internet checksum (RFC 1071): the sum modulo 65,535 is the ones' complement sum."""
    if len(data) % 2:
        data = data + b"\0"
    return 0xFFFF - int.from_bytes(data) % 0xFFFF


class Connection:
    """A TCP connection from a client outside to a server on the site, seen at the site's link.

    `rtt_ns` is the way from the capture point to the client and back.
    """

    def __init__(self, wire: Wire, at_ns: int, client: str, server: tuple[str, int], rtt_ns: int):
        self.wire, self.rtt_ns = wire, rtt_ns
        self.client, self.server = (client, wire.port()), server
        self.mss = MSS6 if ":" in client else MSS4
        self.orig = wire.random.getrandbits(32)  # next sequence number of either side
        self.resp = wire.random.getrandbits(32)
        wire.tcp(at_ns, self.client, server, self.orig, 0, SYN)
        wire.tcp(at_ns + SITE_NS, server, self.client, self.resp, self.orig + 1, SYN | ACK)
        self.orig += 1
        self.resp += 1
        self.now = at_ns + SITE_NS + self.round_trip()
        self.from_client(ACK)
        wire.truth.counts["tcp_connections"] += 1

    def round_trip(self) -> int:
        """One sample of the client's side: the base plus a little queueing."""
        return self.rtt_ns + int(self.wire.random.expovariate(1 / (self.rtt_ns / 50 + 20_000)))

    def from_client(self, flags: int, payload: bytes = b"") -> None:
        self.wire.tcp(self.now, self.client, self.server, self.orig, self.resp, flags, payload)
        self.orig += len(payload) + bool(flags & FIN)

    def exchange(self, request: bytes, response: bytes, think_ns: int, loss: float = 0.0) -> None:
        """A request, and its response in segments; each is lost behind us with chance `loss`."""
        self.from_client(PSH | ACK, request)
        send = self.now + SITE_NS + think_ns
        first = edge = self.resp  # edge: all before it has reached the client
        lost: list[tuple[int, bytes]] = []
        acks: list[tuple[int, int]] = []
        for number, start in enumerate(range(0, len(response), self.mss)):
            seq, data = first + start, response[start : start + self.mss]
            self.data(send, seq, data)
            if self.wire.random.random() < loss:
                lost.append((seq, data))
            else:
                edge = edge if lost else seq + len(data)
                if number % 2 or lost or start + self.mss >= len(response):
                    acks.append((send + self.round_trip(), edge))
            send += SEGMENT_GAP_NS
        self.resp = first + len(response)
        if lost:
            send = max([send, *(at for at, _ in acks)]) + RTO_NS
            for seq, data in lost:
                self.data(send, seq, data)
                send += SEGMENT_GAP_NS
                self.wire.truth.counts["retransmissions"] += 1
            acks.append((send + self.round_trip(), self.resp))
        at = 0
        for due, edge in acks:  # an ACK never overtakes the one before it
            at = max(at + 1_000, due)
            self.wire.tcp(at, self.client, self.server, self.orig, edge, ACK)
        self.now = at + 100_000

    def data(self, at_ns: int, seq: int, payload: bytes) -> None:
        self.wire.tcp(at_ns, self.server, self.client, seq, self.orig, PSH | ACK, payload)

    def close(self) -> None:
        self.from_client(FIN | ACK)
        self.wire.tcp(self.now + SITE_NS, self.server, self.client, self.resp, self.orig, FIN | ACK)
        self.resp += 1
        self.now += SITE_NS + self.round_trip()
        self.from_client(ACK)


# ---- what is said on the connections


def http_response(status: str, size: int) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nServer: demo\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode() + b"x" * size


def vector(length: int, body: bytes) -> bytes:
    """TLS's variable-length vector: a length of `length` octets, then the body."""
    return len(body).to_bytes(length) + body


def client_hello(name: str, rng: random.Random) -> bytes:
    """A TLS 1.3 ClientHello (RFC 8446 section 4.1.2) with SNI, ALPN and supported versions."""
    sni = struct.pack(">H", 0) + vector(2, vector(2, b"\0" + vector(2, name.encode())))
    alpn = struct.pack(">H", 16) + vector(2, vector(2, vector(1, b"http/1.1")))
    versions = struct.pack(">H", 43) + vector(2, vector(1, b"\x03\x04\x03\x03"))
    body = b"\x03\x03" + rng.randbytes(32) + vector(1, rng.randbytes(32))
    body += vector(2, b"\x13\x01\x13\x02\xc0\x2f") + vector(1, b"\0")
    body += vector(2, sni + alpn + versions)
    return b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))


def server_hello(rng: random.Random) -> bytes:
    """A TLS 1.3 ServerHello, ChangeCipherSpec and the first encrypted records."""
    body = b"\x03\x03" + rng.randbytes(32) + vector(1, rng.randbytes(32)) + b"\x13\x01\x00"
    body += vector(2, struct.pack(">H", 43) + vector(2, b"\x03\x04"))
    hello = b"\x16\x03\x03" + vector(2, b"\x02" + vector(3, body))
    return hello + b"\x14\x03\x03\x00\x01\x01" + application_data(2_100, rng)


def application_data(size: int, rng: random.Random) -> bytes:
    return b"\x17\x03\x03" + vector(2, rng.randbytes(size))


def dns_message(ident: int, name: str, flags: int, answer: bytes | None = None) -> bytes:
    question = b"".join(vector(1, label.encode()) for label in name.split(".")) + b"\0\0\1\0\1"
    message = struct.pack(">6H", ident, flags, 1, int(answer is not None), 0, 0) + question
    if answer is not None:
        message += b"\xc0\x0c\0\1\0\1" + struct.pack(">I", 300) + vector(2, answer)
    return message


# ---- the scenes


def within(span: tuple[int, int], second: float) -> bool:
    return span[0] <= second < span[1]


def arrivals(rng: random.Random, per_second: float) -> Iterator[float]:
    """Poisson arrivals over the capture, seconds after its start."""
    at = rng.expovariate(per_second)
    while at < DURATION_S - 5:
        yield at
        at += rng.expovariate(per_second)


def prefixes(place: int) -> tuple[str, str]:
    """Of a place by its number."""
    return f"198.18.{place + 1}.0/24", f"2001:db8:{0x100 + place:x}::/48"


def clients(rng: random.Random) -> list[tuple[str, int]]:
    """Addresses outside and their round trips; a quarter of them by IPv6."""
    made = []
    for place, (_, rtt_ms, how_many) in enumerate(PLACES):
        four, six = (ipaddress.ip_network(prefix) for prefix in prefixes(place))
        hosts = rng.sample(range(1, 255), how_many)
        for number, host in enumerate(hosts):
            net, offset = (four, host) if number % 4 else (six, rng.getrandbits(16) + 1)
            made.append((str(net[offset]), int(rtt_ms * rng.uniform(0.8, 1.3) * MS)))
    return made


def regions() -> list[tuple[Prefix, str]]:
    """What an operator would import: the site's own prefixes, and those of the places."""
    own = [(pack_prefix(prefix), HOME) for prefix in LOCAL]
    return own + [(pack_prefix(prefix), name) for place, (name, _, _) in enumerate(PLACES)
                  for prefix in prefixes(place)]  # fmt: skip


def conditions(wire: Wire, second: float, server: str, rtt_ns: int) -> tuple[int, float]:
    """Round trip and loss of a connection that starts now."""
    if within(LATENCY_S, second) and server in (SHOP, SHOP6):
        rtt_ns += LATENCY_STEP_NS
    return rtt_ns, LOSS_RATE if within(LOSS_S, second) else 0.0


def web_traffic(wire: Wire) -> None:
    rng, counts = wire.random, wire.truth.counts
    known = clients(rng)
    for second in arrivals(rng, VISITS):
        client, rtt_ns = rng.choice(known)
        server = rng.choice((WEB6, SHOP6) if ":" in client else (WEB, WEB, SHOP))
        rtt_ns, loss = conditions(wire, second, server, rtt_ns)
        start_ns = START_NS + int(second * SECOND)
        if rng.random() < 0.4:
            connection = Connection(wire, start_ns, client, (server, 80), rtt_ns)
            for page in range(rng.randint(1, 4)):
                status = rng.choices(("200 OK", "404 Not Found", "500 Error"), (95, 4, 1))[0]
                request = f"GET /page/{page} HTTP/1.1\r\nHost: www.demo.example\r\n\r\n".encode()
                body = http_response(status, int(rng.lognormvariate(8.5, 1)))
                connection.exchange(request, body, int(rng.lognormvariate(1, 0.5) * MS), loss)
                counts["http_requests"] += 1
                counts[f"http_{status[:3]}"] += 1
        else:
            name = "shop.demo.example" if server in (SHOP, SHOP6) else "www.demo.example"
            connection = Connection(wire, start_ns, client, (server, 443), rtt_ns)
            connection.exchange(client_hello(name, rng), server_hello(rng), 2 * MS, loss)
            counts["tls_client_hellos"] += 1
            for _ in range(rng.randint(1, 4)):
                size = min(16_000, int(rng.lognormvariate(8.5, 1)))
                answer = application_data(size, rng)
                think_ns = int(rng.lognormvariate(1, 0.5) * MS)
                connection.exchange(application_data(300, rng), answer, think_ns, loss)
        connection.close()
    step = {"kind": "latency_step", "targets": [SHOP, SHOP6], "added_ms": LATENCY_STEP_NS // MS}
    weather = {"kind": "loss", "rate": LOSS_RATE, "retransmissions": counts["retransmissions"]}
    wire.truth.episodes += [
        step | {"from_s": LATENCY_S[0], "to_s": LATENCY_S[1]},
        weather | {"from_s": LOSS_S[0], "to_s": LOSS_S[1]},
    ]


def name_service(wire: Wire) -> None:
    rng, counts = wire.random, wire.truth.counts
    known = [address for address, _ in clients(rng) if ":" not in address]
    for second in arrivals(rng, QUESTIONS):
        at_ns = START_NS + int(second * SECOND)
        client, server = (rng.choice(known), wire.port()), (NAMES, 53)
        ident, draw = rng.getrandbits(16), rng.random()
        name = "nothing.demo.example" if draw < 0.05 else "www.demo.example"
        wire.udp(at_ns, client, server, dns_message(ident, name, 0x0100))
        counts["dns_queries"] += 1
        if draw > 0.99:
            counts["dns_unanswered"] += 1
            continue
        if draw < 0.05:
            counts["dns_nxdomain"] += 1
            answer = dns_message(ident, name, 0x8183)
        else:
            answer = dns_message(ident, name, 0x8180, wire.address(WEB))
        wire.udp(at_ns + SITE_NS + int(rng.expovariate(1 / 400_000)), server, client, answer)


def port_scan(wire: Wire) -> None:
    """SYN scan of one host: closed ports answer RST, three open ones SYN-ACK and are reset."""
    rng = wire.random
    closed = [port for port in range(1, 10_000) if port not in OPEN_PORTS]
    ports = [*OPEN_PORTS, *rng.sample(closed, SCANNED_PORTS - len(OPEN_PORTS))]
    rng.shuffle(ports)
    gap = (SCAN_S[1] - SCAN_S[0]) * SECOND // len(ports)
    for number, port in enumerate(ports):
        at_ns = START_NS + SCAN_S[0] * SECOND + number * gap
        scanner, target, seq = (SCANNER, 54_321), (PRINTER, port), rng.getrandbits(32)
        wire.tcp(at_ns, scanner, target, seq, 0, SYN)
        if port in OPEN_PORTS:
            answer = rng.getrandbits(32)
            wire.tcp(at_ns + SITE_NS, target, scanner, answer, seq + 1, SYN | ACK)
            wire.tcp(at_ns + SITE_NS + 30 * MS, scanner, target, seq + 1, 0, RST)
        else:
            wire.tcp(at_ns + SITE_NS, target, scanner, 0, seq + 1, RST | ACK)
    wire.truth.episodes.append(
        attack("port_scan", SCAN_S, SCANNER, PRINTER) | {"ports": len(ports)}
    )


def slowloris(wire: Wire) -> None:
    """Connections that send a line of a request head every ten seconds and never end it."""
    begin, end = SLOWLORIS_S
    for number in range(SLOW_CONNECTIONS):
        start_ns = START_NS + begin * SECOND + number * 20 * MS
        connection = Connection(wire, start_ns, SLOW_CLIENT, (WEB, 80), 35 * MS)
        line = b"GET / HTTP/1.1\r\nHost: www.demo.example\r\n"
        while connection.now < START_NS + end * SECOND:
            connection.from_client(PSH | ACK, line)
            wire.tcp(connection.now + SITE_NS, connection.server, connection.client,
                     connection.resp, connection.orig, ACK)  # fmt: skip
            connection.now += 10 * SECOND
            line = f"X-a: {wire.random.randint(1, 5_000)}\r\n".encode()
    wire.truth.counts["http_requests_unfinished"] = SLOW_CONNECTIONS
    found = attack("slowloris", SLOWLORIS_S, SLOW_CLIENT, f"{WEB}:80")
    wire.truth.episodes.append(found | {"connections": SLOW_CONNECTIONS})


def syn_flood(wire: Wire) -> None:
    """SYNs from made-up sources of 198.19.0.0/16; the server answers, nobody completes."""
    rng = wire.random
    total = (FLOOD_S[1] - FLOOD_S[0]) * FLOOD_PER_SECOND
    for number in range(total):
        at_ns = START_NS + FLOOD_S[0] * SECOND + number * SECOND // FLOOD_PER_SECOND
        host = rng.getrandbits(16)
        source = f"198.19.{host >> 8}.{host & 255}"
        client, seq = (source, rng.randint(1_024, 65_535)), rng.getrandbits(32)
        wire.tcp(at_ns, client, (WEB, 443), seq, 0, SYN)
        answer = rng.getrandbits(32)
        wire.tcp(at_ns + SITE_NS, (WEB, 443), client, answer, seq + 1, SYN | ACK)
    found = attack("syn_flood", FLOOD_S, "198.19.0.0/16 (spoofed)", f"{WEB}:443")
    wire.truth.episodes.append(found | {"syns": total})


def attack(kind: str, span: tuple[int, int], source: str, target: str) -> dict[str, Any]:
    return {"kind": kind, "from_s": span[0], "to_s": span[1], "source": source, "target": target}


def make(path: Path, seed: int = 1) -> Truth:
    """Write the capture to `path` and the truth beside it; raises OSError as `open` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wire = Wire(seed)
    for scene in (web_traffic, name_service, port_scan, slowloris, syn_flood):
        scene(wire)
    wire.write(path)
    truth = path.with_name(path.name + ".truth.json")
    truth.write_text(json.dumps(vars(wire.truth), indent=1) + "\n")
    return wire.truth


@click.command(
    name="demo",
    short_help="Make a capture with attacks in it and replay it.",
    epilog="\b\nExample:\n  sensor demo --out /tmp/demo.pcap --seed 7",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    default=Path("sensor-demo.pcap"),
    show_default=True,
    help="The capture; the database goes to FILE.db, the truth to FILE.truth.json.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other bytes.")
@click.pass_context
def command(ctx: click.Context, out: Path, seed: int) -> int:
    """Make an hour of traffic with attacks and bad weather in it, and replay it.

    On a terminal the dashboard is served then, until Ctrl-C. A database left by an earlier demo
    is replaced.
    """
    database = out.with_name(out.name + ".db")
    try:
        truth = make(out, seed)
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{error.filename}: {error.strerror}") from error
    click.echo(f"Made {out}: {truth.packets:,} packets over {DURATION_S // 60} minutes, with")
    for episode in truth.episodes:
        when = f"{episode['from_s']:>4} s to {episode['to_s']:>3} s"
        aim = episode.get("target") or " and ".join(episode.get("targets", ["the whole site"]))
        click.echo(f"  {when}  {episode['kind'].replace('_', ' ')}, {aim}")
    click.echo(f"Replaying it into {database}\n")
    with Additions(str(database)) as additions:
        additions.regions(regions())
    local = [part for prefix in LOCAL for part in ("--local", prefix)]
    status = call(ctx, "replay", [str(out), "--db", str(database), *local])
    if status == 0 and sys.stdin.isatty() and sys.stdout.isatty():
        click.echo("\nThe dashboard on it, until Ctrl-C:")
        return serve(ctx, database)
    return status


def serve(ctx: click.Context, database: Path) -> int:
    """On the usual port, or any when that is taken; a demo without the server is no failure."""
    try:
        for port in ((), ("--port", "0")):
            try:
                return call(ctx, "serve", ["--store", str(database), *port])
            except UsageError as error:
                if port or "cannot listen" not in str(error):
                    raise
    except UsageError as error:
        click.echo(f"No dashboard: {error}", err=True)
    return 0


def call(ctx: click.Context, name: str, arguments: list[str]) -> int:
    """Another command of ours."""
    group = ctx.parent.command if ctx.parent else None
    command = group.get_command(ctx, name) if isinstance(group, click.Group) else None
    if command is None:
        raise click.UsageError("demo is part of the `sensor` command")
    with command.make_context(name, arguments, ctx.parent) as inner:
        return int(command.invoke(inner) or 0)
