"""Traffic by region (definitions 1.4): the country that a remote prefix is registered in.

A region is an ISO 3166-1 alpha-2 code, `private`, or `unknown`. It is where the registry delegated
the prefix (iptocc), not where the host stands: anycast and CDN addresses are often elsewhere. The
operator's own country database goes before, and the names of networks (geographic_regions) before
that; the longest prefix wins.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sensor._native.faces import Window
from sensor.metrics.countries import Countries
from sensor.model.address import Prefix, address_text, is_private
from sensor.model.metrics import GeographicDistribution

PRIVATE = "private"
UNKNOWN = "unknown"


@cache
def registry() -> Any:
    """iptocc, loaded with the first public address (10 MB)."""
    import iptocc  # noqa: PLC0415 - its table is not needed for private networks

    return iptocc


class OwnRegions:
    """The operator's ranges: the longest prefix that holds an address; and the country database."""

    def __init__(self) -> None:
        self.countries: Countries | None = None
        self._by_length: dict[int, dict[int, str]] = {}  # prefix length: network: name

    def use(self, ranges: Iterable[tuple[Prefix, str]]) -> None:
        """These and no others."""
        found: dict[int, dict[int, str]] = {}
        for (network, length), name in ranges:
            found.setdefault(length, {})[int.from_bytes(network) >> (128 - length)] = name
        self._by_length = dict(sorted(found.items(), reverse=True))
        region_of.cache_clear()

    def use_countries(self, countries: Countries | None) -> None:
        self.countries = countries
        region_of.cache_clear()

    def find(self, packed: bytes) -> str | None:
        number = int.from_bytes(packed)
        for length, names in self._by_length.items():
            if (name := names.get(number >> (128 - length))) is not None:
                return name
        return None


own = OwnRegions()


@lru_cache(maxsize=65536)
def region_of(packed: bytes) -> str:
    """Region of an address or prefix in 16 octets."""
    if (name := own.find(packed)) is not None:
        return name
    if is_private(packed):
        return PRIVATE
    if own.countries is not None and (found := own.countries(packed)) is not None:
        return found
    country: str | None = registry().country_code(address_text(packed))
    return country or UNKNOWN


@dataclass(slots=True)
class Region:
    """What was exchanged with one region."""

    bytes: int = 0
    packets: int = 0
    connections: int = 0
    errors: int = 0
    latency_count: int = 0
    latency_sum_ns: int = 0

    @property
    def latency_ms(self) -> float | None:
        """Mean network latency; None without samples."""
        if not self.latency_count:
            return None
        return round(self.latency_sum_ns / self.latency_count / 1e6, 6)

    @property
    def error_rate(self) -> float | None:
        """Failed connections among all, 0..1; None without connections."""
        return self.errors / self.connections if self.connections else None


PEER_COLUMNS = ("prefix", *Region.__slots__)


def by_region(window: Window) -> dict[str, Region]:
    """One window's remote prefixes, folded by region."""
    regions: dict[str, Region] = {}
    fold(regions, window)
    return regions


def fold(regions: dict[str, Region], window: Window) -> None:
    rows = window["peers"]
    columns = [rows[name].tolist() for name in PEER_COLUMNS]
    for prefix, *figures in zip(*columns, strict=True):
        if not any(figures):
            continue  # row 0 is what found no room in the table: empty, as a rule
        region = regions.setdefault(region_of(bytes(prefix)), Region())
        for name, value in zip(Region.__slots__, figures, strict=True):
            setattr(region, name, getattr(region, name) + value)


class GeographyFigures:
    """Merges windows by region; there are fewer than 300 of them."""

    def __init__(self, home: str | None = None) -> None:
        self.home = home  # region of the local side; None when it is not known
        self.regions: dict[str, Region] = {}

    def add(self, window: Window) -> None:
        fold(self.regions, window)

    def metrics(self) -> GeographicDistribution:
        ordered = sorted(self.regions.items())
        return GeographicDistribution(
            region=self.home,
            latency_by_region={name: r.latency_ms for name, r in ordered},
            traffic_by_region={name: r.bytes for name, r in ordered},
            error_rate_by_region={name: r.error_rate for name, r in ordered},
        )
