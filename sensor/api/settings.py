"""What an operator can choose about the API."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sensor.analytics.cost import Billing

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a client may make us hold or wait for."""

    body: int = 64 << 10  # octets; no endpoint needs one
    body_s: float = 5.0  # to send it
    header_s: float = 5.0  # to send a request's header
    header: int = 16 << 10  # octets
    half_sent_per_peer: int = 32  # connections that have not sent a header yet
    connections: int = 512  # the oldest that has not sent a header gives way
    threads: int = 12  # that work; questions beyond wait their turn
    stores: int = 4  # questions answered at a time
    store_s: float = 10.0  # to wait for one's turn
    clients: int = 64  # WebSockets
    queue: int = 32  # messages that wait for a slow one
    send_s: float = 20.0  # a message that is not taken by then ends the WebSocket
    heartbeat_s: float = 15.0
    poll_s: float = 0.5  # between two looks for new windows


@dataclass(frozen=True, slots=True)
class Prices:
    """None: not known. `baseline`: of a month before the optimizations."""

    billing: Billing | None = None
    baseline: float | None = None
    cdn_per_gb: float | None = None
    origin_per_gb: float | None = None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`hosts`: names that a request may be for (Host), besides loopback."""

    token: str
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()  # besides a request's own
    web: Path | None = None  # the built dashboard
    capacity_mbps: float | None = None  # of the link
    prices: Prices = field(default_factory=Prices)
    limits: Limits = field(default_factory=Limits)
    more_metrics: Callable[[], Iterable[str]] = tuple  # further lines of /metrics
