"""Carries an outbox to its destination: pass by pass, with patience.

Memory is one batch. A destination that fails is tried again after a pause that doubles up to five
minutes, half of it by chance, so that a fleet does not come back all at once. Rows that it refuses
for their content are found by halving the batch, named in `shipping_gaps`, and the rest goes on.
"""

import random
from collections.abc import Callable
from threading import Event
from time import monotonic

from sensor.ship.destination import Batch, Destination, Refused, Unavailable
from sensor.ship.outbox import Outbox

POLL_S = 1.0  # between two looks whether something was written
HOURS_EVERY_S = 900.0  # a growing hour is sent again so often
KEPT_EVERY_S = 300.0  # and the tables without numbers
TURN = 8  # batches of one table before the next table has its turn
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

Say = Callable[[str], None]


def pause_s(failures: int, chance: random.Random) -> float:
    """Seconds to wait after so many failures in a row (1 or more)."""
    # 2.0**20 is far over the longest pause: an exponent without a bound would overflow one day.
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20))
    return longest / 2 + chance.uniform(0, longest / 2)


class Shipper:
    """One outbox, one destination, one thread."""

    def __init__(
        self,
        outbox: Outbox,
        destination: Destination,
        say: Say,
        *,
        clock: Callable[[], float] = monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.outbox = outbox
        self.destination = destination
        self.rows = 0  # that arrived
        self.refused = 0
        self._say = say
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._hours_at = self._kept_at = float("-inf")
        self._stop = Event()

    def once(self) -> int:
        """Everything that is there now, growing hours too; how many rows. Unavailable: later."""
        before = self.rows
        self._hours_at = self._kept_at = float("-inf")
        self._pass()
        return self.rows - before

    def until(self, stop: Event) -> None:
        """Go on until `stop` is set; only what is wrong with the database itself is raised."""
        self._stop = stop
        failures = 0
        seen: tuple[int, ...] = ()
        while not stop.is_set():
            try:
                written = self.outbox.changed()
                if written != seen or failures or self._due():
                    self._pass()
                    seen = written
                if failures:
                    self._say(f"{self.destination.name}: shipping again")
                failures = 0
                stop.wait(POLL_S)
            except Unavailable as error:
                failures += 1
                seconds = pause_s(failures, self._chance)
                self.outbox.cursors.failed(str(error))
                if failures == 1:
                    self._say(f"{error}; rows wait in the database")
                stop.wait(seconds)

    # ---- one pass

    def _pass(self) -> None:
        self.outbox.look()
        kept = self._clock() - self._kept_at >= KEPT_EVERY_S
        self._keep("agents")  # before rows that refer to them
        pending = list(self.outbox.numbered)
        while pending and not self._stop.is_set():
            pending = [table for table in pending if self._turn(table)]
        if self._clock() - self._hours_at >= HOURS_EVERY_S:
            for batch in self.outbox.hours():
                self.outbox.acknowledge(batch, self._send(batch))
            self._hours_at = self._clock()
        if kept:
            for table in self.outbox.kept:
                self._keep(table)
            self._kept_at = self._clock()

    def _due(self) -> bool:
        at = self._clock()
        return at - self._hours_at >= HOURS_EVERY_S or at - self._kept_at >= KEPT_EVERY_S

    def _keep(self, table: str) -> None:
        if table in self.outbox.kept:
            for batch in self.outbox.changes(table):
                self._send(batch)

    def _turn(self, table: str) -> bool:
        """Some batches of a table; whether there may be more."""
        for _ in range(TURN):
            batch = self.outbox.batch(table)
            if batch is None:
                return False
            self.outbox.acknowledge(batch, self._send(batch))
            if self._stop.is_set():
                return False
        return True

    def _send(self, batch: Batch) -> int:
        """How many of its rows were refused; the others have arrived."""
        try:
            self.destination.send(batch)
        except Refused as error:
            if len(batch.rows) > 1:
                middle = len(batch.rows) // 2
                parts = batch.part(0, middle), batch.part(middle, len(batch.rows))
                return sum(self._send(part) for part in parts)
            if not self.refused:
                self._say(f"{error}; its rows are named in shipping_gaps")
            self.refused += 1
            self.outbox.refuse(batch, str(error))
            return 1
        self.rows += len(batch.rows)
        return 0
