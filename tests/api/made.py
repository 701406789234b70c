"""A small store with something of everything, and an API over it."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from socket import SO_SNDBUF, SOL_SOCKET
from threading import Thread
from time import monotonic, sleep

from sensor.api.app import make_app
from sensor.api.server import make_server
from sensor.api.settings import ApiSettings, Limits
from sensor.model.rows import (
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    ProtocolMixRow,
    RegionalRow,
    WindowRows,
)
from sensor.programs.serve import listen
from sensor.store.opening import opener
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, BOOT, T0, US, agent, connection, event, histogram
from tests.unit.store.made import metrics as row_of

MINUTE = 60 * US
TOKEN = "a-token-for-tests-only"  # noqa: S105
WINDOWS = 130
WEB, DNS = "web.example:443/tcp", "192.0.2.53:53/udp"


def window(at: int, samples: dict[str, list[int]], n: int = 0) -> WindowRows:
    """One minute; `samples` by endpoint, us."""
    rows = [
        row_of(
            name, at, values, jitter_count=len(values), jitter_sum_us=500 * len(values),
            region="CH", role="originator", app="dns" if name == DNS else "ssl",
            packets_lost=None if name == DNS else 1, packets_retransmitted=0 if name == DNS else 1,
            connections_active=3, connections_new=2, connections_closed=2, connections_failed=1,
            https_requests=8, http_requests=0,
        )
        for name, values in samples.items()
    ]  # fmt: skip
    ten, zero = json.dumps([1250] * 10), json.dumps([0] * 10)
    pooled = [us for values in samples.values() for us in values]
    return WindowRows(
        agent(at + 59 * US),
        rows,
        [connection(at + s * US, "REJ" if s == 5 else "SF") for s in range(6)],
        [BandwidthSecond(AGENT, BOOT, at + s * US, 12_500, 6250, 0, 20, 20, 0, ten, ten, zero)
         for s in range(0, 60, 2)],
        [ProtocolMixRow(AGENT, BOOT, at, 60, leaf, octets, 20, 2)
         for leaf, octets in (("https", 9000), ("dns", 1000))],
        [LatencyHistogramRow(AGENT, BOOT, at, 60, "tcp_rtt", len(pooled), min(pooled), 1.0, 1, 1, 1,
                             max(pooled), histogram(pooled))],
        [RegionalRow(AGENT, BOOT, at, 60, "CH", 10_000, 20, 4, 1, 9000, 40)],
        [CaptureHealthRow(AGENT, BOOT, at, 60, "ok", 1000, 0, None, 0, 0, 0, 0, 0, 0, 0, 0, 0.0,
                          "{}")],
        [event(n, at + 30 * US)] if n % 50 == 10 else [],
    )  # fmt: skip


def fill(path: str, windows: int = WINDOWS) -> dict[tuple[int, str], list[int]]:
    """Writes the store; the samples by window and endpoint."""
    rng = random.Random(7)
    truth: dict[tuple[int, str], list[int]] = {}
    with SqliteStore(path) as store:
        for n in range(windows):
            at = T0 + n * MINUTE
            samples = {
                name: [int(rng.lognormvariate(mu, 0.8)) + 1 for _ in range(30)]
                for name, mu in ((WEB, 10.5), (DNS, 8.5))
            }
            truth |= {(at, name): values for name, values in samples.items()}
            store.write_window(window(at, samples, n))
    return truth


@contextmanager
def serving(
    path: str, limits: Limits | None = None, send_buffer: int = 0, port: int = 0, **more: object
) -> Iterator[tuple[str, int]]:
    """An API on a real socket; its address."""
    settings = ApiSettings(token=TOKEN, limits=limits or Limits(), **more)  # type: ignore[arg-type]
    listening = listen("127.0.0.1", port)
    if send_buffer:
        listening.setsockopt(SOL_SOCKET, SO_SNDBUF, send_buffer)
    server = make_server(make_app(settings, opener(path)), settings)
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = monotonic() + 20
    while not server.started and monotonic() < deadline:
        sleep(0.01)
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def ask(
    address: tuple[str, int], path: str, method: str = "GET", body: bytes | None = None,
    **headers: str,
) -> tuple[int, object, dict[str, str]]:  # fmt: skip
    """Status, document, headers (lower case); with the token unless told otherwise."""
    given = {"authorization": f"Bearer {TOKEN}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    client = HTTPConnection(*address, timeout=20)
    try:
        client.request(method, path, body, {k: v for k, v in given.items() if v})
        answer = client.getresponse()
        octets = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        is_json = found.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(octets) if octets and is_json else octets, found
    finally:
        client.close()
