"""The daemon: one thread captures and decodes, another computes and writes, a third tells.

Each agent of the host has its own interfaces and engine (a *lane*); one queue and one database
serve them all.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from time import monotonic, time_ns
from uuid import uuid4

from sensor._native.engine import Engine
from sensor._native.faces import Window
from sensor.capture.live import Interface
from sensor.capture.portable import PortableInterface
from sensor.capture.routes import default_gateways
from sensor.detect.detector import Detector
from sensor.detect.rule import RuleSet
from sensor.errors import CannotWrite, DamagedStore, MovedStore, SensorError
from sensor.flow.backlog import Backlog, Behind
from sensor.flow.clock import ClockWatch
from sensor.flow.locality import Local
from sensor.flow.meter import Consumer, Meter
from sensor.flow.quic_initial import server_name
from sensor.metrics.geography import region_of
from sensor.metrics.topology import Topology
from sensor.model.ids import network_id
from sensor.programs.detection import Detection
from sensor.programs.document import Capture
from sensor.programs.journal import EventLog, Priority, say
from sensor.programs.keep import Keeper
from sensor.store.retention import Limits
from sensor.store.sqlite import SqliteStore, set_aside

WAIT_MS = 100
RETIRE_MS = 150  # by then the kernel has handed over what it holds back
DRAIN_S = 1.0
BATCHES = 64  # of one interface before the others have their turn
LATE_NS = 500_000_000  # the ring keeps packets back for at most its 100 ms; several rings, less so


@dataclass(slots=True)
class AgentPlan:
    """One agent of this host, and where its packets come from."""

    name: str  # for people
    agent_id: str
    workspace: str
    network: str  # "": made of interfaces and prefixes
    region: str  # "": by the first local address
    local: Local
    interfaces: list[Interface | PortableInterface]
    hostname: str | None = None


@dataclass(slots=True)
class Run:
    """What an agent's rows are marked with."""

    agent_id: str
    network_id: str
    home: str | None
    boot_id: str
    capture: Capture
    detector: Detector
    source: str = "live"
    hostname: str | None = None
    topology: Topology = field(default_factory=Topology)


@dataclass(slots=True)
class Work:
    """What the other thread works with for one agent."""

    run: Run
    store: SqliteStore
    keeper: Keeper
    watcher: Detection
    resume_us: int | None  # end of the last window in the database

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        return (self.watcher.beacons, self.keeper)

    def change_rules(self, rules: RuleSet) -> None:
        """What was learned stays; events go on under the new rules."""
        old = self.run.detector
        self.keeper.flush()
        self.run.detector = Detector(
            rules, agent_id=self.run.agent_id, boot_id="", state=old.state()
        )
        self.run.detector.restore(self.store.open_events(self.run.agent_id), time_ns())
        self.watcher = Detection(self.run.detector, self.run.topology)


@dataclass(slots=True)
class Lane:
    """One agent at work, in the capturing thread."""

    plan: AgentPlan
    run: Run
    engine: Engine
    meter: Meter
    behind: Behind[Work]
    marks: dict[int, list[int]] = field(default_factory=dict)  # window: blocks done with
    kept: int = -1  # newest window that is in the database; set by the other thread
    let_go: int = -1  # newest whose packets the rings need not keep

    def turn(self, wait_ms: int) -> None:
        for interface in self.plan.interfaces:
            if interface.wait(wait_ms):
                self.take(interface)
        self.meter.idle(time_ns() - LATE_NS)
        if self.kept > self.let_go:
            self.let_go = self.kept
            for number in [n for n in self.marks if n <= self.let_go]:
                for interface, mark in zip(
                    self.plan.interfaces, self.marks.pop(number), strict=True
                ):
                    interface.ring.release(mark)

    def take(self, interface: Interface | PortableInterface) -> None:
        for _ in range(BATCHES):
            if not self.meter.read(interface.ring):
                return
            self.run.capture.add(interface.ring)
            self.meter.feed(interface.ring)

    def drain(self, deadline: float) -> None:
        """What the rings hold at the end, as far as there is time."""
        for interface in self.plan.interfaces:
            while monotonic() < deadline and interface.wait(RETIRE_MS):
                self.take(interface)


class Health:
    """A consumer that puts into a window's health what a daemon can miss, and hands it on."""

    def __init__(
        self, lane: Callable[[], Lane], behind: Behind[Work], resume_ns: int | None
    ) -> None:
        self.flows = behind.flows
        self._lane = lane
        self._behind = behind
        self._resume_ns = resume_ns  # end of what a former run wrote, until the first window
        self._clock = ClockWatch()
        self._before: dict[str, int] = {}

    def window(self, window: Window) -> None:
        lane = self._lane()
        interfaces = lane.plan.interfaces
        now = {"kernel_drops": 0, "ring_freezes": 0, "interface_gaps": 0, "gap_ms": 0}
        for interface in interfaces:
            _, dropped, freezes = interface.ring.statistics()
            now["kernel_drops"] += dropped
            now["ring_freezes"] += freezes
            now["interface_gaps"] += interface.gaps
            now["gap_ms"] += int(interface.gap_s * 1000)
        risen = {name: n - self._before.get(name, 0) for name, n in now.items()}
        self._before = now
        if self._resume_ns is not None and not all(i.is_inherited for i in interfaces):
            risen["gap_ms"] += max(window["start_ns"] - self._resume_ns, 0) // 1_000_000
        self._resume_ns = None
        window["health"] |= {**risen, "clock_step_ms": self._clock.stepped_ms()}
        lane.marks[self._behind.windows] = [i.ring.finished for i in interfaces]
        self._behind.window(window)


