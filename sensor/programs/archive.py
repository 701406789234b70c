"""`sensor replay --cluster`: an archive of captures, each file replayed by a worker of Dask.

A file is a task. What the tasks found is put together as if one engine had written all windows:
counts and histograms are added bucket by bucket (sensor.flow.merge), so percentiles are those of
all samples. A connection over two files counts in both, and detection sees each file by itself.
"""

import pickle
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sensor._native.faces import Features, Rows, Window
from sensor.errors import InputError, SensorError, UsageError, one_line
from sensor.flow.locality import Local
from sensor.flow.merge import merge_windows, sums
from sensor.flow.meter import Consumer
from sensor.metrics.topology import Topology
from sensor.model.rows import SecurityEventRow
from sensor.programs.document import Capture

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
RETRIES = 3  # of a file whose worker died
LINKS = ("neighbour", "announcement")  # what topology reads of a second


@dataclass(frozen=True, slots=True)
class Plan:
    """How every file is looked at; the same for all."""

    local: Local
    agent: str
    rules: str | None
    window_s: int


@dataclass(slots=True)
class Found:
    """What one file held."""

    capture: Capture
    frames: dict[str, int]  # Engine.counters()
    kinds: dict[str, int]  # Engine.connections()
    states: dict[str, int]
    busy_s: float
    events: list[SecurityEventRow]
    windows: list["Kept"]
    seconds: list[Features]
    error: str | None = None
    status: int = 0  # exit status


@dataclass(slots=True)
class Kept:
    """A window and the connections that ended in it; packed, since most of it is zeros."""

    start_ns: int
    packed: bytes

    def open(self) -> tuple[Window, list[tuple[Rows, bytes]]]:
        made: tuple[Window, list[tuple[Rows, bytes]]] = pickle.loads(  # noqa: S301 - our own
            zlib.decompress(self.packed)
        )
        return made


@dataclass(slots=True)
class Keeping:
    """A consumer, and a topology, that keep what they get."""

    windows: list[Kept] = field(default_factory=list)
    seconds: list[Features] = field(default_factory=list)
    _flows: list[tuple[Rows, bytes]] = field(default_factory=list)
    _counted: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))

    def flows(self, rows: Rows, names: bytes) -> None:
        self._flows.append((rows, names))

    def window(self, window: Window) -> None:
        before, self._counted = self._counted, (window["counters"], window["anomalies"])
        window["counters"] = risen(before[0], window["counters"])
        window["anomalies"] = risen(before[1], window["anomalies"])
        packed = zlib.compress(pickle.dumps((window, self._flows)), 1)
        self.windows.append(Kept(window["start_ns"], packed))
        self._flows = []

    def features(self, features: Features) -> None:
        tables = {name: features["tables"][name] for name in LINKS}
        if any(map(len, tables.values())):
            self.seconds.append({**features, "tables": tables})


def risen(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """What cumulative counts rose by."""
    return {name: n - before.get(name, 0) for name, n in now.items()}


def look_at(name: str, plan: Plan) -> Found:
    """One file; runs in a worker. What is damaged is told in `error`, with what came before it."""
    from sensor.programs.replay import Replay  # noqa: PLC0415 - it imports this module

    replay = Replay(
        (name,), local=plan.local, agent=plan.agent, rules=plan.rules, window_s=plan.window_s
    )
    keeping = Keeping()
    busy_s = 0.0
    try:
        done = replay.run((keeping,), looks=keeping)
        busy_s, status, error = done.seconds, done.status, replay.capture.damaged
    except InputError as problem:
        status, error = problem.exit_code, str(problem)
    engine = replay.engine
    return Found(
        replay.capture,
        engine.counters(),
        engine.connections(),
        engine.states(),
        busy_s,
        [row._replace(boot_id=replay.boot_id) for row in replay.detector.events],
        keeping.windows,
        keeping.seconds,
        error,
        status,
    )


class Whole:
    """All files' results, as an engine and a detector that have seen them."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self._told = False

    def add(self, found: Found) -> None:
        self.found.append(found)

    @property
    def events(self) -> list[SecurityEventRow]:
        rows = {row.id: row for found in self.found for row in found.events}
        return sorted(rows.values(), key=lambda row: (row.detected_at, row.id))

    def changed(self) -> list[SecurityEventRow]:
        """Of the events, for a store: all of them, once."""
        told, self._told = self._told, True
        return [] if told else self.events

    def state(self) -> dict[str, Any]:
        """Nothing is learned for a next run."""
        return {}

    def counters(self) -> dict[str, int]:
        return sums([found.frames for found in self.found])

    def connections(self) -> dict[str, int]:
        return sums([found.kinds for found in self.found])

    def states(self) -> dict[str, int]:
        return sums([found.states for found in self.found])

    def add_up(self, capture: Capture) -> None:
        """Packets, octets and times of all files."""
        for found in self.found:
            one = found.capture
            capture.packets += one.packets
            capture.wire_bytes += one.wire_bytes
            capture.captured_bytes += one.captured_bytes
            times = [t for t in (capture.first_ns, one.first_ns) if t is not None]
            capture.first_ns = min(times, default=None)
            times = [t for t in (capture.last_ns, one.last_ns) if t is not None]
            capture.last_ns = max(times, default=None)
            capture.count_anomalies(one.anomalies)
            if found.error is not None:
                capture.damaged = capture.damaged or found.error

    def hand_on(self, consumers: Sequence[Consumer], topology: Topology) -> None:
        """Windows in their order, each after the connections that ended in it."""
        counters: dict[str, int] = {}
        anomalies: dict[str, int] = {}
        for features in sorted(
            (second for found in self.found for second in found.seconds),
            key=lambda second: second["start_ns"],
        ):
            topology.features(features)
        kept = [window for found in self.found for window in found.windows]
        kept.sort(key=lambda window: window.start_ns)
        for _, same in groupby(kept, key=lambda window: window.start_ns):
            windows = []
            for one in same:
                window, ended = one.open()
                windows.append(window)
                for rows, names in ended:
                    for consumer in consumers:
                        consumer.flows(rows, names)
            whole = merge_windows(windows) if len(windows) > 1 else windows[0]
            counters = sums([counters, whole["counters"]])
            anomalies = sums([anomalies, whole["anomalies"]])
            whole["counters"], whole["anomalies"] = counters, anomalies
            for consumer in consumers:
                consumer.window(whole)


@contextmanager
def cluster(address: str, workers: int) -> Iterator["Client"]:
    """Dask's workers at a scheduler's address, or `local`: `workers` processes of this machine.

    UsageError: Dask is not installed. SensorError: nobody answers.
    """
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("--cluster needs Dask: pip install 'shadower-sensor[archive]'") from error
    if address == LOCAL:
        with (
            LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as here,
            Client(here) as client,  # type: ignore[no-untyped-call]
        ):
            yield client
        return
    try:
        client = Client(address, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise SensorError(f"{one_line(address)}: no Dask scheduler answers") from error
    with client:
        yield client


def look_at_all(client: "Client", names: Sequence[str], plan: Plan) -> Iterator[tuple[str, Found]]:
    """All files, as they are done; SensorError: one whose workers died again and again."""
    from distributed import as_completed  # noqa: PLC0415 - an extra
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 - likewise

    asked: dict[Any, str] = {
        client.submit(look_at, name, plan, pure=False, retries=RETRIES): name for name in names
    }
    try:
        for future in as_completed(list(asked)):  # type: ignore[no-untyped-call]
            yield asked[future], future.result()
            future.release()
    except KilledWorker as error:
        raise SensorError(f"workers died of it: {one_line(str(error.task))}") from error
