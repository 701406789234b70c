"""From the thread that reads captures to the one that computes: what is finished, in its order.

The results are those of one thread: the engine never waits for an answer, only for room.
"""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import Queue
from threading import Thread
from typing import TypeVar

from sensor._native.faces import Features, Rows, Window
from sensor.flow.meter import Consumer, Watcher

MOST = 8  # handed over and not yet taken: tens of MB where many connections end
SWITCH_S = 0.0005  # how long the reader waits for Python, which it needs every few milliseconds

R = TypeVar("R")
Task = Callable[[], None]


class Stopped(Exception):
    """Raised in the reading thread: nobody takes anything any more."""


class Relay:
    """A consumer and watcher for the reading thread; `run()` calls the real ones in this thread."""

    def __init__(self, consumers: Iterable[Consumer], watcher: Watcher) -> None:
        self._consumers = tuple(consumers)
        self._watcher = watcher
        self._queue: Queue[Task | None] = Queue(MOST)
        self._stopped = False

    def window(self, window: Window) -> None:
        self._put(lambda: self._each(lambda consumer: consumer.window(window)))

    def flows(self, rows: Rows, names: bytes) -> None:
        self._put(lambda: self._each(lambda consumer: consumer.flows(rows, names)))

    def features(self, features: Features) -> None:
        self._put(lambda: self._watcher.features(features))

    def finish(self) -> None:
        self._put(self._watcher.finish)

    def run(self, read: Callable[[], R]) -> R:
        """Call `read` in a thread of its own, and in this one whatever it hands over.

        What either raises ends both and is raised.
        """
        outcome: Future[R] = Future()
        thread = Thread(target=self._read, args=(read, outcome), name="reader", daemon=True)
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            thread.start()
            while (task := self._queue.get()) is not None:
                task()
        except BaseException:
            self._stopped = True
            while thread.is_alive():  # it may be waiting for room
                while not self._queue.empty():
                    self._queue.get()
                thread.join(0.01)
            raise
        finally:
            sys.setswitchinterval(before)
        return outcome.result()

    def _read(self, read: Callable[[], R], outcome: "Future[R]") -> None:
        try:
            outcome.set_result(read())
        except BaseException as error:
            outcome.set_exception(error)
        self._queue.put(None)

    def _put(self, task: Task) -> None:
        self._queue.put(task)
        if self._stopped:
            raise Stopped

    def _each(self, call: Callable[[Consumer], None]) -> None:
        for consumer in self._consumers:
            call(consumer)
