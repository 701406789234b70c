"""Lines of CDN logs become rows: Cloudflare Logpush, CloudFront standard logs, Fastly JSON.

A line is anybody's octets: what is not of its type is None, and a line without a time is no row.
Client addresses only give a region; they are not kept.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

from sensor.metrics.geography import region_of
from sensor.model.address import pack_address
from sensor.model.cdn import CLOUDFLARE, CLOUDFRONT, HIT, MISS, cache_status, fastly_status
from sensor.model.rows import CdnRow
from sensor.model.text import printable

EARLIEST, LATEST = 946_684_800, 4_102_444_800  # s: 2000 to 2100
MOST = 1 << 50
FEWEST_COLUMNS = 4  # an owner may choose which there are
CLOUDFRONT_COLUMNS = (  # of a file whose header was cut off
    "date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem",
    "sc-status", "cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)",
    "x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol", "cs-bytes",
    "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher", "x-edge-response-result-type",
    "cs-protocol-version", "fle-status", "fle-encrypted-fields", "c-port", "time-to-first-byte",
    "x-edge-detailed-result-type", "sc-content-type", "sc-content-len", "sc-range-start",
    "sc-range-end",
)  # fmt: skip

Fields = dict[str, Any]
_decode = msgspec.json.Decoder().decode


class BadLine(ValueError):
    """No row is in it."""


class NotCounted(Exception):
    """A line about another hop of a request that has a line of its own."""


def number(value: Any, scale: float = 1) -> int | None:
    """A count that is not negative, scaled; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value) * scale
    except (TypeError, ValueError, OverflowError):
        return None
    return round(found) if isfinite(found) and 0 <= found <= MOST else None


def text(value: Any) -> str | None:
    """One line of what can be shown; None for nothing and for `-`."""
    if not isinstance(value, str) or value in ("", "-"):
        return None
    return printable(value)


def status_of(value: Any) -> int | None:
    found = number(value)
    return found if found is not None and 100 <= found <= 599 else None


def time_us(value: Any) -> int | None:
    """RFC 3339, or seconds, ms, us or ns since 1970, by their size."""
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            return None
        # A log that names no zone is in UTC.
        found: float = when.replace(tzinfo=when.tzinfo or UTC).timestamp()
        return round(found * 1e6) if EARLIEST <= found < LATEST else None
    if isinstance(value, bool):
        return None
    for digits in (1, 1_000, 1_000_000, 1_000_000_000):
        whole = value if isinstance(value, int) else None
        try:
            seconds = float(value) / digits
        except (TypeError, ValueError, OverflowError):
            return None
        if EARLIEST <= seconds < LATEST:
            return round(seconds * 1e6) if whole is None else whole * 1_000_000 // digits
    return None


def region(country: Any, address: Any) -> str | None:
    """The country the log names, else that of the client's address."""
    if isinstance(country, str) and len(country) == 2 and country.isalpha() and country.isascii():
        return country.upper()
    try:
        return region_of(pack_address(address)) if isinstance(address, str) else None
    except ValueError:
        return None


def fields(line: bytes) -> Fields:
    """A line of JSON."""
    try:
        found = _decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLine("no JSON") from error
    if not isinstance(found, dict):
        raise BadLine("no object")
    return found


def cloudflare(f: Fields, agent_id: str) -> CdnRow:
    start, end = time_us(f.get("EdgeStartTimestamp")), time_us(f.get("EdgeEndTimestamp"))
    if start is None:
        raise BadLine("no EdgeStartTimestamp")
    word = text(f.get("CacheCacheStatus"))
    status = cache_status(CLOUDFLARE, word)
    tiered = f.get("CacheTieredFill")
    return CdnRow(
        agent_id, start, "cloudflare", text(f.get("EdgeColoCode")),
        region(f.get("ClientCountry"), f.get("ClientIP")), text(f.get("ClientRequestHost")),
        status_of(f.get("EdgeResponseStatus")), status, word,
        int(tiered) if isinstance(tiered, bool) and (tiered or status == MISS) else None,
        number(f.get("EdgeResponseBytes")), number(f.get("OriginResponseBytes")),
        end - start if end is not None and end >= start else None,
        number(f.get("EdgeTimeToFirstByteMs"), 1000),
    )  # fmt: skip


