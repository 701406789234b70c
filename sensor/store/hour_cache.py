"""What a period answered, kept until a row of it is written.

Rows are only ever added, numbered ascending over all tables of the database: what came after the
number last seen tells which periods to ask again. Rows that retention deletes stay in an answer for
as long as it is kept.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Any

ROOM = 4096  # answers, a large one counts as several
PIECE_US = 300_000_000  # the shortest period whose answer is worth keeping


class HourCache:
    """For all readers of one database; any thread."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._lock = Lock()
        self._kept: OrderedDict[tuple[int, int, Hashable], tuple[Any, int]] = OrderedDict()
        self._used = 0
        self.usual: dict[str, int] = {}  # boot_id: usual window of runs that had one, in seconds
        self.seq = 0  # rows numbered from here on were not looked at

    def get(self, since: int, until: int, question: Hashable) -> Any:
        """The answer for this period; None when it is not kept."""
        key = since, until, question
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(
        self, since: int, until: int, question: Hashable, answer: Any, seq: int, weight: int = 1
    ) -> None:
        """`seq`: of the cache, before the question was asked; a later one makes the answer old."""
        key = since, until, question
        with self._lock:
            if seq != self.seq:
                return
            self._drop(key)
            self._kept[key] = answer, weight
            self._used += weight
            while self._used > self._room:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[int, int, Hashable]) -> None:
        if (gone := self._kept.pop(key, None)) is not None:
            self._used -= gone[1]

    def advance(self, seq: int, times: Iterable[int] | None) -> None:
        """Rows up to before `seq` are of these pieces, by their starts; None: of any."""
        with self._lock:
            if times is None:
                self._kept.clear()
                self._used = 0
            else:
                touched = sorted(set(times))
                gone = [
                    key for key in self._kept
                    if any(key[0] < at + PIECE_US and at < key[1] for at in touched)
                ]  # fmt: skip
                for key in gone:
                    self._drop(key)
            self.seq = seq
