"""The server name in a QUIC ClientHello, out of the client's Initial packets.

Initial packets are encrypted under keys that anybody who sees the first of them can derive
(RFC 9001 5.2), so reading them is no attack on the protocol: the slow path of the QUIC recogniser.

Work is bounded: at most `MAX_DATAGRAMS` datagrams, `MAX_PACKETS` packets in each and `MAX_HELLO`
octets of ClientHello; frames take at least one octet each. Nothing here raises on foreign octets.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_DATAGRAMS = 16
MAX_PACKETS = 4
MAX_HELLO = 16 * 1024
MAX_CID = 20

_V1 = 0x00000001
_V2 = 0x6B3343CF

# RFC 9001 5.2, RFC 9369 3.3.1 and the drafts that changed the salt (draft-ietf-quic-tls).
_SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_SALT_V2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_SALT_29 = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
_SALT_23 = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_SALT_22 = bytes.fromhex("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")


class _BadPacketError(Exception):
    """The octets are not what they claim to be; never leaves this module."""


@dataclass(frozen=True, slots=True)
class _Packet:
    """One Initial packet, still protected."""

    version: int
    destination: bytes
    octets: bytes  # from the first octet of the header to the end of the packet
    number_at: int  # offset of the packet number


class _Reader:
    """A cursor that cannot run past its end."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.at = 0

    @property
    def left(self) -> int:
        return len(self._octets) - self.at

    def take(self, n: int) -> bytes:
        if n > self.left:
            raise _BadPacketError
        self.at += n
        return self._octets[self.at - n : self.at]

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "big")

    def varint(self) -> int:
        """RFC 9000 16."""
        first = self.number(1)
        more = (1 << (first >> 6)) - 1
        return (first & 0x3F) << 8 * more | self.number(more)


def server_name(datagrams: list[bytes]) -> str | None:
    """The host name in the ClientHello of a client's Initial datagrams, in any order.

    None when there is none, when octets of it are missing, or for anything that is not QUIC v1, v2
    or a draft from 22 on. Source: RFC 9001 5, RFC 9369 3, RFC 8446 4.1.2, RFC 6066 3.
    """
    hello: dict[int, bytes] = {}
    first_id: bytes | None = None
    for datagram in datagrams[:MAX_DATAGRAMS]:
        try:
            for packet in _initials(datagram):
                first_id = first_id or packet.destination
                # A Retry gives new keys, from its id; the server's own id, used later, does not.
                payload = _open(packet, packet.destination) or _open(packet, first_id)
                if payload is not None:
                    _collect(hello, payload)
        except _BadPacketError:
            continue
    try:
        return _name_in_hello(_joined(hello))
    except _BadPacketError:
        return None


def _initials(datagram: bytes) -> Iterator[_Packet]:
    """The Initial packets that are coalesced in one datagram (RFC 9000 12.2, 17.2.2)."""
    reader = _Reader(datagram)
    for _ in range(MAX_PACKETS):
        if reader.left < 7 or not datagram[reader.at] & 0x80:
            return
        start = reader.at
        kind = reader.number(1) >> 4 & 3
        version = reader.number(4)
        destination = reader.take(_cid_length(reader.number(1)))
        reader.take(_cid_length(reader.number(1)))
        if version == _V2:
            kind = (kind - 1) % 4
        if kind == 3 or version == 0:  # Retry and version negotiation have no length
            return
        if kind == 0:
            reader.take(reader.varint())
        length = reader.varint()
        number_at = reader.at - start
        reader.take(length)
        if kind == 0:
            yield _Packet(version, destination, datagram[start : reader.at], number_at)


def _cid_length(n: int) -> int:
    if n > MAX_CID:
        raise _BadPacketError
    return n


def _salts(version: int) -> tuple[bytes, ...]:
    """The salts that may be right: one for a published version, any for the others."""
    if version == _V1:
        return (_SALT_V1,)
    if version == _V2:
        return (_SALT_V2,)
    if version >> 8 == 0xFF0000:
        draft = version & 0xFF
        for first, salt in ((33, _SALT_V1), (29, _SALT_29), (23, _SALT_23), (22, _SALT_22)):
            if draft >= first:
                return (salt,)
        return ()
    # mvfst, and greased versions that provoke a version negotiation.
    return (_SALT_V1, _SALT_29, _SALT_23, _SALT_22)


