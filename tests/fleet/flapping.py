"""A real destination whose acknowledgements are lost, doubled and late."""

import random
from typing import Any

from sensor.ship.destination import Batch, Unavailable


class Flapping:
    def __init__(self, real: Any, rng: random.Random) -> None:
        self.name, self.tables = real.name, real.tables
        self._real = real
        self._rng = rng
        self._old: list[Batch] = []

    def send(self, batch: Batch) -> None:
        fate = self._rng.random()
        if fate < 0.1:
            raise Unavailable("dropped before")
        self._real.send(batch)
        self._old.append(batch)
        if fate < 0.2:
            self._real.send(batch)  # twice
        if fate < 0.3:
            self._real.send(self._rng.choice(self._old))  # an old one, late
        if fate < 0.4:
            raise Unavailable("acknowledgement lost")

    def close(self) -> None:
        self._real.close()
