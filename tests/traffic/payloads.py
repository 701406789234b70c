"""What is said inside: HTTP, TLS, DNS, RTP and the like, as octets."""

import struct
from random import Random

AGENTS = (
    b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0 Safari/537.36",
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
)
FORM = b"application/x-www-form-urlencoded"

# ---- HTTP/1.1


def request(
    path: str,
    *,
    method: str = "GET",
    agent: bytes = AGENTS[0],
    more: bytes = b"",
    body: bytes = b"",
    promised: int | None = None,
) -> bytes:
    """A request with its body, of which it may promise more; `more` are whole header lines."""
    if method != "GET":
        length = len(body) if promised is None else promised
        more += b"Content-Type: %b\r\nContent-Length: %d\r\n" % (FORM, length)
    head = b"%b %b HTTP/1.1\r\nHost: www.example.net\r\nUser-Agent: %b\r\nAccept: */*\r\n%b\r\n"
    return head % (method.encode(), path.encode(), agent, more) + body


def response(status: int, body: bytes, kind: bytes = b"text/html") -> bytes:
    """A response with its body."""
    head = b"HTTP/1.1 %d %b\r\nServer: nginx\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    word = {200: b"OK", 401: b"Unauthorized", 404: b"Not Found", 503: b"Service Unavailable"}
    return head % (status, word.get(status, b"Status"), kind, len(body)) + body


# ---- TLS (RFC 8446 section 4.1)


def vector(length: int, body: bytes) -> bytes:
    return len(body).to_bytes(length) + body


def client_hello(rng: Random, name: str = "www.example.net", *, newest: int = 0x0304) -> bytes:
    """A ClientHello that offers up to `newest` (0x0303: TLS 1.2)."""
    extensions = extension(0, vector(2, b"\0" + vector(2, name.encode())))
    extensions += extension(16, vector(2, vector(1, b"http/1.1")))
    extensions += extension(10, vector(2, b"\x00\x1d\x00\x17"))
    if newest >= 0x0304:
        extensions += extension(43, vector(1, b"\x03\x04\x03\x03"))
        extensions += extension(51, vector(2, b"\x00\x1d" + vector(2, rng.randbytes(32))))
    suites = b"\x13\x01\x13\x02\x13\x03\xc0\x2f\xc0\x30\xc0\x2b\x00\x9c"
    body = min(newest, 0x0303).to_bytes(2) + rng.randbytes(32) + vector(1, rng.randbytes(32))
    body += vector(2, suites) + vector(1, b"\0") + vector(2, extensions)
    return b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">H", kind) + vector(2, body)


def server_hello(rng: Random, version: int = 0x0304, *, sentinel: bytes = b"") -> bytes:
    """The server's first flight; `sentinel` ends its random (RFC 8446 section 4.1.3)."""
    extensions = extension(43, b"\x03\x04") if version == 0x0304 else b""
    suite = b"\x13\x01" if version == 0x0304 else b"\xc0\x2f"
    chosen = min(version, 0x0303).to_bytes(2)
    body = chosen + rng.randbytes(32 - len(sentinel)) + sentinel + vector(1, rng.randbytes(32))
    body += suite + b"\0" + (vector(2, extensions) if extensions else b"")
    hello = b"\x16" + chosen + vector(2, b"\x02" + vector(3, body))
    if version == 0x0304:
        return hello + b"\x14\x03\x03\0\x01\x01" + application_data(rng, 2300)
    certificate = b"\x0b" + vector(3, vector(3, vector(3, rng.randbytes(1800))))
    done = b"\x0e\0\0\0"
    return hello + b"\x16" + chosen + vector(2, certificate) + b"\x16" + chosen + vector(2, done)


def client_finished(rng: Random, version: int = 0x0304) -> bytes:
    """What the client answers to the server's first flight."""
    change = b"\x14\x03\x03\0\x01\x01"
    if version == 0x0304:
        return change + application_data(rng, 53)
    exchange = b"\x16\x03\x03" + vector(2, b"\x10" + vector(3, vector(1, rng.randbytes(65))))
    return exchange + change + b"\x16\x03\x03" + vector(2, rng.randbytes(40))


def application_data(rng: Random, size: int) -> bytes:
    return b"\x17\x03\x03" + vector(2, rng.randbytes(size))


def alert(level: int, description: int) -> bytes:
    """In the clear: 2, 48 is unknown_ca, fatal."""
    return bytes((0x15, 3, 3, 0, 2, level, description))


# ---- DNS (RFC 1035 section 4.1)

A, NS, PTR, MX, TXT, AAAA, SRV, DNSKEY, ANY = 1, 2, 12, 15, 16, 28, 33, 48, 255
NXDOMAIN, SERVFAIL = 3, 2


def name(text: str) -> bytes:
    return b"".join(vector(1, label.encode()) for label in text.split(".") if label) + b"\0"


def query(ident: int, qname: str, kind: int = A, *, edns: int = 1232) -> bytes:
    """A question with an OPT record that announces `edns` octets (0: none)."""
    opt = b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b""
    head = struct.pack(">6H", ident & 0xFFFF, 0x0100, 1, 0, 0, 1 if edns else 0)
    return head + name(qname) + struct.pack(">HH", kind, 1) + opt


def answer(
    ident: int,
    qname: str,
    kind: int = A,
    records: tuple[bytes, ...] = (b"\xc0\0\2\1",),
    *,
    rcode: int = 0,
    ttl: int = 300,
) -> bytes:
    """The answer: `records` are data of type `kind`."""
    head = struct.pack(">6H", ident & 0xFFFF, 0x8180 | rcode, 1, len(records), 0, 0)
    owned = [b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(r)) + r for r in records]
    return head + name(qname) + struct.pack(">HH", kind, 1) + b"".join(owned)


# ---- others


def rtp(sequence: int, stamp: int, ssrc: int, payload: bytes) -> bytes:
    """An RTP packet of G.711 (RFC 3550 section 5.1)."""
    return struct.pack(">BBHII", 0x80, 0, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc) + payload


def utp(kind: int, connection: int, sequence: int, payload: bytes = b"") -> bytes:
    """A uTP packet (BEP 29): type, version 1."""
    head = struct.pack(">BBHIIIHH", kind << 4 | 1, 0, connection, 0, 0, 1 << 20, sequence, 0)
    return head + payload


def ntp(mode: int, size: int = 48) -> bytes:
    """An NTP packet of version 4 (or mode 6, 7: version 2)."""
    return bytes(((4 if mode < 6 else 2) << 3 | mode,)) + bytes(size - 1)
