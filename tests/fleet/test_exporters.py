"""Other ways out: a real HTTP receiver decodes OTLP, lines of NDJSON are read back."""

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isclose
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from sensor.errors import UsageError
from sensor.ship.destination import Refused, Unavailable
from sensor.ship.exporters import open_destination
from sensor.ship.exporters.ndjson import append
from sensor.ship.outbox import Outbox
from tests.fleet.made import agent_id, host
from tests.fleet.servers import free_port
from tests.fleet.shipping import ship

service = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")


class Receiver:
    """Keeps what it is sent; answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []  # of the next answers; then 200
        self.rejects = 0
        self.port = 0

    def points(self) -> Iterator[tuple[str, str, Any]]:
        """(agent, metric, point) of all."""
        for request in self.requests:
            for resource in request.resource_metrics:
                own = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        data = getattr(metric, metric.WhichOneof("data"))
                        assert data.aggregation_temporality == 1  # delta
                        for point in data.data_points:
                            yield own["service.instance.id"], metric.name, point


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            status = made.statuses.pop(0) if made.statuses else 200
            answer = service.ExportMetricsServiceResponse()
            if status == 200:
                assert self.path == "/v1/metrics"
                made.requests.append(service.ExportMetricsServiceRequest.FromString(body))
                made.headers.append(dict(self.headers))
                answer.partial_success.rejected_data_points = made.rejects
            octets = answer.SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def attributes(point: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in point.attributes}


def test_otlp_has_every_sample_and_every_octet(tmp_path: Path) -> None:
    samples: list[int] = []
    path = host(tmp_path / "s.db", [1], 30, samples)
    with receiver() as collector:
        ship(path, f"otlp+http://127.0.0.1:{collector.port}")
    sent: Counter[str] = Counter()
    buckets: Counter[int] = Counter()
    low, high, total = [], [], 0.0
    for agent, name, point in collector.points():
        assert agent == agent_id(1)
        known = attributes(point)
        if known["sensor.window_s"] != 60:
            continue  # the daemon's short looks are a series of their own
        assert point.time_unix_nano - point.start_time_unix_nano == 60 * 10**9
        if name == "system.network.io":
            sent[known["network.io.direction"]] += point.as_int
        if name == "sensor.network.rtt":
            assert known["server.address"] in ("a.example", "b", "naïve\u202e", "nul\0")
            assert known["network.transport"] in ("tcp", "udp")
            assert point.count == sum(point.positive.bucket_counts) + point.zero_count
            total += point.sum
            low.append(point.min)
            high.append(point.max)
            for i, n in enumerate(point.positive.bucket_counts):
                buckets[point.positive.offset + i] += n
    assert sent == {"transmit": 30 * 4 * 1000, "receive": 30 * 4 * 3000}
    assert sum(buckets.values()) == len(samples)
    assert isclose(total, sum(samples) / 1e6)
    assert min(low) == min(samples) / 1e6
    assert max(high) == max(samples) / 1e6
    # The 99th percentile is in the bucket that has the sample of that rank, or beside it.
    exact = np.percentile(samples, 99, method="inverted_cdf") / 1e6
    upto = 0
    for index in sorted(buckets):
        upto += buckets[index]
        if upto * 100 >= len(samples) * 99:
            assert 2 ** (index / 16) * 0.98 <= exact <= 2 ** ((index + 1) / 16) * 1.02
            break


def test_what_is_unknown_is_no_point(tmp_path: Path) -> None:
    path = host(tmp_path / "s.db", [1], 1)
    with receiver() as collector:
        ship(path, f"otlp+http://127.0.0.1:{collector.port}")
    dropped = [attributes(p) for _, n, p in collector.points() if n.endswith("packets.dropped")]
    assert {a["sensor.dropped.by"] for a in dropped} == {"interface"}  # the kernel's are NULL


def test_otlp_failures(tmp_path: Path) -> None:
    path = host(tmp_path / "s.db", [1], 1)
    with receiver() as collector:
        destination = open_destination(f"otlp+http://u:secret@127.0.0.1:{collector.port}/x/..")
        assert "secret" not in destination.name
        destination = open_destination(f"otlp+http://u:secret@127.0.0.1:{collector.port}")
        with closing(Outbox(path, destination.name, destination.tables)) as outbox:
            batch = outbox.batch("capture_health")
            assert batch is not None
            for status, kind in ((503, Unavailable), (429, Unavailable), (401, Unavailable),
                                 (302, Unavailable), (400, Refused)):  # fmt: skip
                collector.statuses = [status]
                with pytest.raises(kind, match=str(status)) as told:
                    destination.send(batch)
                assert "secret" not in str(told.value)
            destination.send(batch)
            assert collector.headers[-1]["Authorization"] == "Basic dTpzZWNyZXQ="
            collector.rejects = 1
            with pytest.raises(Refused, match="rejected"):
                destination.send(batch)
    with pytest.raises(Unavailable, match="refused"):
        open_destination(f"otlp+http://127.0.0.1:{free_port()}").send(batch)
    with pytest.raises(UsageError, match="password in clear"):
        open_destination("otlp+http://u:secret@192.0.2.1:4318")


def test_ndjson_is_one_document_per_row(tmp_path: Path) -> None:
    path = host(tmp_path / "s.db", [1], 20)
    file = tmp_path / "ecs.ndjson"
    ship(path, f"ndjson://{file}")
    ship(path, f"ndjson://{file}")  # nothing new: nothing more
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    with closing(sqlite3.connect(path)) as db:
        talks = {r[0] for r in db.execute("SELECT seq FROM connections")}
        events = {r[0] for r in db.execute("SELECT id FROM network_security_events")}
    by_set: dict[str, list[Any]] = {}
    for one in documents:
        by_set.setdefault(one["event"]["dataset"], []).append(one)
    assert {d["event"]["sequence"] for d in by_set["sensor.connections"]} == talks
    assert {d["event"]["id"] for d in by_set["sensor.events"]} == events
    assert len(documents) == len(talks) + len(events)
    assert len({d["event"]["id"] for d in documents}) == len(documents)
    assert file.stat().st_mode & 0o007 == 0


def test_a_torn_line_is_ended_and_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b'{"a":1}\n{"torn')
    append(str(file), b'{"b":2}\n')
    assert file.read_bytes() == b'{"a":1}\n{"torn\n{"b":2}\n'
    destination = open_destination("ndjson:///dev/full")
    path = host(tmp_path / "s.db", [1], 1)
    with closing(Outbox(path, destination.name, destination.tables)) as outbox:
        batch = outbox.batch("connections")
        assert batch is not None
        with pytest.raises(Unavailable, match="no space left"):
            destination.send(batch)


def test_destinations_that_there_are_not() -> None:
    for url, why in (
        ("mysql://host/x", "no destination of the kind mysql"),
        ("nonsense", "a destination is a URL"),
        ("postgresql://u:secret@[::1/x", "no URL"),
        ("ndjson://", "where to"),
    ):
        with pytest.raises(UsageError, match=why) as told:
            open_destination(url)
        assert "secret" not in str(told.value)