def cloudfront(f: Fields, agent_id: str) -> CdnRow:
    when = time_us(f"{f.get('date')}T{f.get('time')}") or time_us(f.get("timestamp"))
    if when is None:
        raise BadLine("no date and time")
    word = text(f.get("x-edge-result-type"))
    detail = text(f.get("x-edge-detailed-result-type"))
    shielded = detail == "OriginShieldHit" or word == "OriginShieldHit"
    status = HIT if shielded else cache_status(CLOUDFRONT, word)
    return CdnRow(
        agent_id, when, "cloudfront", text(f.get("x-edge-location")),
        region(f.get("c-country"), f.get("c-ip")),
        text(f.get("x-host-header")) or text(f.get("cs(Host)")), status_of(f.get("sc-status")),
        status, detail or word, 1 if shielded else 0 if detail and status == MISS else None,
        number(f.get("sc-bytes")), None, number(f.get("time-taken"), 1e6),
        number(f.get("time-to-first-byte"), 1e6),
    )  # fmt: skip


def first(f: Fields, *names: str) -> Any:
    return next((f[name] for name in names if f.get(name) not in (None, "")), None)


def fastly(f: Fields, agent_id: str) -> CdnRow:
    """Fastly's logs have the fields that their owner chose; these are the names of its examples."""
    event = f.get("event")
    if isinstance(event, dict):
        f = {**f, **event}
    if f.get("fastly_is_edge") is False:
        raise NotCounted
    when = time_us(first(f, "timestamp", "time_start", "start_time", "time"))
    if when is None:
        raise BadLine("no time")
    state = text(first(f, "fastly_info_state", "cache_status", "state", "cache"))
    status, shield = fastly_status(state), None
    hops = [word.strip() for word in (text(first(f, "x_cache", "resp_x_cache")) or "").split(",")]
    if state is None and hops[-1]:  # X-Cache: shield, edge
        state = ", ".join(hops)
        status = fastly_status(hops[-1])
        if len(hops) > 1 and status == MISS:
            shield = int(fastly_status(hops[0]) == HIT)
            status = HIT if shield else MISS
    return CdnRow(
        agent_id, when, "fastly",
        text(first(f, "pop", "fastly_pop", "datacenter", "server_datacenter", "edge_location")),
        region(first(f, "geo_country_code", "client_country_code", "geo_country", "country"),
               first(f, "client_ip", "clientip")),
        text(first(f, "host", "request_host", "req_host", "url_host")),
        status_of(first(f, "response_status", "status", "resp_status")), status, state, shield,
        number(first(f, "resp_bytes_written", "response_bytes", "bytes", "response_body_size")),
        number(first(f, "origin_bytes", "bereq_bytes_read")),
        number(first(f, "time_elapsed_usec", "time_elapsed", "elapsed_usec")),
        number(first(f, "time_to_first_byte", "ttfb"), 1e6),
    )  # fmt: skip


class Lines:
    """Rows of one file, line by line; the format is told, or known by the first good line."""

    def __init__(self, form: str, agent_id: str) -> None:
        self.form = form
        self._agent_id = agent_id
        self._columns: tuple[str, ...] = CLOUDFRONT_COLUMNS

    def row(self, line: bytes) -> CdnRow | None:
        """None for a comment or an empty line, and NotCounted. BadLine: no row is in it."""
        line = line.strip()
        if not line:
            return None
        if line.startswith(b"#"):
            self._header(line)
            return None
        if line.startswith(b"{"):
            found = fields(line)
        else:
            parts = line.decode("utf-8", "replace").split("\t")
            if self.form not in ("auto", "cloudfront") or len(parts) < FEWEST_COLUMNS:
                raise BadLine("neither JSON nor a line of CloudFront")
            found = dict(zip(self._columns, parts, strict=False))
        if self.form == "auto":
            self.form = form_of(found)
        return FORMATS[self.form](found, self._agent_id)

    def _header(self, line: bytes) -> None:
        if line.lower().startswith(b"#fields:"):
            self._columns = tuple(line[8:].decode("utf-8", "replace").split()[:200])
            if self.form == "auto":
                self.form = "cloudfront"


def form_of(found: Fields) -> str:
    if "EdgeStartTimestamp" in found:
        return "cloudflare"
    return "cloudfront" if "x-edge-location" in found else "fastly"


FORMATS: dict[str, Callable[[Fields, str], CdnRow]] = {
    "cloudflare": cloudflare, "cloudfront": cloudfront, "fastly": fastly,
}  # fmt: skip