def _expand_label(secret: bytes, label: str, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1) with SHA-256 and no context, for length <= 32."""
    full = b"tls13 " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    return hmac.digest(secret, info + b"\1", "sha256")[:length]


def client_keys(version: int, salt: bytes, destination: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, IV and header-protection key of the client's Initials (RFC 9001 5.2, RFC 9369 3.3.2)."""
    secret = _expand_label(hmac.digest(salt, destination, "sha256"), "client in", 32)
    prefix = "quicv2" if version == _V2 else "quic"
    return (
        _expand_label(secret, f"{prefix} key", 16),
        _expand_label(secret, f"{prefix} iv", 12),
        _expand_label(secret, f"{prefix} hp", 16),
    )


def _open(packet: _Packet, destination: bytes) -> bytes | None:
    """The frames of a packet, or None when the keys of `destination` are not its keys."""
    sample = packet.octets[packet.number_at + 4 : packet.number_at + 20]
    if len(sample) < 16:
        raise _BadPacketError
    for salt in _salts(packet.version):
        key, iv, hp = client_keys(packet.version, salt, destination)
        # Header protection is one AES block by definition (RFC 9001 5.4.3): no mode is meant.
        mask = Cipher(algorithms.AES128(hp), modes.ECB()).encryptor().update(sample)  # noqa: S305
        first = packet.octets[0] ^ (mask[0] & 0x0F)
        number_end = packet.number_at + (first & 3) + 1
        number = bytes(
            a ^ b
            for a, b in zip(packet.octets[packet.number_at : number_end], mask[1:], strict=False)
        )
        header = bytes([first]) + packet.octets[1 : packet.number_at] + number
        nonce = (int.from_bytes(iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
        try:
            return AESGCM(key).decrypt(nonce, packet.octets[number_end:], header)
        except InvalidTag:
            continue
    return None


def _collect(found: dict[int, bytes], payload: bytes) -> None:
    """Add the CRYPTO frames of an Initial's payload, offset -> octets (RFC 9000 12.4, 19)."""
    reader = _Reader(payload)
    while reader.left:
        kind = reader.number(1)
        if kind in (0x00, 0x01):  # PADDING, PING
            continue
        if kind in (0x02, 0x03):  # ACK
            reader.varint()
            reader.varint()
            ranges = reader.varint()
            reader.varint()
            for _ in range(min(ranges, reader.left)):
                reader.varint()
                reader.varint()
            if kind == 0x03:
                for _ in range(3):
                    reader.varint()
        elif kind == 0x06:  # CRYPTO
            offset = reader.varint()
            octets = reader.take(reader.varint())
            if offset + len(octets) <= MAX_HELLO and len(octets) > len(found.get(offset, b"")):
                found[offset] = octets
        else:  # CONNECTION_CLOSE, or not allowed here
            return


def _joined(pieces: dict[int, bytes]) -> bytes:
    """The octets from offset 0 up to the first hole."""
    out = b""
    for offset in sorted(pieces):
        if offset > len(out):
            break
        out += pieces[offset][len(out) - offset :]
    return out


def _name_in_hello(octets: bytes) -> str | None:
    """The host_name of a ClientHello message, of which the end may be missing."""
    reader = _Reader(octets)
    if reader.number(1) != 1:
        return None
    reader.take(3 + 2 + 32)  # message length, version, random
    reader.take(reader.number(1))  # session id
    reader.take(reader.number(2))  # cipher suites
    reader.take(reader.number(1))  # compression methods
    reader.take(2)
    while reader.left:
        kind, length = reader.number(2), reader.number(2)
        if kind != 0:
            reader.take(length)
            continue
        body = _Reader(reader.take(length))
        body.take(2)
        if body.number(1) != 0:
            return None
        name = body.take(body.number(2))[:255]
        return name.decode("ascii", "backslashreplace").lower() or None
    return None
