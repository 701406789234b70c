"""The daemon: one thread captures and decodes, another computes and writes, a third tells.

Each agent of the host has its own interfaces and engine (a *lane*); one queue and one database
serve them all. With several workers a lane has as many engines, each with a share of the packets,
and what they find is put together (sensor.flow.gather).
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Barrier, BrokenBarrierError, Event, Lock, Thread
from time import monotonic, time_ns
from uuid import uuid4

import numpy as np

from sensor._native.dtypes import NONE_NS
from sensor._native.engine import Engine
from sensor._native.faces import Part, Rows, Window
from sensor._native.merge import Merger
from sensor.capture.live import Interface
from sensor.capture.portable import PortableInterface
from sensor.capture.routes import default_gateways
from sensor.detect.detector import Detector
from sensor.detect.rule import RuleSet
from sensor.errors import CannotWrite, DamagedStore, MovedStore, SensorError
from sensor.flow.backlog import Backlog, Behind
from sensor.flow.clock import ClockWatch
from sensor.flow.gather import Ended, Gather
from sensor.flow.locality import Local
from sensor.flow.merge import Standing
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
LAST_ATTEMPTS = (
    20_000  # connections without a handshake that an agent's last window keeps: half a second
)
TCP = 6
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

    @property
    def findings(self) -> Detector:
        """What a store gets."""
        return self.detector


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


Marks = list[int]  # of each interface: blocks done with


class Share:
    """What one thread does for one agent: its rings and its engine."""

    def __init__(
        self,
        interfaces: list[Interface | PortableInterface],
        capture: Capture,
        counting: Lock,
    ) -> None:
        self.interfaces = interfaces
        self._is_drained = True  # of this turn: the rings were read to their ends
        self.health: Health
        self.meter: Meter
        self.reached: Callable[[int], None] = lambda _: None  # told how far it is
        self.kept = -1  # newest window that is in the database; set by the other thread
        self.marks: dict[int, Marks] = {}  # by window
        self._let_go = -1  # newest whose packets the rings need not keep
        self._capture = capture
        self._counting = counting  # shares of an agent count into one capture

    def turn(self, wait_ms: int) -> None:
        before_ns = time_ns()
        self._is_drained = True
        for interface in self.interfaces:
            if interface.wait(wait_ms):
                self._take(interface)
        if self._is_drained:  # else there are packets of before, and they move time
            self.meter.idle(before_ns - LATE_NS)
            self.reached(before_ns - LATE_NS)
        if self.kept > self._let_go:
            self._let_go = self.kept
            for number in [n for n in list(self.marks) if n <= self._let_go]:
                for interface, mark in zip(self.interfaces, self.marks.pop(number), strict=True):
                    interface.ring.release(mark)

    def _take(self, interface: Interface | PortableInterface) -> int:
        """The newest packet's time (ns); 0 without one."""
        newest = 0
        for _ in range(BATCHES):
            if not self.meter.read(interface.ring):
                return newest
            with self._counting:
                newest = max(newest, self._capture.add(interface.ring))
            self.meter.feed(interface.ring)
        self._is_drained = False
        return newest

    def drain(self, deadline: float) -> None:
        """What came before now, as far as there is time."""
        now_ns = time_ns()
        for interface in self.interfaces:
            while monotonic() < deadline and interface.wait(RETIRE_MS):
                if self._take(interface) > now_ns:
                    break

    def finish(self, now_ns: int) -> None:
        """No packet of before `now_ns` is to come: every connection ends."""
        self.meter.idle(max(now_ns, self._capture.last_ns or 0))
        self.health.is_last = True
        self.meter.finish()


@dataclass(slots=True)
class Lane:
    """One agent at work."""

    plan: AgentPlan
    run: Run
    behind: Behind[Work]
    shares: list[Share]
    gather: Gather[Marks] | None = None  # where there are several
    kept: int = -1  # newest window that is in the database; set by the other thread

    def window(self, window: Window, marks: Marks) -> None:
        """Of the only share."""
        self.whole([Ended(0, window, marks)], ())

    def whole(self, ended: Sequence[Ended[Marks]], others: Sequence[Standing]) -> None:
        """A window of all shares; how far their rings were at its end is kept with its number."""
        for one in ended:
            self.shares[one.share].marks[self.behind.windows] = one.mark
        self.behind.windows_of([one.window for one in ended], others)

    def finish(self) -> None:
        """After every share's meter."""
        if self.gather is not None:
            self.gather.finish_seconds()
            self.behind.finish()
            self.gather.finish()


