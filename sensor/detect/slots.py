"""What a rule remembers of each key: arrays by slot, valid for one generation of the slot."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor._native.faces import Rows
from sensor.detect.baseline import Learned, Slots
from sensor.detect.columns import Dtype, generations_of, key_columns, slots_of
from sensor.detect.expression import Truths, Values
from sensor.detect.parse import MOST_WINDOWS
from sensor.model.address import address_text

MOST_SLOTS = 1 << 20  # of one table; rows of higher slots are not looked at
MOST_KEPT = 4096  # keys in a saved state: those seen most


def key_of(row: np.void, columns: Iterable[str]) -> dict[str, str | int]:
    """The parts of a row's key, as text and numbers."""
    key: dict[str, str | int] = {}
    for name in columns:
        value = row[name]
        if name in ("address", "peer"):
            key[name] = address_text(value.tobytes())
        elif name == "mac":
            key[name] = value.tobytes().hex(":")
        elif name == "name":
            key[name] = bytes(value).decode("utf-8", "replace")
        else:
            key[name] = int(value)
    return key


class Memory:
    """Of every key: the hits of its last windows, the candidate that they make, its baselines."""

    def __init__(self, dtype: Dtype, windows: list[int], learned: dict[str, Learned]) -> None:
        """`windows`: of each condition, how many windows its rise looks back."""
        self.learned = learned
        self._width = np.array([[(1 << n) - 1] for n in windows], np.uint16)
        self.opened: Truths = np.zeros(0, np.bool_)  # the key has an open event of this rule
        self.history: NDArray[np.uint16] = np.zeros((len(windows), 0), np.uint16)  # newest: bit 0
        self.first_ns: NDArray[np.int64] = np.zeros(0, np.int64)  # of the candidate's first hit
        self.packets: Values = np.zeros(0)  # of the candidate's hits
        self.bytes: Values = np.zeros(0)
        self.log_p: Values = np.zeros(0)  # sum of ln p over its hits
        self._columns = key_columns(dtype)
        named = [(name, dtype[name]) for name in self._columns]
        # a table of one row has no key
        self._keys = np.zeros(0, np.dtype(named or [("none", np.dtype("u1"))]))
        self._known: Truths = np.zeros(0, np.bool_)
        self._generation: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._tick: NDArray[np.int64] = np.zeros(0, np.int64)
        self._kept: dict[str, dict[str, list[float]]] = {}  # of a former run, until the key shows

    def watched(self, slots: Slots) -> Truths:
        """Keys that are looked at whatever the gate says: with hits pending, or an open event."""
        inside = slots < len(self.opened)
        at = np.where(inside, slots, 0)
        if not len(self.opened):
            return np.zeros(len(slots), np.bool_)
        return np.asarray(inside & (self.opened[at] | (self.history[:, at] != 0).any(axis=0)))

    def enter(self, rows: Rows, tick: int) -> Slots:
        """The rows' slots, made ready for window `tick`: what was skipped since is made up for."""
        slots, generations = slots_of(rows), generations_of(rows)
        if len(slots) and int(slots.max()) >= len(self.opened):
            self._grow(1 << int(slots.max()).bit_length())
        fresh = ~self._known[slots] | (self._generation[slots] != generations)
        if fresh.any():
            self._take(slots[fresh], rows[fresh], tick)
        gaps = np.maximum(tick - self._tick[slots] - 1, 0)
        late = gaps > 0
        if late.any():
            for learned in self.learned.values():
                learned.skip(slots[late], gaps[late].astype(np.float64))
        shift = np.minimum(gaps + 1, MOST_WINDOWS).astype(np.uint16)
        # 16 bits: a shift by 16 is done as 15 and 1, since C leaves it undefined
        once = np.minimum(shift, 15).astype(np.uint16)
        moved = (self.history[:, slots] << once) << (shift - once)
        self.history[:, slots] = moved & self._width
        self._tick[slots] = tick
        return slots

    def clear(self, slots: Slots) -> None:
        """No candidate any more, and CUSUM starts again: an event has ended."""
        self.history[:, slots] = 0
        self.opened[slots] = False
        for learned in self.learned.values():
            learned.rest(slots)

    def holds(self, slot: int, generation: int) -> bool:
        """Whether the slot still belongs to that key."""
        return slot < len(self._known) and int(self._generation[slot]) == generation

    def _take(self, slots: Slots, rows: Rows, tick: int) -> None:
        self._known[slots] = True
        self._generation[slots] = generations_of(rows)
        self._tick[slots] = tick - 1
        self.opened[slots] = False
        self.history[:, slots] = 0
        for learned in self.learned.values():
            learned.reset(slots)
        for name in self._columns:
            self._keys[name][slots] = rows[name]
        if self._kept:
            for slot in slots:
                self._put(int(slot))

    def _grow(self, size: int) -> None:
        old = len(self.opened)
        more = max(size, 64) - old
        for name in ("opened", "first_ns", "packets", "bytes", "log_p", "_keys", "_known"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros(more, array.dtype)]))
        self._generation = np.concatenate([self._generation, np.zeros(more, np.uint32)])
        self._tick = np.concatenate([self._tick, np.zeros(more, np.int64)])
        wider = np.zeros((len(self.history), old + more), np.uint16)
        wider[:, :old] = self.history
        self.history = wider
        for learned in self.learned.values():
            learned.grow(old + more)

    def _name(self, slot: int) -> str:
        return "|".join(str(part) for part in key_of(self._keys[slot], self._columns).values())

    def _put(self, slot: int) -> None:
        for feature, values in self._kept.pop(self._name(slot), {}).items():
            if feature in self.learned:
                self.learned[feature].put(slot, values)

    def state(self) -> dict[str, dict[str, list[float]]]:
        """Baselines by key and feature, ready for JSON; what was restored and not seen stays."""
        kept = dict(self._kept)
        slots = np.flatnonzero(self._known)
        for slot in slots.tolist() if self.learned else ():
            kept[self._name(slot)] = {
                feature: learned.get(slot) for feature, learned in self.learned.items()
            }
        weight = {key: max(v[3] for v in part.values()) for key, part in kept.items()}
        most = sorted(kept, key=lambda key: -weight[key])[:MOST_KEPT]
        return {key: kept[key] for key in most}

    def restore(self, state: Any) -> None:
        """What `state` gave; anything else in it is left out."""
        for key, part in list(state.items())[:MOST_KEPT] if isinstance(state, dict) else ():
            self._kept[key] = {
                feature: [float(v) for v in values]
                for feature, values in part.items()
                if feature in self.learned and len(values) == 5
            }
        self._kept = {key: part for key, part in self._kept.items() if part}
