"""`sensor replay`: the composition root that turns captures into figures, on packet time."""

import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from threading import current_thread, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import click

from sensor._native.engine import Engine
from sensor._native.savefile import Savefile
from sensor.capture.savefile import STDIN, find_savefiles, open_savefile
from sensor.errors import DamagedCapture, InputError, SensorError
from sensor.flow.locality import LEARN_PACKETS, Local, given, learn
from sensor.flow.meter import Consumer, Meter, Pace
from sensor.flow.quic_initial import server_name
from sensor.flow.relay import Relay
from sensor.metrics.countries import open_countries
from sensor.metrics.figures import Figures
from sensor.metrics.geography import own, region_of
from sensor.metrics.topology import Topology
from sensor.model.ids import DEFAULT_WORKSPACE, agent_id, network_id
from sensor.model.rows import SecurityEventRow
from sensor.model.text import printable
from sensor.programs.detection import Detection, Looks, make_detector
from sensor.programs.document import Capture, Counted, Findings, Performance, build
from sensor.programs.options import LocalPrefix

if TYPE_CHECKING:
    from distributed import Client

INTERRUPTED = 130
# A replay is a function of its capture, and so are the places that hashes give. Who makes a capture
# so that they collide gains evictions (counted), no time: every look-up is bounded.
SECRET = blake2b(b"sensor replay", digest_size=40).digest()
NETWORK = "replay"  # stands for the interface in network_id: a capture file names none

Progress = Callable[[int], None]  # octets read so far, over all inputs


class Interrupt:
    """Ctrl-C stops between two batches, so that nothing is half done; a second one stops at once.

    While `reading` what may wait for ever (a pipe), it stops at once too: nothing is lost then.
    """

    def __init__(self, *, may_wait: bool) -> None:
        self.asked = False
        self.may_wait = may_wait
        self.reading = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        if current_thread() is not main_thread():  # a worker of a cluster: its signals are not ours
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        if self.asked or self.reading:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True

    def read(self, read: Callable[[], int]) -> int:
        """What `read()` gives; 0 when it was interrupted, or before."""
        self.reading = self.may_wait
        try:
            return 0 if self.asked else read()
        except KeyboardInterrupt:
            return 0
        finally:
            self.reading = False


@dataclass(slots=True)
class Replayed:
    """What a replay came to."""

    capture: Capture
    figures: Figures
    document: dict[str, Any]
    status: int  # exit status
    seconds: float  # reading and engine


