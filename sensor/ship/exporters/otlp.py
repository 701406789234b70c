"""Windows as OpenTelemetry metrics, over OTLP/HTTP: otlp+http://host:4318, otlp+https://...

Sums and exponential histograms of delta temporality, each with its window's start and end: a second
copy of a point, after a failure, has the same times and attributes, by which a back end that looks
knows it. A histogram keeps every sample; a bucket is 4.4 % wide (scale 4).

https://opentelemetry.io/docs/specs/otlp/
"""

import gzip
import ssl
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from math import ceil, log2
from typing import Any
from urllib.parse import unquote

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    Metric,
    ScopeMetrics,
)

from sensor.errors import UsageError, one_line
from sensor.ship.destination import Batch, Refused, Row, Unavailable
from sensor.ship.rows import slots_in
from sensor.ship.urls import public, split
from sensor.store.hosts import is_local
from sensor.store.slots import Slots

METRICS = "network_performance_metrics"
HEALTH = "capture_health"
KINDS = "latency_histograms"
SCALE = 4
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
ANSWER_S = 30.0
ANSWER_MAX = 64 << 10  # octets of an answer that are read
AGAIN = frozenset((408, 429, 502, 503, 504))
ROWS = 500  # of one request: its points are in memory three times
Attributes = dict[str, str | int]
# Counter of a row: metric, unit, attributes. Names of OpenTelemetry where it has one.
SUMS: dict[str, dict[str, tuple[str, str, Attributes]]] = {
    METRICS: {
        "bytes_sent": ("system.network.io", "By", {"network.io.direction": "transmit"}),
        "bytes_received": ("system.network.io", "By", {"network.io.direction": "receive"}),
        "packets_sent": (
            "system.network.packet.count", "{packet}", {"network.io.direction": "transmit"}),
        "packets_received": (
            "system.network.packet.count", "{packet}", {"network.io.direction": "receive"}),
        "packets_lost": ("sensor.tcp.segments.lost", "{segment}", {}),
        "packets_retransmitted": ("sensor.tcp.segments.retransmitted", "{segment}", {}),
        "connections_new": ("sensor.connections.opened", "{connection}", {}),
        "connections_closed": ("sensor.connections.closed", "{connection}", {}),
        "connections_failed": ("sensor.connections.failed", "{connection}", {}),
        "timeout_errors": ("sensor.errors", "{error}", {"error.type": "timeout"}),
        "connection_reset_errors": ("sensor.errors", "{error}", {"error.type": "reset"}),
        "dns_resolution_errors": ("sensor.errors", "{error}", {"error.type": "dns"}),
        "ssl_handshake_errors": ("sensor.errors", "{error}", {"error.type": "tls"}),
    },
    HEALTH: {
        "received": ("sensor.capture.packets.received", "{packet}", {}),
        "dropped": ("sensor.capture.packets.dropped", "{packet}", {"sensor.dropped.by": "kernel"}),
        "interface_dropped": (
            "sensor.capture.packets.dropped", "{packet}", {"sensor.dropped.by": "interface"}),
        "malformed": ("sensor.capture.packets.malformed", "{packet}", {}),
    },
    KINDS: {},
}  # fmt: skip


class OtlpDestination:
    """See destination.Destination."""

    tables = frozenset((METRICS, HEALTH, KINDS))

    def __init__(self, url: str) -> None:
        self.name = public(url)
        parts = split(url)
        self._host = parts.hostname or "localhost"
        self._secure = parts.scheme == "otlp+https"
        self._port = parts.port or 4318
        self._path = f"{parts.path.rstrip('/')}/v1/metrics"
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": "shadower-sensor",
        }
        if parts.username is not None:
            if not self._secure and not is_local(self._host):
                raise UsageError(f"{self.name}: a password in clear: use otlp+https://")
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"

    def send(self, batch: Batch) -> None:
        """See destination.Destination."""
        for begin in range(0, len(batch.rows), ROWS):
            part = batch.part(begin, begin + ROWS)
            self._post(request(part).SerializeToString())

    def close(self) -> None:
        pass

    def _post(self, octets: bytes) -> None:
        connection = (
            HTTPSConnection(
                self._host, self._port, timeout=ANSWER_S, context=ssl.create_default_context()
            )
            if self._secure
            else HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        )
        try:
            connection.request("POST", self._path, gzip.compress(octets, 6), self._headers)
            answer = connection.getresponse()
            status, body = answer.status, answer.read(ANSWER_MAX)
        except (OSError, HTTPException) as error:
            text = one_line(str(error) or type(error).__name__)
            raise Unavailable(f"{self.name}: {text}") from error
        finally:
            connection.close()
        if status == 200:
            self._partly(body)
        elif status in AGAIN or status >= 500 or status < 400:
            raise Unavailable(f"{self.name}: HTTP {status}")
        elif status in (401, 403, 404):
            raise Unavailable(f"{self.name}: HTTP {status}: the address or the password is wrong")
        else:
            raise Refused(f"{self.name}: HTTP {status}")

    def _partly(self, body: bytes) -> None:
        """Some points may have been rejected; the shipper finds the rows that they are of."""
        answer = ExportMetricsServiceResponse()
        try:
            answer.ParseFromString(body)
        except DecodeError:
            return  # not every collector answers in protobuf
        if answer.partial_success.rejected_data_points:
            why = one_line(answer.partial_success.error_message)[:200]
            raise Refused(f"{self.name}: some points were rejected: {why}")


