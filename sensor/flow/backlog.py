"""Between the thread that captures and the one that computes and writes: a bounded queue.

The capturing thread never waits: what does not fit is given up whole, counted by kind in `lost`,
and the counts go into the health of the next window that fits.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import Full, Queue
from threading import Thread
from typing import Protocol

from sensor._native.faces import Features, Rows, Window
from sensor.flow.meter import Consumer, Watcher

MOST = 512  # handed over and not yet taken: some minutes


class Worker(Protocol):
    """What the other thread works with; made, used and closed there."""

    @property
    def consumers(self) -> tuple[Consumer, ...]: ...
    @property
    def watcher(self) -> Watcher: ...


Task = Callable[[Worker], None]


class Backlog:
    """A consumer and watcher that hands on to those of `make()`, in a thread of their own."""

    def __init__(
        self,
        make: Callable[[], AbstractContextManager[Worker]],
        failed: Callable[[Exception], None],
    ) -> None:
        """`failed` is told, in that thread, what a consumer raised; then work goes on.

        Raises what `make()` raises.
        """
        self.lost = {"windows_lost": 0, "flow_batches_lost": 0, "seconds_lost_behind": 0}
        self._queue: Queue[Task | None] = Queue(MOST)
        self._make = make
        self._failed = failed
        self._started: Queue[BaseException | None] = Queue(1)
        self._thread = Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()
        if (error := self._started.get()) is not None:
            raise error

    def window(self, window: Window) -> None:
        def task(worker: Worker) -> None:
            for consumer in worker.consumers:
                consumer.window(window)

        window["health"] |= self.lost
        if self._put("windows_lost", task):
            self.lost = dict.fromkeys(self.lost, 0)

    def flows(self, rows: Rows, names: bytes) -> None:
        def task(worker: Worker) -> None:
            for consumer in worker.consumers:
                consumer.flows(rows, names)

        self._put("flow_batches_lost", task)

    def features(self, features: Features) -> None:
        self._put("seconds_lost_behind", lambda w: w.watcher.features(features))

    def finish(self) -> None:
        """Of the watcher; what was handed over before is done first."""
        self._queue.put(lambda worker: worker.watcher.finish())

    def close(self) -> None:
        """Wait until all is done."""
        self._queue.put(None)
        self._thread.join()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def _put(self, kind: str, task: Task) -> bool:
        try:
            self._queue.put_nowait(task)
        except Full:
            self.lost[kind] += 1
            return False
        return True

    def _work(self) -> None:
        try:
            context = self._make()
            worker = context.__enter__()
        except BaseException as error:
            self._started.put(error)
            return
        self._started.put(None)
        try:
            while (task := self._queue.get()) is not None:
                try:
                    task(worker)
                except Exception as error:
                    self._failed(error)
        finally:
            context.__exit__(None, None, None)