class Daemon:
    """Lanes, and the thread behind them."""

    def __init__(
        self,
        plans: Sequence[AgentPlan],
        db: str,
        rules: RuleSet,
        limits: Limits,
        window_s: int,
        complain: Callable[[Exception], None],
    ) -> None:
        self.db = db
        self.window_s = window_s
        self.beat = monotonic()  # when the capturing thread last went round
        self.started_ns = time_ns()
        self._rules = rules
        self._limits = limits
        runs = [self._run(plan) for plan in plans]
        self._complain = complain
        self._told: str | None = None  # why nothing can be written
        self.backlog: Backlog[Work] = Backlog(lambda: self._work(plans, runs), self._failed)
        self.lanes = [
            self._lane(index, plan, run)
            for index, (plan, run) in enumerate(zip(plans, runs, strict=True))
        ]

    def until(self, stop: Event, asked: Event, reload: Callable[[], None]) -> None:
        """Capture until `stop` is set, then write everything; `reload()` when `asked` is set."""
        wait_ms = WAIT_MS // sum(len(lane.plan.interfaces) for lane in self.lanes)
        try:
            while not stop.is_set():
                for lane in self.lanes:
                    lane.turn(wait_ms)
                self.beat = monotonic()
                if asked.is_set():
                    asked.clear()
                    reload()
            deadline = monotonic() + DRAIN_S
            for lane in self.lanes:
                lane.drain(deadline)
        finally:
            for lane in self.lanes:
                lane.meter.finish()
            self.backlog.close()

    def change_rules(self, rules: RuleSet) -> None:
        """Put rules in force, in the other thread."""

        def task() -> None:
            for work in self.backlog.workers:
                work.change_rules(rules)

        self.backlog.put(task)

    def _run(self, plan: AgentPlan) -> Run:
        names = ",".join(interface.name for interface in plan.interfaces)
        return Run(
            agent_id=plan.agent_id,
            network_id=plan.network or network_id(names, plan.local.texts()),
            home=plan.region
            or (region_of(plan.local.prefixes[0][0]) if plan.local.known else None),
            boot_id=str(uuid4()),
            capture=Capture(files=[names], local=plan.local),
            detector=Detector(self._rules, agent_id=plan.agent_id, boot_id=""),
            hostname=plan.hostname,
            topology=Topology(default_gateways({interface.name for interface in plan.interfaces})),
        )

    def _lane(self, index: int, plan: AgentPlan, run: Run) -> Lane:
        engine = Engine(
            local=list(plan.local.prefixes),
            window_ns=self.window_s * 10**9,
            features=True,
            server_name=server_name,
        )

        def kept(number: int) -> None:
            lane.kept = number
            if self._told is not None:
                say("writing again")
                self._told = None

        behind = Behind(self.backlog, index, kept)
        resume_us = self.backlog.workers[index].resume_us
        resume_ns = None if resume_us is None else resume_us * 1000
        meter = Meter(engine, (Health(lambda: lane, behind, resume_ns),), behind)
        lane = Lane(plan, run, engine, meter, behind)
        for interface in plan.interfaces:
            interface.ring.skip_before = resume_ns or 0
        return lane

    def _failed(self, error: Exception) -> None:
        """In the other thread: one line when writing begins to fail, not one for each window."""
        if isinstance(error, DamagedStore):
            aside = set_aside(self.db, time_ns() // 10**9)
            self._begin_anew(f"{error}; it is now {aside}")
        if isinstance(error, MovedStore):
            self._begin_anew(str(error))
            return
        if not isinstance(error, CannotWrite) or self._told != str(error):
            self._complain(error)
        if isinstance(error, CannotWrite):
            self._told = str(error)

    def _begin_anew(self, why: str) -> None:
        say(f"{why}, and a new one begins", Priority.CRITICAL)
        with suppress(SensorError):
            self.backlog.workers[0].store.close()
        store = SqliteStore(self.db, self._limits)
        self._stack.push(store)
        for work in self.backlog.workers:
            work.store = work.keeper.store = store

    def _open_store(self) -> SqliteStore:
        try:
            return SqliteStore(self.db, self._limits)
        except DamagedStore as error:
            aside = set_aside(self.db, time_ns() // 10**9)
            say(f"{error}; it is now {aside}, and a new one begins", Priority.CRITICAL)
            return SqliteStore(self.db, self._limits)

    @contextmanager
    def _work(self, plans: Sequence[AgentPlan], runs: Sequence[Run]) -> Iterator[list[Work]]:
        """In the other thread."""
        with ExitStack() as stack:
            self._stack = stack
            store = stack.enter_context(self._open_store())
            works = []
            for plan, run in zip(plans, runs, strict=True):
                keeper = stack.enter_context(Keeper(store, run, plan.workspace, EventLog()))
                if (state := store.detection_state(run.agent_id)) is not None:
                    run.detector = Detector(
                        self._rules,
                        agent_id=run.agent_id,
                        boot_id="",
                        state=json.loads(state.state),
                    )
                run.detector.restore(store.open_events(run.agent_id), time_ns())
                resume = store.last_window_end(run.agent_id)
                watcher = Detection(run.detector, run.topology)
                works.append(Work(run, store, keeper, watcher, resume))
            yield works
