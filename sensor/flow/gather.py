"""Between the threads that each capture a share of an agent's packets and the one that computes.

What ended is kept until all of them are past it, and then handed on together. The capturing threads
never wait for each other: they note how far they are, and whoever is last hands on.
"""

from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Generic, TypeVar

from sensor._native.faces import Part, Rows, Window
from sensor.flow.merge import Standing, merge_windows, standing, without_standing

SECOND_NS = 10**9
BACK_NS = 3600 * SECOND_NS  # the clock was set back, as for the engines
FOREVER_NS = 1 << 64
MOST_SECONDS = 120  # waiting for a thread that does not come on

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Ended(Generic[M]):
    """A share's window, and what its thread marked it with."""

    share: int
    window: Window
    mark: M


@dataclass(slots=True)
class Flows:
    """Connections that wait behind their share's window before them."""

    rows: Rows
    names: bytes


@dataclass(slots=True)
class Share(Generic[M]):
    """How far one thread is."""

    reached_ns: int = 0  # what it had up to here was handed over
    waiting: deque[Flows | Ended[M]] = field(default_factory=deque)
    standing: Standing | None = None  # after its last window


class Gather(Generic[M]):
    """For `shares` threads; each calls with its own number, from 0."""

    def __init__(
        self,
        shares: int,
        window: Callable[[Sequence[Ended[M]], Sequence[Standing]], None],
        flows: Callable[[Rows, bytes], None],
        parts: Callable[[list[Part]], None],
    ) -> None:
        """Called one at a time, by any of the threads.

        window: of each share that has one, and the standing of the others; windows without packets
        are added to the next that has some, as one engine does. flows: before their window. parts:
        of one second, in the order of seconds.
        """
        self._shares: list[Share[M]] = [Share() for _ in range(shares)]
        self._seconds: dict[int, list[Part]] = {}
        self._carried: Ended[M] | None = None  # what ended in windows without packets
        self._window, self._flows, self._parts = window, flows, parts
        self._lock = Lock()

    def window(self, share: int, window: Window, mark: M) -> None:
        """A share's window ended; what it was cannot change any more."""
        with self._lock:
            self._shares[share].waiting.append(Ended(share, window, mark))
            self._reach(share, window["end_ns"])

    def flows(self, share: int, rows: Rows, names: bytes) -> None:
        """Connections of the share's window at hand."""
        with self._lock:
            if waiting := self._shares[share].waiting:
                waiting.append(Flows(rows, names))
            else:
                self._flows(rows, names)

    def part(self, share: int, part: Part) -> None:
        """A share's second ended."""
        with self._lock:
            self._seconds.setdefault(part["start_ns"], []).append(part)
            self._reach(share, part["start_ns"] + SECOND_NS - 1)  # its window may end with it

    def reached(self, share: int, now_ns: int) -> None:
        """Nothing of before `now_ns` is to come from it."""
        with self._lock:
            self._reach(share, now_ns)

    def finish(self) -> None:
        """No share has anything more: whatever waits is handed on."""
        with self._lock:
            for share in self._shares:
                share.reached_ns = FOREVER_NS
            self._hand_on()
            if self._carried is not None and self._carried.window["totals"].any():
                self._window([self._carried], self._standings(()))
            for share in self._shares:
                self._let_go(share)

    def finish_seconds(self) -> None:
        """No share has another second, though windows may come."""
        with self._lock:
            self._hand_on_seconds(FOREVER_NS)

    def _reach(self, share: int, now_ns: int) -> None:
        state = self._shares[share]
        if now_ns > state.reached_ns or state.reached_ns - now_ns > BACK_NS:
            state.reached_ns = now_ns
            self._hand_on()

    def _hand_on(self) -> None:
        all_past = min(share.reached_ns for share in self._shares)
        self._hand_on_seconds(all_past)
        while True:
            heads = [
                head
                for share in self._shares
                if share.waiting and isinstance(head := share.waiting[0], Ended)
            ]
            ready = [head.window for head in heads if head.window["end_ns"] <= all_past]
            if not ready:
                return
            start_ns = min(window["start_ns"] for window in ready)
            whole = [head for head in heads if head.window["start_ns"] == start_ns]
            for ended in whole:
                self._shares[ended.share].standing = standing(ended.window)
            self._hand_on_window(whole)
            for ended in whole:
                share = self._shares[ended.share]
                share.waiting.popleft()
                self._let_go(share)

    def _hand_on_window(self, whole: list[Ended[M]]) -> None:
        if not any(len(ended.window["seconds"]) for ended in whole):
            windows = [without_standing(ended.window) for ended in whole]
            if self._carried is not None:
                windows.insert(0, self._carried.window)
            self._carried = replace(whole[0], window=merge_windows(windows))
            return
        if self._carried is not None:
            both = merge_windows([whole[0].window, self._carried.window])
            whole = [replace(whole[0], window=both), *whole[1:]]
            self._carried = None
        self._window(whole, self._standings({ended.share for ended in whole}))

    def _standings(self, without: Container[int]) -> list[Standing]:
        return [
            share.standing
            for number, share in enumerate(self._shares)
            if share.standing and number not in without
        ]

    def _let_go(self, share: Share[M]) -> None:
        """Connections whose window before them is gone."""
        while share.waiting and isinstance(head := share.waiting[0], Flows):
            share.waiting.popleft()
            self._flows(head.rows, head.names)

    def _hand_on_seconds(self, all_past: int) -> None:
        for start_ns in sorted(self._seconds):
            if start_ns + SECOND_NS - 1 > all_past and len(self._seconds) <= MOST_SECONDS:
                return
            self._parts(self._seconds.pop(start_ns))