class Replay:
    """All inputs through one engine. `consumers` get what the figures get."""

    source = "replay"
    hostname = None  # a capture does not say where it was made

    def __init__(
        self,
        paths: tuple[str, ...],
        *,
        local: Local | None = None,  # None: learn it
        agent: str | None = None,
        rules: str | None = None,  # folder of the operator's rule files
        window_s: int = 60,
        workers: int = 1,  # from 2 on: captures are read by a thread of their own
        speed: float | None = None,  # None: as fast as possible
    ) -> None:
        found = find_savefiles(paths, complain_of_skipped)
        self.inputs = [each.path for each in found]
        sizes = [each.size for each in found]
        self.sizes = {each.path: each.size or 0 for each in found}
        self.size = None if None in sizes else sum(size for size in sizes if size is not None)
        self.agent_id = agent_id(agent)
        self._looked_at: dict[str, Savefile] = {}  # standard input cannot be opened twice
        local = learn_local(self.inputs, self._looked_at) if local is None else local
        self.home = region_of(local.prefixes[0][0]) if local.known else None
        self.window_s = window_s
        self.rules = rules
        self.network_id = network_id(NETWORK, local.texts())
        self.capture = Capture(files=self.inputs, local=local)
        self.figures = Figures(local_known=local.known, home=self.home)
        self.engine = Engine(
            local=list(local.prefixes),
            window_ns=window_s * 10**9,
            secret=SECRET,
            features=True,
            server_name=server_name,
        )
        self.topology = Topology()
        self.detector = make_detector(self.agent_id, "", rules)  # a replay's boot_id is known later
        self.findings: Findings = self.detector  # for a store
        self.pace = None if speed is None else Pace(speed)
        # A pipe may make the reader wait for ever, and a paced replay has time.
        self.apart = workers > 1 and self.size is not None and self.pace is None
        self.boot_id = ""  # known with the first packet
        self._octets = 0  # of the inputs read so far

    def run(
        self,
        consumers: tuple[Consumer, ...] = (),
        progress: Progress | None = None,
        looks: Looks | None = None,
    ) -> Replayed:
        """Reads everything; what came before damage or Ctrl-C is kept and reported.

        `looks` gets each second's features; without it topology does, where there are consumers.
        """
        watch = Detection(self.detector, looks or (self.topology if consumers else None))
        consumers = (self.figures, watch.beacons, *consumers)
        interrupt = Interrupt(may_wait=not self.apart)
        with interrupt.armed():
            if self.apart:
                relay = Relay(consumers, watch)
                meter = Meter(self.engine, (relay,), relay)
                status = relay.run(lambda: self._read_all(meter, interrupt, progress))
            else:
                meter = Meter(self.engine, consumers, watch)
                status = self._read_all(meter, interrupt, progress)
        for rule, reason in sorted(self.detector.off.items()):
            click.echo(f"sensor: rule {rule} is off: {reason}", err=True)
        self.capture.count_anomalies(self.engine.anomalies())
        events = [row._replace(boot_id=self.boot_id) for row in self.detector.events]
        return self._replayed(
            self.engine, events, meter.busy_s, INTERRUPTED if interrupt.asked else status
        )

    def run_by(
        self,
        client: "Client",
        consumers: tuple[Consumer, ...] = (),
        progress: Progress | None = None,
    ) -> Replayed:
        """The same by Dask's workers, a file each (sensor.programs.archive)."""
        archive = import_module("sensor.programs.archive")
        plan = archive.Plan(self.capture.local, self.agent_id, self.rules, self.window_s)
        whole = archive.Whole()
        for name, found in archive.look_at_all(client, self.inputs, plan):
            whole.add(found)
            self._octets += self.sizes[name]
            if progress is not None:
                progress(self._octets)
        whole.add_up(self.capture)
        self.boot_id = self._identity()
        self.findings = whole
        whole.hand_on((self.figures, *consumers), self.topology)
        status = 0
        for found in whole.found:
            if found.error is not None:
                click.echo(f"sensor: {printable(found.error, 1000)}", err=True)
                status = status or found.status
        events = [row._replace(boot_id=self.boot_id) for row in whole.events]
        return self._replayed(whole, events, sum(found.busy_s for found in whole.found), status)

    def _replayed(
        self, engine: Counted, events: list[SecurityEventRow], busy_s: float, status: int
    ) -> Replayed:
        metrics = self.figures.metrics(
            self.agent_id, self.network_id, self.capture.first_ns, self.capture.last_ns
        )
        performance = Performance(busy_s, peak_rss_bytes())
        return Replayed(
            self.capture,
            self.figures,
            build(self.capture, engine, self.figures, [metrics], events, performance),
            status,
            busy_s,
        )

    def _read_all(self, meter: Meter, interrupt: Interrupt, progress: Progress | None) -> int:
        """The exit status so far."""
        status = 0
        for name in self.inputs:
            if interrupt.asked:
                break
            try:
                self._read(name, meter, interrupt, progress)
            except InputError as error:
                if len(self.inputs) == 1 and not isinstance(error, DamagedCapture):
                    raise
                complain(error)
                self.capture.damaged = self.capture.damaged or str(error)
                status = status or error.exit_code
        self.boot_id = self.boot_id or self._identity()
        meter.finish()
        return status

    def _identity(self) -> str:
        """The same capture, looked at in the same way, is the same run."""
        identity = f"{self.capture.first_ns}/{self.network_id}/{self.window_s}"
        return str(uuid5(UUID(self.agent_id), identity))

    def _read(
        self, name: str, meter: Meter, interrupt: Interrupt, progress: Progress | None
    ) -> None:
        source = self._looked_at.pop(name, None) or open_savefile(name)
        source.by_batch = self.pace is not None
        before = self._octets
        with closing(source):
            try:
                while source.pending or interrupt.read(lambda: meter.read(source)):
                    latest_ns = self.capture.add(source)
                    self.boot_id = self.boot_id or self._identity()
                    if self.pace is not None:
                        self.pace.wait(latest_ns, lambda: interrupt.asked)
                    meter.feed(source)
                    self.capture.add(source)
                    if progress is not None:
                        progress(before + source.input_position)
            finally:
                self._octets = before + source.input_position
                self.capture.count_anomalies(source.anomalies)


