"""Between the thread that captures and the one that computes and writes: a bounded queue.

The capturing thread never waits: what does not fit is given up whole, counted by kind in `lost`,
and the counts go into the health of the next window that fits. One queue serves all agents of the
host, one `Behind` each.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from queue import Full, Queue
from threading import Thread
from time import monotonic
from typing import Generic, Protocol, TypeVar

from sensor._native.faces import Features, Part, Rows, Window
from sensor._native.merge import Merger
from sensor.flow.merge import Standing, merge_windows
from sensor.flow.meter import Consumer, Watcher

MOST = 512  # handed over and not yet taken: some minutes


class Worker(Protocol):
    """What the other thread works with for one agent; made, used and closed there."""

    @property
    def consumers(self) -> tuple[Consumer, ...]: ...
    @property
    def watcher(self) -> Watcher: ...


W = TypeVar("W", bound=Worker)
Task = Callable[[], None]


class Backlog(Generic[W]):
    """A queue of tasks, and the thread that does them with the workers of `make()`."""

    def __init__(
        self,
        make: Callable[[], AbstractContextManager[Sequence[W]]],
        failed: Callable[[Exception], None],
    ) -> None:
        """`failed` is told, in that thread, what a task raised; then work goes on.

        Raises what `make()` raises.
        """
        self.workers: Sequence[W] = ()  # the other thread's
        self.busy_since: float | None = None  # monotonic, of the task at hand
        self._queue: Queue[Task | None] = Queue(MOST)
        self._make = make
        self._failed = failed
        self._started: Queue[BaseException | None] = Queue(1)
        self._thread = Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()
        if (error := self._started.get()) is not None:
            raise error

    def offer(self, task: Task) -> bool:
        """False: there is no room, and it will not be done."""
        try:
            self._queue.put_nowait(task)
        except Full:
            return False
        return True

    def put(self, task: Task) -> None:
        """Wait for room: for the end only."""
        self._queue.put(task)

    def close(self) -> None:
        """Wait until all is done."""
        self._queue.put(None)
        self._thread.join()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def _work(self) -> None:
        try:
            context = self._make()
            self.workers = context.__enter__()
        except BaseException as error:
            self._started.put(error)
            return
        self._started.put(None)
        try:
            while (task := self._queue.get()) is not None:
                self.busy_since = monotonic()
                try:
                    task()
                except Exception as error:
                    self._failed(error)
                self.busy_since = None
        finally:
            try:
                context.__exit__(None, None, None)
            except Exception as error:
                self._failed(error)


class Behind(Generic[W]):
    """A consumer and watcher that hands on to those of worker `index`.

    `kept` is told, in the other thread, the number of each window that its consumers took without
    an error; windows are numbered from 0 in `windows`.
    """

    def __init__(
        self, backlog: Backlog[W], index: int, kept: Callable[[int], None] | None = None
    ) -> None:
        self.lost = {"windows_lost": 0, "batches_lost": 0}
        self.windows = 0
        self._backlog = backlog
        self._index = index
        self._kept = kept

    def _worker(self) -> W:
        return self._backlog.workers[self._index]

    def window(self, window: Window) -> None:
        self.windows_of([window], [])

    def windows_of(self, windows: Sequence[Window], others: Sequence[Standing]) -> None:
        """One window of several engines; put together in the other thread."""
        number = self.windows
        self.windows += 1

        def task() -> None:
            whole = merge_windows(windows, others) if len(windows) + len(others) > 1 else windows[0]
            for consumer in self._worker().consumers:
                consumer.window(whole)
            if self._kept is not None:
                self._kept(number)

        windows[0]["health"] |= self.lost
        if self._offer("windows_lost", task):
            self.lost = dict.fromkeys(self.lost, 0)

    def flows(self, rows: Rows, names: bytes) -> None:
        def task() -> None:
            for consumer in self._worker().consumers:
                consumer.flows(rows, names)

        self._offer("batches_lost", task)

    def features(self, features: Features) -> None:
        self._offer("batches_lost", lambda: self._worker().watcher.features(features))

    def parts(self, parts: list[Part], merger: Merger) -> None:
        """One second of several engines; likewise. `merger` is the other thread's."""
        self._offer("batches_lost", lambda: self._worker().watcher.features(merger.merge(parts)))

    def finish(self) -> None:
        """Of the watcher; what was handed over before is done first."""
        self._backlog.put(lambda: self._worker().watcher.finish())

    def _offer(self, kind: str, task: Task) -> bool:
        if self._backlog.offer(task):
            return True
        self.lost[kind] += 1
        return False
