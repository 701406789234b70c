"""What a rule remembers of each key: arrays by slot, valid for one generation of the slot."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.detect.baseline import Learned, Slots
from sensor.detect.columns import Dtype, key_columns
from sensor.detect.expression import Truths, Values
from sensor.detect.parse import MOST_WINDOWS
from sensor.detect.window import View
from sensor.model.address import address_text

MOST_SLOTS = 1 << 20  # of one table; rows of higher slots are not looked at
BLOCK = 16  # windows that a baseline may lag behind while nobody asks
MOST_KEPT = 4096  # keys in a saved state: those seen most

Ticks = NDArray[np.int64]
_BY_SLOT = (
    *("opened", "first_ns", "packets", "bytes", "hits", "log_p", "_keys", "_generation"),
    *("_history_tick", "_tick", "_fold_tick", "_frozen", "_block"),
)


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
    """Of every key: the hits of its last windows, the candidate that they make, its baselines.

    Windows are numbered by ticks. What need not be known at once is made up for later: hits are
    shifted when they are read, baselines are folded by BLOCK windows or when they are asked.
    """

    def __init__(self, dtype: Dtype, windows: list[int], learned: dict[str, Learned]) -> None:
        """`windows`: of each condition, how many windows its rise looks back."""
        self.learned = learned
        self._width = np.array([[(1 << n) - 1] for n in windows], np.uint16)
        self.opened: Truths = np.zeros(0, np.bool_)  # the key has an open event of this rule
        self.first_ns: Ticks = np.zeros(0, np.int64)  # of the candidate's first hit
        self.packets: Values = np.zeros(0)  # of the candidate's hits
        self.bytes: Values = np.zeros(0)
        self.hits: Values = np.zeros(0)  # how many
        self.log_p: Values = np.zeros(0)  # sum of ln p over them
        self._columns = key_columns(dtype)
        named = [(name, dtype[name]) for name in self._columns]
        # a table of one row has no key
        self._keys = np.zeros(0, np.dtype(named or [("none", np.dtype("u1"))]))
        self._generation: Ticks = np.zeros(0, np.int64)  # -1: no key yet
        self._history: NDArray[np.uint16] = np.zeros((len(windows), 0), np.uint16)  # newest: bit 0
        self._history_tick: Ticks = np.zeros(0, np.int64)
        self._tick: Ticks = np.zeros(0, np.int64)  # of the last row, or fold
        self._fold_tick: Ticks = np.zeros(0, np.int64)
        self._frozen: Ticks = np.zeros(0, np.int64)  # windows since the fold that are not learned
        self._block: Truths = np.zeros(0, np.bool_)  # rows came since the fold
        self._now = 0
        self._hot_until = -1  # the last tick at which hits may be pending
        self._open = 0
        self._kept: dict[str, dict[str, list[float]]] = {}  # of a former run, until the key shows

    def advance(self, tick: int) -> None:
        """It is window `tick` now."""
        if tick // BLOCK != self._now // BLOCK:
            self._ready(np.flatnonzero(self._block), tick)
        self._now = tick

    def watched(self, slots: Slots) -> Truths | None:
        """Keys that are looked at whatever the gate says: with hits pending, or an open event."""
        if not self._open and self._now > self._hot_until:
            return None
        inside = slots < len(self.opened)
        at = np.where(inside, slots, 0)
        return np.asarray(inside & (self.opened[at] | (self.history(at) != 0).any(axis=0)))

    def enter(self, view: View) -> None:
        """Make room for the keys of these rows."""
        if view.top >= len(self.opened):
            self._grow(1 << view.top.bit_length())
        fresh = self._generation[view.slots] != view.generations
        if fresh.any():
            self._take(view, fresh)

    def ready(self, slots: Slots) -> None:
        """Fold what these keys' baselines have not taken in yet of the windows before this one."""
        self._ready(slots, self._now)

    def _ready(self, slots: Slots, tick: int) -> None:
        last = self._tick[slots]
        windows = last - self._fold_tick[slots] - self._frozen[slots]
        zeros = tick - 1 - last
        if windows.any() or zeros.any():
            for learned in self.learned.values():
                learned.fold(slots, windows.astype(np.float64), zeros.astype(np.float64))
        self._tick[slots] = self._fold_tick[slots] = tick - 1
        self._frozen[slots] = 0
        self._block[slots] = False

    def passed(self, slots: Slots, learn: Truths | None) -> Slots:
        """The window is over for these keys; those to learn it (None: all of them)."""
        self._tick[slots] = self._now
        self._block[slots] = True
        if learn is None:
            return slots
        self._frozen[slots[~learn]] += 1
        return slots[learn]

    def history(self, slots: Slots) -> NDArray[np.uint16]:
        """Hits of the last windows by condition and key, this window's in bit 0."""
        shift = np.minimum(self._now - self._history_tick[slots], MOST_WINDOWS)
        # 16 bits: a shift by 16 is done as 15 and 1, since C leaves it undefined
        once = np.minimum(shift, 15).astype(np.uint16)
        moved = (self._history[:, slots] << once) << (shift.astype(np.uint16) - once)
        self._history[:, slots] = moved & self._width
        self._history_tick[slots] = self._now
        return self._history[:, slots]

    def hit(self, condition: int, slots: Slots) -> None:
        """The condition holds for these keys in this window; `history` was asked before."""
        self._history[condition, slots] |= 1
        self._hot_until = self._now + MOST_WINDOWS

    def open(self, slot: int) -> None:
        """The key has an open event."""
        self._open += not self.opened[slot]
        self.opened[slot] = True

    def clear(self, slot: int, generation: int) -> None:
        """Its event has ended: no candidate any more, and CUSUM starts again."""
        if slot >= len(self.opened) or self._generation[slot] != generation:
            return
        at = np.array([slot])
        self._open -= int(self.opened[slot])
        self.opened[slot] = False
        self._history[:, at] = 0
        for learned in self.learned.values():
            learned.rest(at)

    def _take(self, view: View, fresh: Truths) -> None:
        slots = view.slots[fresh]
        self._open -= int(self.opened[slots].sum())
        self._generation[slots] = view.generations[fresh]
        self._tick[slots] = self._fold_tick[slots] = self._history_tick[slots] = self._now - 1
        self._frozen[slots] = 0
        self.opened[slots] = False
        self._history[:, slots] = 0
        for learned in self.learned.values():
            learned.reset(slots, self._now)
        for name in self._columns:
            self._keys[name][slots] = view.values(name, fresh)
        if self._kept:
            for slot in slots:
                self._put(int(slot))

    def _grow(self, size: int) -> None:
        more = max(size, 64) - len(self.opened)
        for name in _BY_SLOT:
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros(more, array.dtype)]))
        self._generation[-more:] = -1
        wider = np.zeros((len(self._history), more), np.uint16)
        self._history = np.concatenate([self._history, wider], axis=1)
        for learned in self.learned.values():
            learned.grow(len(self.opened))

    def _name(self, slot: int) -> str:
        return "|".join(str(part) for part in key_of(self._keys[slot], self._columns).values())

    def _put(self, slot: int) -> None:
        for feature, values in self._kept.pop(self._name(slot), {}).items():
            if feature in self.learned:
                self.learned[feature].put(slot, values)

    def state(self) -> dict[str, dict[str, list[float]]]:
        """Baselines by key and feature, ready for JSON; what was restored and not seen stays."""
        kept = dict(self._kept)
        slots = np.flatnonzero(self._generation >= 0)
        self._ready(slots, self._now + 1)
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