def request(batch: Batch) -> ExportMetricsServiceRequest:
    """A batch as one message: a resource for each agent."""
    made = ExportMetricsServiceRequest()
    at = {name: i for i, name in enumerate(batch.columns)}
    by_agent: dict[str, list[Row]] = {}
    for row in batch.rows:
        by_agent.setdefault(str(row[at["agent_id"]]), []).append(row)
    for agent, rows in by_agent.items():
        resource = made.resource_metrics.add()
        resource.resource.attributes.extend(
            attributes({"service.name": "shadower-sensor", "service.instance.id": agent})
        )
        scope = resource.scope_metrics.add()
        scope.scope.name = "sensor"
        add_sums(scope, SUMS[batch.table], at, rows)
        if batch.table == METRICS:
            add_histograms(scope, "sensor.network.rtt", at, rows, "latency_hist", "latency")
        elif batch.table == KINDS:
            add_histograms(scope, "sensor.latency", at, rows, "histogram", "")
    return made


def add_sums(
    scope: ScopeMetrics,
    sums: dict[str, tuple[str, str, Attributes]],
    at: dict[str, int],
    rows: list[Row],
) -> None:
    metrics: dict[str, Metric] = {}
    for counter, (name, unit, more) in sums.items():
        for row in rows:
            value: Any = row[at[counter]]
            if value is None:
                continue  # unknown is no point
            if name not in metrics:
                metrics[name] = scope.metrics.add(name=name, unit=unit)
                metrics[name].sum.aggregation_temporality = DELTA
                metrics[name].sum.is_monotonic = True
            point = metrics[name].sum.data_points.add(as_int=value)
            stamp(point, at, row, more)


def add_histograms(
    scope: ScopeMetrics, name: str, at: dict[str, int], rows: list[Row], blob: str, prefix: str
) -> None:
    """Durations in seconds; rows without samples have no point."""
    metric: Metric | None = None
    for row in rows:
        slots = slots_in(row[at[blob]])
        if not slots:
            continue
        if metric is None:
            metric = scope.metrics.add(name=name, unit="s")
            metric.exponential_histogram.aggregation_temporality = DELTA
        point = metric.exponential_histogram.data_points.add()
        fill(point, slots)
        low: Any = row[at[f"{prefix}_min_us" if prefix else "min_us"]]
        high: Any = row[at[f"{prefix}_max_us" if prefix else "max_us"]]
        if low is not None and high is not None:
            point.min, point.max = low / 1e6, high / 1e6
        total: Any = row[at["latency_sum_us"]] if prefix else None
        if not prefix:
            mean: Any = row[at["mean_us"]]
            total = None if mean is None else mean * point.count
        if total is not None:
            point.sum = total / 1e6
        stamp(point, at, row, {"sensor.latency.kind": str(row[at["kind"]])} if not prefix else {})


def fill(point: ExponentialHistogramDataPoint, slots: Slots) -> None:
    """Bucket i holds what is over base^i and at most base^(i+1), base = 2^(2^-scale)."""
    point.scale = SCALE
    point.count = sum(slots.values())
    counts: dict[int, int] = {}
    for us, n in slots.items():
        if us <= 0:
            point.zero_count += n
            continue
        index = ceil(log2(us / 1e6) * 2**SCALE) - 1
        counts[index] = counts.get(index, 0) + n
    if counts:
        first, last = min(counts), max(counts)
        point.positive.offset = first
        point.positive.bucket_counts.extend(counts.get(i, 0) for i in range(first, last + 1))


def stamp(point: Any, at: dict[str, int], row: Row, more: Attributes) -> None:
    """The window's times, and what the row is of."""
    start: Any = row[at["timestamp"]]
    length: Any = row[at["window_s"]]
    point.start_time_unix_nano = max(start, 0) * 1000
    point.time_unix_nano = max(start + length * 1_000_000, 0) * 1000
    point.attributes.extend(attributes({**of_endpoint(at, row), **more}))


def of_endpoint(at: dict[str, int], row: Row) -> Attributes:
    """Of ``name:port/proto``; windows of two lengths are two series."""
    window: Any = row[at["window_s"]]
    made: Attributes = {"sensor.window_s": window}
    if "endpoint" not in at:
        return made
    endpoint = str(row[at["endpoint"]])
    name, _, rest = endpoint.rpartition(":")
    port, _, protocol = rest.partition("/")
    if name and port.isdigit():
        made |= {"server.address": name, "server.port": int(port), "network.transport": protocol}
    else:
        made["server.address"] = endpoint
    region = row[at["region"]]
    return made | ({"sensor.region": str(region)} if region is not None else {})


def attributes(values: Attributes) -> Iterator[KeyValue]:
    return (key_value(name, value) for name, value in values.items())


def key_value(name: str, value: str | int) -> KeyValue:
    made = KeyValue(key=name)
    if isinstance(value, int):
        made.value.int_value = value
    else:
        made.value.string_value = value
    return made
