"""Keeps a run in a store: one transaction per window, and nothing in it that tells two runs of
the same capture apart."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import NamedTuple, Protocol, Self

from sensor._native.faces import Rows, Window
from sensor.detect.own import own_event
from sensor.errors import CannotWrite
from sensor.flow.connections import connections_from_flows
from sensor.metrics.geography import own
from sensor.metrics.rows import rows_of
from sensor.metrics.topology import Topology
from sensor.model.rows import AgentRow, DetectionStateRow, SecurityEventRow, WindowRows
from sensor.model.text import printable
from sensor.programs.document import Capture, Findings
from sensor.store.base import Store
from sensor.store.state import state_text

STATE_EVERY = 5  # windows between two writings of what a live run learnt
MOST_ROWS = 200_000  # connections held for their window's transaction; beyond, an extra one


class Run(Protocol):
    """What is kept of the run itself."""

    agent_id: str
    network_id: str
    home: str | None
    boot_id: str
    source: str  # live or replay
    hostname: str | None
    capture: Capture
    topology: Topology

    @property
    def findings(self) -> Findings: ...


class Outage(NamedTuple):
    """Since when nothing can be written, and why not."""

    start_ns: int  # of the first window that was lost
    reason: str


class Keeper:
    """A consumer that writes to the caller's store; as a context it writes what is left."""

    def __init__(
        self,
        store: Store,
        run: Run,
        workspace_id: str,
        told: Callable[[list[SecurityEventRow]], None] = lambda events: None,
    ) -> None:
        """`told` of the events that changed, once they are in the store."""
        self.store = store
        own.use(store.regions())
        self._told = told
        self.run = run
        self.workspace_id = workspace_id
        self._flows: list[tuple[Rows, bytes]] = []
        self._held = 0
        self._windows = 0
        self.lost_windows = self.lost_rows = 0  # since the last one that was written
        self._outage: Outage | None = None
        self._counted: dict[str, int] = {}
        self._anomalies: dict[str, int] = {}
        self._dropped = 0
        self._changed: dict[str, SecurityEventRow] = {}  # events, by id

    def flows(self, rows: Rows, names: bytes) -> None:
        """Finished connections; kept until their window ends."""
        self._flows.append((rows, names))
        self.run.topology.flows(rows, names)
        self._held += len(rows)
        if self._held >= MOST_ROWS:
            with self._counting():
                self.flush()

    def window(self, window: Window) -> None:
        """One transaction."""
        agent = self._agent()
        counted, anomalies = window["counters"], window["anomalies"]
        if self.lost_windows:
            window["health"]["windows_lost"] = (
                window["health"].get("windows_lost", 0) + self.lost_windows
            )
            window["health"]["rows_lost"] = window["health"].get("rows_lost", 0) + self.lost_rows
        rows = rows_of(
            window,
            agent,
            self._connections(agent),
            risen(self._counted, counted),
            risen(self._anomalies, anomalies),
        )
        events = self._events()
        if self._outage is not None:
            events.append(self._over(self._outage, agent, window["end_ns"]))
        nodes, links = self.run.topology.take(agent.agent_id)
        dropped = self.run.topology.dropped
        whole = replace(
            rows,
            events=events,
            detection=self._detection(window),
            nodes=nodes,
            links=links,
            topology_dropped=dropped - self._dropped,
        )
        with self._counting(window):
            self.store.write_window(whole)
        self._outage = None
        self.lost_windows = self.lost_rows = 0
        self._dropped = dropped
        self._told(events)
        self._changed.clear()
        self._counted, self._anomalies = counted, anomalies
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *failure: object) -> None:
        if kind is None:
            self.flush()  # the agent too, when there was nothing else

    @contextmanager
    def _counting(self, window: Window | None = None) -> Iterator[None]:
        """What could not be written is counted, and connections wait while there is room."""
        try:
            yield
        except CannotWrite as error:
            if window is not None:
                self.lost_windows += 1
                self._outage = self._outage or Outage(window["start_ns"], str(error))
            if self._held >= MOST_ROWS:
                self.lost_rows += self._held
                self._forget()
            raise

    def flush(self) -> None:
        """Connections and events before their window has ended."""
        agent = self._agent()
        events = self._events()
        rows = WindowRows(agent=agent, connections=self._connections(agent), events=events)
        self.store.write_window(rows)
        self._told(events)
        self._changed.clear()
        self._forget()

    def _over(self, outage: Outage, agent: AgentRow, now_ns: int) -> SecurityEventRow:
        """That rows were lost, written with the first ones that were not."""
        return own_event(
            agent.agent_id,
            agent.boot_id,
            "storage_full" if "full" in outage.reason else "storage_failed",
            key=(),
            severity="high",
            method="writer",
            title="Windows could not be written",
            evidence={
                "reason": printable(outage.reason, 1000),
                "windows_lost": self.lost_windows,
                "rows_lost": self.lost_rows,
            },
            mend="Make room, or let [store] keep less; `sensor doctor` says what is wrong.",
            started_ns=outage.start_ns,
            ended_ns=max(now_ns, outage.start_ns),
        )

    def _connections(self, agent: AgentRow) -> chain[tuple[object, ...]]:
        known = self.run.capture.local.known
        return chain.from_iterable(
            connections_from_flows(rows, names, agent.agent_id, agent.boot_id, local_known=known)
            for rows, names in self._flows
        )

    def _events(self) -> list[SecurityEventRow]:
        """What changed since what is in the store."""
        for row in self.run.findings.changed():
            self._changed[row.id] = row._replace(boot_id=self.run.boot_id)
        return list(self._changed.values())

    def _detection(self, window: Window) -> DetectionStateRow | None:
        """What the next run will start with; a replay starts with nothing."""
        self._windows += 1
        if self.run.source != "live" or self._windows % STATE_EVERY:
            return None
        state = state_text(self.run.findings.state())
        return DetectionStateRow(self.run.agent_id, window["end_ns"] // 1000, state)

    def _forget(self) -> None:
        self._flows.clear()
        self._held = 0

    def _agent(self) -> AgentRow:
        run, capture = self.run, self.run.capture
        return AgentRow(
            agent_id=run.agent_id,
            boot_id=run.boot_id,
            source=run.source,
            workspace_id=self.workspace_id,
            network_id=run.network_id,
            region=run.home,
            hostname=run.hostname,
            version=sensor_version(),
            local_prefixes=json.dumps(capture.local.texts()),
            local_source=capture.local.source,
            first_packet=None if capture.first_ns is None else capture.first_ns // 1000,
            last_packet=None if capture.last_ns is None else capture.last_ns // 1000,
        )


def sensor_version() -> str:
    """Of the installed package; a source tree that is not installed does not know."""
    try:
        return version("shadower-sensor")
    except PackageNotFoundError:
        return "unknown"


def risen(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """What cumulative counts rose by; only those that did."""
    return {name: n - before.get(name, 0) for name, n in now.items() if n != before.get(name, 0)}