class Health:
    """A consumer that puts into a share's windows what a daemon can miss, and hands them on."""

    def __init__(
        self,
        interfaces: Sequence[Interface | PortableInterface],
        resume_ns: int | None,
        window: Callable[[Window, Marks], None],
        flows: Callable[[Rows, bytes], None],
        last_attempts: int,
    ) -> None:
        self.is_last = False  # the daemon ends: connections are handed over because of that
        self._flows = flows
        self._attempts_left = last_attempts
        self._rows_lost = 0
        self._window = window
        self._interfaces = interfaces
        self._resume_ns = resume_ns  # end of what a former run wrote, until the first window
        self._clock = ClockWatch()
        self._before: dict[str, int] = {}

    def flows(self, rows: Rows, names: bytes) -> None:
        if self.is_last:
            rows = self._without_flood(rows)
        self._flows(rows, names)

    def _without_flood(self, rows: Rows) -> Rows:
        """Attempts that came to nothing are kept up to a number, so that the end comes in time."""
        attempts = (rows["protocol"] == TCP) & (rows["handshake_ns"] == NONE_NS)
        attempts &= (rows["orig_bytes"] == 0) & (rows["resp_bytes"] == 0)
        kept: Rows = rows[~attempts | (np.cumsum(attempts) <= self._attempts_left)]
        self._attempts_left = max(self._attempts_left - int(attempts.sum()), 0)
        self._rows_lost += len(rows) - len(kept)
        return kept

    def window(self, window: Window) -> None:
        window["health"]["rows_lost"] += self._rows_lost
        self._rows_lost = 0
        interfaces = self._interfaces
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
        self._window(window, [interface.ring.finished for interface in interfaces])


class Sharing:
    """What a meter hands to the others of its lane."""

    def __init__(self, gather: Gather[Marks], share: int) -> None:
        self.share = share
        self._gather = gather

    def window(self, window: Window, marks: Marks) -> None:
        self._gather.window(self.share, window, marks)

    def flows(self, rows: Rows, names: bytes) -> None:
        self._gather.flows(self.share, rows, names)

    def part(self, part: Part) -> None:
        self._gather.part(self.share, part)

    def reached(self, now_ns: int) -> None:
        self._gather.reached(self.share, now_ns)


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
        workers = 1 + max(interface.share for plan in plans for interface in plan.interfaces)
        self._beats = [monotonic()] * workers
        self._drained = Barrier(workers, self._note_drained)
        self._drained_ns = 0  # the same for all shares, so that they end in the same window
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

    @property
    def beat(self) -> float:
        """When the slowest of the capturing threads last went round (monotonic)."""
        return min(self._beats)

    def until(self, stop: Event, asked: Event, reload: Callable[[], None]) -> None:
        """Capture until `stop` is set, then write everything; `reload()` when `asked` is set."""
        failures: list[BaseException] = []

        def work(worker: int) -> None:
            try:
                self._work_share(worker, stop, Event(), reload)
            except BaseException as error:
                failures.append(error)
                stop.set()

        others = [
            Thread(target=work, args=(worker,), name=f"capture {worker}", daemon=True)
            for worker in range(1, len(self._beats))
        ]
        for thread in others:
            thread.start()
        try:
            self._work_share(0, stop, asked, reload)
        finally:
            stop.set()
            for thread in others:
                thread.join()
            for lane in self.lanes:
                lane.finish()
            self.backlog.close()
        if failures:
            raise failures[0]

    def _work_share(
        self, worker: int, stop: Event, asked: Event, reload: Callable[[], None]
    ) -> None:
        """One capturing thread, to its end: its share of every lane."""
        shares = [lane.shares[worker] for lane in self.lanes]
        wait_ms = WAIT_MS // sum(len(share.interfaces) for share in shares)
        try:
            while not stop.is_set():
                for share in shares:
                    share.turn(wait_ms)
                self._beats[worker] = monotonic()
                if asked.is_set():
                    asked.clear()
                    reload()
        finally:
            deadline = monotonic() + DRAIN_S
            for share in shares:
                share.drain(deadline)
            with suppress(BrokenBarrierError):  # another one failed before it came here
                self._drained.wait(2 * DRAIN_S)
            for share in shares:
                share.finish(self._drained_ns)

    def _note_drained(self) -> None:
        self._drained_ns = time_ns() - LATE_NS

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
        def kept(number: int) -> None:
            lane.kept = number
            for share in lane.shares:
                share.kept = number
            if self._told is not None:
                say("writing again")
                self._told = None

        counting = Lock()
        behind = Behind(self.backlog, index, kept)
        shares = [
            Share(
                [i for i in plan.interfaces if i.share == worker],
                run.capture,
                counting,
            )
            for worker in range(len(self._beats))
        ]
        lane = Lane(plan, run, behind, shares)
        resume_us = self.backlog.workers[index].resume_us
        resume_ns = None if resume_us is None else resume_us * 1000
        for interface in plan.interfaces:
            interface.ring.skip_before = resume_ns or 0
        secret = os.urandom(40)
        if len(shares) > 1:
            merger = Merger(secret)
            lane.gather = Gather(
                len(shares),
                lane.whole,
                behind.flows,
                lambda parts: behind.parts(parts, merger),
            )
        attempts = LAST_ATTEMPTS // len(shares)
        first: Engine | None = None
        for worker, share in enumerate(shares):
            engine = Engine(
                local=list(plan.local.prefixes),
                window_ns=self.window_s * 10**9,
                secret=secret,
                features=True,
                server_name=server_name,
                names_of=first,
                in_step=len(shares) > 1,
            )
            first = first or engine
            if lane.gather is None:
                share.health = Health(
                    share.interfaces, resume_ns, lane.window, behind.flows, attempts
                )
                share.meter = Meter(engine, (share.health,), behind)
            else:
                sharing = Sharing(lane.gather, worker)
                share.health = Health(
                    share.interfaces, resume_ns, sharing.window, sharing.flows, attempts
                )
                share.meter = Meter(engine, (share.health,), None, sharing)
                share.reached = sharing.reached
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
