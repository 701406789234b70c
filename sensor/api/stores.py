"""A few readers of the store, lent out one question at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue
from threading import Lock

from sensor.errors import SensorError
from sensor.store.reading import ReadingStore


class Busy(SensorError):
    """All readers are busy for too long."""


class Stores:
    """Opens up to `most` readers, as they are needed; any thread."""

    def __init__(self, open_store: Callable[[], ReadingStore], most: int, wait_s: float) -> None:
        self._open_store = open_store
        self._wait_s = wait_s
        self._free: LifoQueue[ReadingStore | None] = LifoQueue()
        self._lock = Lock()
        self._closed = False
        for _ in range(most):
            self._free.put(None)  # a place whose reader is not open yet

    @contextmanager
    def lent(self) -> Iterator[ReadingStore]:
        """A reader. One that failed is closed, so that the next question opens the store anew."""
        try:
            store = self._free.get(timeout=self._wait_s)
        except Empty:
            raise Busy("too many questions at a time") from None
        is_sound = False
        try:
            if store is None:
                store = self._open_store()
            yield store
            is_sound = True
        except SensorError:
            raise
        except Exception:
            is_sound = True  # the question's fault
            raise
        finally:
            if store is not None and (self._closed or not is_sound):
                store.close()
                store = None
            self._free.put(store)

    def close(self) -> None:
        """Closes the readers that nobody has; the others when they come back."""
        with self._lock:
            self._closed = True
            kept = []
            while True:
                try:
                    kept.append(self._free.get_nowait())
                except Empty:
                    break
            for store in kept:
                if store is not None:
                    store.close()
                self._free.put(None)
