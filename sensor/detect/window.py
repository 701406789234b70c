"""One window of one table: columns for expressions, and seconds added up to longer windows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from sensor._native.faces import Rows
from sensor.detect.baseline import Look, Slots
from sensor.detect.columns import (
    DERIVED,
    TOP,
    Dtype,
    blocks,
    counts,
    generations_of,
    levels,
    peaks,
    slots_of,
    whole,
)
from sensor.detect.expression import Expression, Truths, Values

NS = 1_000_000_000
NOTHING = np.dtype([("nothing", "u1")])  # before the first row says what its table has


class Features(TypedDict):
    """What the native floor says about one second of packet time in which something happened."""

    start_ns: int
    end_ns: int  # of the second, or the newest packet of the input's last one
    tables: dict[str, Rows]


@dataclass(frozen=True, slots=True)
class Span:
    """Packet time of a window; `end_ns` is not later than the newest packet known."""

    start_ns: int
    end_ns: int


class View:
    """Rows of a table with their columns as float64, made once each."""

    def __init__(self, rows: Rows) -> None:
        self._rows: Rows | None = rows
        self._columns: dict[str, Values] = {}
        self.dtype = rows.dtype
        self.size = len(rows)
        self.slots = slots_of(rows)
        self.generations = generations_of(rows)
        self.top = int(self.slots.max()) if self.size else -1  # no slot is higher

    @property
    def rows(self) -> Rows:
        """The rows themselves."""
        if self._rows is None:
            self._rows = self._select()
        return self._rows

    def values(self, name: str, at: Truths) -> NDArray[Any]:
        """A column as it is, of the rows `at`."""
        return self.rows[name][at]

    def column(self, name: str) -> Values:
        """A column of the table, or one derived from two; KeyError when there is none."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = self._read(name)
        return found

    def _select(self) -> Rows:
        raise NotImplementedError  # a whole table has its rows

    def _read(self, name: str) -> Values:
        if name in DERIVED and name not in (self.dtype.names or ()):
            part, whole = (self.column(part) for part in DERIVED[name])
            return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
        return self.rows[name].astype(np.float64)


class Part(View):
    """Some rows of a view; what the view has read is not read again."""

    def __init__(self, view: View, index: Slots) -> None:
        self._whole = view
        self._index = index
        self._rows = None
        self._columns = {}
        self.dtype = view.dtype
        self.size = len(index)
        self.slots = view.slots[index]
        self.generations = view.generations[index]
        self.top = view.top

    def values(self, name: str, at: Truths) -> NDArray[Any]:
        return self._whole.rows[name][self._index[at]]

    def _select(self) -> Rows:
        rows = self._whole.rows
        return whole(rows)[self._index].view(rows.dtype)

    def _read(self, name: str) -> Values:
        return np.asarray(self._whole.column(name)[self._index])


class Scope(dict[str, Any]):
    """Names of expressions to values, found on first use."""

    def __init__(
        self,
        view: View,
        sensor: View | None,
        params: Mapping[str, float],
        features: Mapping[str, Expression],
        look: Callable[["Scope", str], Look] | None = None,
    ) -> None:
        """`look` says how to hold a feature against its baseline."""
        super().__init__(params)
        self.view = view
        self.size = view.size
        self.looks: dict[str, Look] = {}
        self._sensor = sensor
        self._features = features
        self._look = look

    def look(self, feature: str) -> Look:
        """A feature beside what is normal for it."""
        found = self.looks.get(feature)
        if found is None:
            if self._look is None:
                raise KeyError(feature)
            found = self.looks[feature] = self._look(self, feature)
        return found

    def __missing__(self, name: str) -> Any:
        value: Any
        if (feature := self._features.get(name)) is not None:
            value = feature.numbers(self, self.size)
        elif name.startswith("sensor."):
            value = self._sensor_value(name.removeprefix("sensor."))
        elif name.endswith(")"):
            function, _, argument = name[:-1].partition("(")
            value = self.look(argument).statistic(function)
        else:
            value = self.view.column(name)
        self[name] = value
        return value

    def _sensor_value(self, column: str) -> float:
        if self._sensor is None or not self._sensor.size:
            return float("nan")
        return float(self._sensor.column(column)[0])


class Sums:
    """Adds up seconds of one table into tumbling windows of `seconds`, aligned to packet time."""

    def __init__(self, seconds: int) -> None:
        self._length_ns = seconds * NS
        self._number: int | None = None  # of the window that is being filled
        self._end_ns = 0
        self._rows = np.zeros(0, NOTHING)  # by slot
        self._used = np.zeros(0, np.bool_)

    def closes_before(self, start_ns: int) -> bool:
        """Whether a second that starts then belongs to another window than the one being filled."""
        return self._number is not None and start_ns // self._length_ns != self._number

    def add(self, rows: Rows, start_ns: int, end_ns: int) -> bool:
        """One second; whether it was the window's last."""
        if self._number is None:
            self._number = start_ns // self._length_ns
            self._end_ns = end_ns
        self._end_ns = max(self._end_ns, end_ns)
        if len(rows):
            self._merge(rows)
        elif self._rows.dtype == NOTHING:
            self._rows = rows
        return (start_ns + NS) % self._length_ns == 0

    def take(self) -> tuple[Rows, Span] | None:
        """The window so far, which ends with it; None when nothing came in."""
        if self._number is None:
            return None
        start_ns = self._number * self._length_ns
        span = Span(start_ns, min(self._end_ns, start_ns + self._length_ns))
        rows = whole(self._rows)[self._used].view(self._rows.dtype)
        self._number = None
        self._used[:] = False
        return rows, span

    def _merge(self, rows: Rows) -> None:
        slots, generations = slots_of(rows), generations_of(rows)
        table = self._room(rows.dtype, int(slots.max()) + 1)
        same = self._used[slots] & (generations_of(table)[slots] == generations)
        whole(table)[slots[~same]] = whole(rows)[~same]
        self._used[slots] = True
        if not same.any():
            return
        slots, rows = slots[same], whole(rows)[same].view(rows.dtype)
        dtype = rows.dtype
        if "top_count" in (dtype.names or ()):
            larger = rows["top_count"] > table["top_count"][slots]
            moved = table["top_address"][slots] != rows["top_address"]
            alike = ~moved
            for name in TOP:
                if name in (dtype.names or ()) and name not in ("top_count", "top_counts"):
                    table[name][slots[larger]] = rows[name][larger]
            added = np.where(alike, table["top_count"][slots] + rows["top_count"], 0)
            most = np.maximum(table["top_count"][slots], rows["top_count"])
            table["top_count"][slots] = np.where(alike, added, most)
        for block in blocks(dtype, counts):
            block.of(table)[slots] += block.of(rows)
        for block in blocks(dtype, peaks):
            block.of(table)[slots] = np.fmax(block.of(table)[slots], block.of(rows))
        for name in levels(dtype):
            table[name][slots] = rows[name]

    def _room(self, dtype: Dtype, size: int) -> Rows:
        if len(self._rows) < size or self._rows.dtype != dtype:
            grown = np.zeros(max(64, 1 << (size - 1).bit_length()), dtype)
            used = np.zeros(len(grown), np.bool_)
            if self._rows.dtype == dtype:
                grown[: len(self._rows)] = self._rows
                used[: len(self._used)] = self._used
            self._rows, self._used = grown, used
        return self._rows