def learn_local(inputs: list[str], looked_at: dict[str, Savefile]) -> Local:
    """Looks at the first packets, over as many inputs as that takes.

    Of standard input one batch is looked at; it is left in `looked_at`, to be fed first.
    """
    looker = Engine(flows=64, half_open=64, keep_rows=False)
    seen: Counter[bytes] = Counter()
    left = LEARN_PACKETS
    for name in inputs:
        try:
            source = open_savefile(name)
        except InputError:
            continue  # said when it is read for its own sake
        if name == STDIN:
            looked_at[name] = source
        try:
            while left > 0 and (n := source.next_batch()):
                seen.update(dict(looker.top_addresses(source)))
                left = 0 if name == STDIN else left - n
        except DamagedCapture:
            pass  # likewise
        finally:
            if name != STDIN:
                source.close()
        if left <= 0:
            break
    return learn(seen)


def complain(error: SensorError) -> None:
    """One line on standard error."""
    click.echo(f"sensor: {printable(str(error), 1000)}", err=True)


def complain_of_skipped(path: str, reason: str) -> None:
    """A file of a folder that is not read."""
    click.echo(f"sensor: {printable(path, 1000)}: skipped: {reason}", err=True)


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far (getrusage: KiB on Linux, octets on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def open_store(
    stack: ExitStack, replay: Replay, path: str, workspace_id: str
) -> tuple[Consumer, ...]:
    """The store as a consumer, closed with `stack`."""
    keep = import_module("sensor.programs.keep")
    store = stack.enter_context(import_module("sensor.store.sqlite").SqliteStore(path))
    keeper: Consumer = stack.enter_context(keep.Keeper(store, replay, workspace_id))
    return (keeper,)


def show_progress(stack: ExitStack, size: int | None) -> Progress | None:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        return None
    bar: Progress = stack.enter_context(import_module("sensor.programs.progress").bar(size))
    return bar


@click.command(
    name="replay",
    short_help="Analyse capture files: report, JSON, SQLite.",
    epilog="\b\nExamples:\n  sensor replay capture.pcap\n  sensor replay captures/ --db site.db",
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--db", metavar="FILE", help="Write rows to this SQLite database too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, no report.")
@click.option(
    "--local",
    "local",
    multiple=True,
    type=LocalPrefix(),
    help="A prefix that is the agent's own (repeatable). Without it, it is learned.",
)
@click.option("--agent-id", type=click.UUID, metavar="UUID", help="Whose traffic it is.")
@click.option(
    "--workspace-id", default=DEFAULT_WORKSPACE, show_default=True, metavar="ID", help="Its group."
)
@click.option(
    "--rules",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Detection rules of your own.",
)
@click.option(
    "--countries",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="A country database (.mmdb) of your own.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Length of a window in packet time.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="From 2 on, files are read by a thread of their own; the figures are the same.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Each file by a worker of a Dask scheduler (tcp://HOST:PORT), or `local`: of --workers"
    " processes. A connection over two files counts in both.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="N times packet time (1: as it was captured). Without it, as fast as possible.",
)
def command(
    paths: tuple[str, ...],
    db: str | None,
    as_json: bool,
    local: tuple[str, ...],
    agent_id: UUID | None,
    workspace_id: str,
    rules: str | None,
    countries: str | None,
    window: int,
    workers: int,
    cluster: str | None,
    speed: float | None,
) -> int:
    """Analyse captures: pcap or pcapng files, folders of them, or - for standard input.

    Prints a report, or with --json one document. With --db everything is kept in SQLite as well.
    Times are the packets' own, so the same capture gives the same figures on any machine.
    """
    own.use_countries(open_countries(countries) if countries else None)
    replay = Replay(
        paths,
        local=given(local) if local else None,
        agent=str(agent_id) if agent_id else None,
        rules=rules,
        window_s=window,
        workers=workers,
        speed=speed,
    )
    with ExitStack() as stack:
        consumers = open_store(stack, replay, db, workspace_id) if db else ()
        if cluster is None:
            done = replay.run(consumers, show_progress(stack, replay.size))
        else:
            archive = import_module("sensor.programs.archive")
            client = stack.enter_context(archive.cluster(cluster, workers))
            done = replay.run_by(client, consumers, show_progress(stack, replay.size))
    if as_json:
        click.echo(json.dumps(done.document, indent=2, allow_nan=False))
    else:
        render = import_module("sensor.programs.render")
        view = import_module("sensor.programs.view")
        report = view.of_replay(done.document, done.capture, done.figures)
        render.render(report, render.console_for(sys.stdout))
    return done.status
