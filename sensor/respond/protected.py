"""Whom we never block, and why: special addresses, this host's own, and the operator's list."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sensor.errors import SensorError, one_line
from sensor.model.address import PRIVATE_RANGES, Prefix, contains, pack_address, pack_prefix
from sensor.respond.netlink import HostAddresses
from sensor.respond.settings import Settings

# RFC 6890 and the registries it made: what no host of the Internet has as its address.
SPECIAL = {
    "0.0.0.0/8": "no address of a host",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "192.0.0.0/24": "no address of a host",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved or broadcast",
    "::/128": "no address of a host",
    "::1/128": "loopback",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
SHARED = "100.64.0.0/10"  # RFC 6598: behind a provider's NAT
# systemd-resolved shows itself in /etc/resolv.conf, and whom it asks in a file of its own.
RESOLV_CONF = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
MOST_OCTETS = 1 << 20


@dataclass(frozen=True, slots=True)
class Protected:
    """Prefixes in 16 octets, each with the reason."""

    reasons: tuple[tuple[Prefix, str], ...]

    def why(self, address: bytes) -> str | None:
        """Why this address is never blocked; None when it may be."""
        for prefix, reason in self.reasons:
            if contains(prefix, address):
                return reason
        return None


def protected(
    settings: Settings,
    host: HostAddresses,
    resolvers: Iterable[bytes] = (),
    local: Iterable[Prefix] = (),
) -> Protected:
    """All that is never blocked; `local`: what the agents of the events call their own side."""
    found = [(pack_prefix(text), reason) for text, reason in SPECIAL.items()]
    found += [(prefix, "on the allow list") for prefix in settings.allow]
    for prefixes, reason in (
        (host.own, "an address of this host"),
        (host.broadcast, "a broadcast or anycast address"),
        (host.gateways, "a gateway of this host"),
        (host.peers, "the other end of a link of this host"),
        (((address, 128) for address in resolvers), "a DNS resolver of this host"),
    ):
        found += [(prefix, reason) for prefix in sorted(prefixes)]
    if not settings.allow_private_targets:
        found += [(pack_prefix(text), "a private address") for text in (*PRIVATE_RANGES, SHARED)]
        found += [(prefix, "in a network of this host") for prefix in sorted(host.networks)]
        found += [(prefix, "in the local networks of the sensor") for prefix in local]
    return Protected(tuple(found))


def resolvers(paths: Iterable[str] = RESOLV_CONF) -> set[bytes]:
    """The name servers of resolv.conf(5). SensorError for a file that is there and unreadable."""
    found = set()
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                text = file.read(MOST_OCTETS).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SensorError(one_line(f"cannot read the resolvers: {path}: {reason}")) from error
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                address = parsed(words[1])
                if address is not None:
                    found.add(address)
    return found


def parsed(text: str | None) -> bytes | None:
    """16 octets of an address as text, without its zone; None when it is no address."""
    try:
        return pack_address(str(ip_address(text or "")).partition("%")[0])
    except ValueError:
        return None
