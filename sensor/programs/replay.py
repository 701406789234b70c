"""`sensor replay`: the composition root that turns captures into figures, on packet time."""

import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any
from uuid import UUID

import click

from sensor._native.engine import Engine
from sensor.errors import DamagedCapture, SensorError
from sensor.flow.locality import LEARN_PACKETS, Local, given, learn
from sensor.flow.meter import Consumer, Meter, Pace
from sensor.metrics.figures import Figures
from sensor.metrics.geography import region_of
from sensor.model.address import pack_prefix
from sensor.model.ids import DEFAULT_WORKSPACE, agent_id, network_id
from sensor.model.text import printable
from sensor.programs.document import Capture, Performance, build
from sensor.programs.inputs import STDIN, Input, expand, open_input

INTERRUPTED = 130
NETWORK = "replay"  # stands for the interface in network_id: a capture file names none

Progress = Callable[[int], None]  # octets read so far, over all inputs


class Interrupt:
    """Ctrl-C once asks to stop between two batches, so that nothing is half done; twice stops."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(slots=True)
class Replayed:
    """What a replay came to."""

    capture: Capture
    figures: Figures
    document: dict[str, Any]
    status: int  # exit status


class Replay:
    """All inputs through one engine. `consumers` get what the figures get."""

    def __init__(
        self,
        paths: tuple[str, ...],
        *,
        local: Local | None = None,  # None: learn it
        agent: str | None = None,
        window_s: int = 60,
        speed: float | None = None,  # None: as fast as possible
    ) -> None:
        self.inputs = expand(paths)
        self.agent_id = agent_id(agent)
        self._looked_at: dict[str, Input] = {}  # standard input cannot be opened twice
        local = learn_local(self.inputs, self._looked_at) if local is None else local
        home = region_of(local.prefixes[0][0]) if local.known else None
        self.network_id = network_id(NETWORK, local.texts())
        self.capture = Capture(files=self.inputs, local=local)
        self.figures = Figures(local_known=local.known, home=home)
        self.engine = Engine(local=list(local.prefixes), window_ns=window_s * 10**9)
        self.pace = None if speed is None else Pace(speed)
        self._octets = 0  # of the inputs read so far

    def run(
        self, consumers: tuple[Consumer, ...] = (), progress: Progress | None = None
    ) -> Replayed:
        """Reads everything; what came before damage or Ctrl-C is kept and reported."""
        meter = Meter(self.engine, (self.figures, *consumers))
        status = 0
        interrupt = Interrupt()
        with interrupt.armed():
            for name in self.inputs:
                if interrupt.asked:
                    break
                try:
                    self._read(name, meter, lambda: interrupt.asked, progress)
                except DamagedCapture as error:
                    complain(error)
                    self.capture.damaged = self.capture.damaged or str(error)
                    status = error.exit_code
        meter.finish()
        self.capture.count_anomalies(self.engine.anomalies())
        metrics = self.figures.metrics(
            self.agent_id, self.network_id, self.capture.first_ns, self.capture.last_ns
        )
        performance = Performance(meter.busy_s, peak_rss_bytes())
        return Replayed(
            self.capture,
            self.figures,
            build(self.capture, self.engine, self.figures, [metrics], performance),
            INTERRUPTED if interrupt.asked else status,
        )

    def _read(
        self, name: str, meter: Meter, stop: Callable[[], bool], progress: Progress | None
    ) -> None:
        source = self._looked_at.pop(name, None) or open_input(name)
        before = self._octets
        with closing(source):
            try:
                while source.pending or (not stop() and meter.read(source)):
                    if self.pace is not None and source.last_ns is not None:
                        self.pace.wait(source.last_ns, stop)
                    meter.feed(source)
                    if progress is not None:
                        progress(before + source.offset)
            finally:
                self._octets = before + source.offset
                self.capture.add(source)


def learn_local(inputs: list[str], looked_at: dict[str, Input]) -> Local:
    """Looks at the first packets, over as many inputs as that takes.

    Of standard input one batch is looked at; it is left in `looked_at`, to be fed first.
    """
    looker = Engine(flows=64, half_open=64, keep_rows=False)
    seen: Counter[bytes] = Counter()
    left = LEARN_PACKETS
    for name in inputs:
        source = open_input(name)
        if name == STDIN:
            looked_at[name] = source
        try:
            while left > 0 and (n := source.next_batch()):
                seen.update(dict(looker.top_addresses(source)))
                left = 0 if name == STDIN else left - n
        except DamagedCapture:
            pass  # said when it is read for its own sake
        finally:
            if name != STDIN:
                source.close()
        if left <= 0:
            break
    return learn(seen)


def complain(error: SensorError) -> None:
    """One line on standard error."""
    click.echo(f"sensor: {printable(str(error), 1000)}", err=True)


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far (getrusage: KiB on Linux, octets on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def show_progress(stack: ExitStack, inputs: list[str]) -> Progress | None:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        return None
    bar: Progress = stack.enter_context(import_module("sensor.programs.progress").bar(inputs))
    return bar


class LocalPrefix(click.ParamType[str]):
    """A CIDR or an address."""

    name = "CIDR"

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        try:
            pack_prefix(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


@click.command(name="replay", short_help="Analyse capture files: report, JSON, SQLite.")
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
    "--window",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Length of a window in packet time.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Cores."
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
    window: int,
    workers: int,
    speed: float | None,
) -> int:
    """Analyse captures: pcap or pcapng files, folders of them, or - for standard input.

    Prints a report, or with --json one document. With --db everything is kept in SQLite as well.
    Times are the packets' own, so the same capture gives the same figures on any machine.
    """
    if workers > 1:
        click.echo(f"sensor: --workers {workers}: this version replays with one", err=True)
    replay = Replay(
        paths,
        local=given(local) if local else None,
        agent=str(agent_id) if agent_id else None,
        window_s=window,
        speed=speed,
    )
    with ExitStack() as stack:
        consumers = open_store(stack, replay, db, workspace_id) if db else ()
        progress = show_progress(stack, replay.inputs)
        done = replay.run(consumers, progress)
    if as_json:
        click.echo(json.dumps(done.document, indent=2, allow_nan=False))
    else:
        render = import_module("sensor.programs.render")
        view = import_module("sensor.programs.view")
        report = view.of_replay(done.document, done.capture, done.figures)
        render.render(report, render.console_for(sys.stdout))
    return done.status
