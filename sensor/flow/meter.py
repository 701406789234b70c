"""Drives the engine over packet sources by packet time, and hands out what it finishes.

A consumer gets the connections that ended in a window before the window itself, so that one
transaction can hold both. The meter keeps the time that reading and the engine took, without its
consumers' time.
"""

from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import Protocol

from sensor._native.faces import (
    SECOND_ENDED,
    WINDOW_ENDED,
    Engine,
    Features,
    Part,
    Rows,
    Source,
    Window,
)

NAP_S = 0.1  # how long Ctrl-C may wait for a sleeping replay


class Consumer(Protocol):
    """Whoever takes finished rows: figures, the store, detection."""

    def window(self, window: Window) -> None: ...
    def flows(self, rows: Rows, names: bytes) -> None: ...


class Watcher(Protocol):
    """Whoever looks at every second: detection."""

    def features(self, features: Features) -> None: ...
    def finish(self) -> None: ...


class Sharer(Protocol):
    """Whoever puts together what several engines saw; `share` is this engine's number."""

    share: int

    def part(self, part: Part) -> None: ...


class Meter:
    """Feeds sources one after another into one engine; `finish()` ends every connection.

    `watcher` needs an engine made with features=True; so does a `sharer`, which stands for it where
    the engine gets a share of the packets only.
    """

    def __init__(
        self,
        engine: Engine,
        consumers: Iterable[Consumer],
        watcher: Watcher | None = None,
        sharer: Sharer | None = None,
    ) -> None:
        self.engine = engine
        self.consumers = tuple(consumers)
        self.watcher = watcher
        self.sharer = sharer
        self.busy_s = 0.0  # monotonic: reading and engine

    def read(self, source: Source) -> int:
        """The source's next batch; how many records, 0 at the end."""
        start = monotonic()
        try:
            return source.next_batch()
        finally:
            self.busy_s += monotonic() - start

    def feed(self, source: Source) -> None:
        """The source's current batch."""
        start = monotonic()
        while reason := self.engine.feed(source):
            self.busy_s += monotonic() - start
            self._answer(reason)
            start = monotonic()
        self.busy_s += monotonic() - start

    def idle(self, now_ns: int) -> None:
        """No packet of before `now_ns` is to come."""
        start = monotonic()
        while reason := self.engine.idle(now_ns):
            self.busy_s += monotonic() - start
            self._answer(reason)
            start = monotonic()
        self.busy_s += monotonic() - start

    def finish(self) -> None:
        """End of input: the last connections and the last window."""
        start = monotonic()
        self.engine.finish()
        self.busy_s += monotonic() - start
        while self._take(window=False):
            pass
        self._watch()
        if self.watcher is not None:
            self.watcher.finish()
        self._take(window=True)

    def _answer(self, reason: int) -> None:
        if reason & SECOND_ENDED:
            self._watch()
        else:
            self._take(window=bool(reason & WINDOW_ENDED))

    def _watch(self) -> None:
        if self.sharer is not None:
            if (part := self.engine.take_part(self.sharer.share)) is not None:
                self.sharer.part(part)
            return
        features = self.engine.take_features()
        if features is not None and self.watcher is not None:
            self.watcher.features(features)

    def _take(self, *, window: bool) -> int:
        rows, names = self.engine.take_flows()
        if len(rows):
            for consumer in self.consumers:
                consumer.flows(rows, names)
        if window:
            finished = self.engine.take_window()
            if not finished["totals"].any() and not finished["seconds"].size:
                return len(rows)  # nothing happened: the end of an empty input, or of a quiet one
            for consumer in self.consumers:
                consumer.window(finished)
        return len(rows)


class Pace:
    """Holds a replay to `speed` times packet time, by the monotonic clock."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start: tuple[float, int] | None = None  # monotonic seconds, packet nanoseconds

    def wait(self, packet_ns: int, stop: Callable[[], bool]) -> None:
        """Sleep until the packet of `packet_ns` is due, or `stop()`; the past is due at once."""
        if self._start is None:
            self._start = monotonic(), packet_ns
        began, first_ns = self._start
        due = began + (packet_ns - first_ns) / 1e9 / self.speed
        while not stop() and (left := due - monotonic()) > 0:
            sleep(min(left, NAP_S))
